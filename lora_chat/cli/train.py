"""``lora-chat train``: one command from examples to an adapter. Owns its flags and progress; never trains itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from lora_chat.cli.console import Progress
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.training.estimate import Estimate
    from lora_chat.training.events import DatasetReady, Installed, Report, TrainingEvent
    from lora_chat.training.recipe import Recipe
    from lora_chat.training.selection import HistoryFilter, Selection

HISTORY = "from-history"

INDENT = 12
"""Where the second column of ``describe`` begins."""

Effort = Literal["light", "normal", "deep"]


def train(
    source: Annotated[str, typer.Argument(help="`from-history`, or a JSONL file of examples.")],
    name: Annotated[str, typer.Option("--name", help="The adapter's name.")],
    since: Annotated[str | None, typer.Option(help="Only answers from this day on: 2026-11-24.")] = None,
    conversation: Annotated[list[str] | None, typer.Option(help="Only this conversation; may be repeated.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Only answers that wore this adapter.")] = None,
    search: Annotated[str | None, typer.Option(help="Only exchanges that hold this text.")] = None,
    include: Annotated[Literal["unrated"] | None, typer.Option(help="Also answers nobody judged.")] = None,
    effort: Annotated[Effort, typer.Option(help="How long it may take.")] = "normal",
    base: Annotated[str | None, typer.Option(help="Base model.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A value of the recipe, as rank=16; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter on the same machine.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be learnt.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Train an adapter from rated and corrected chats, or from a file of examples."""
    from lora_chat.cli.console import told_as_json
    from lora_chat.cli.model import ensure_base
    from lora_chat.memory import free
    from lora_chat.models.prompt import load_prompt_format
    from lora_chat.services import open_services
    from lora_chat.training.estimate import check_fits
    from lora_chat.training.jobs import check_free
    from lora_chat.training.overrides import override
    from lora_chat.training.preview import preview
    from lora_chat.training.recipe import choose_recipe
    from lora_chat.training.selection import HistoryFilter

    wanted = HistoryFilter(
        since=_day(since),
        conversations=tuple(conversation or ()),
        adapter=adapter,
        text=search or "",
        unrated=include is not None,
    )
    with told_as_json(json), open_services() as services:
        check_free(name, services.paths)
        selection = _select(services, source, wanted)
        on = ensure_base(services.paths, base or services.config.model, yes=yes)
        lessons = len(selection.lessons)
        recipe = override(choose_recipe(lessons, on.parameters, effort, seed), set_ or (), lessons)
        counted = preview(selection, load_prompt_format(on.folder))
        expected = services.estimate(counted, recipe, on)
        _show(counted, recipe, on, name, expected, json=json and dry_run)
        if dry_run:
            return
        check_fits(expected.bytes, free())
        if not json and not _agreed(name, yes):
            return
        _run(services, source, selection, recipe, on, name, expected, json=json)


def _day(since: str | None) -> float | None:
    from lora_chat.errors import UsageError

    if since is None:
        return None
    try:
        return datetime.datetime.fromisoformat(since).timestamp()
    except ValueError as error:
        raise UsageError(f'"{since}" is not a day: write --since 2026-11-24.') from error


def _select(services: Services, source: str, wanted: HistoryFilter) -> Selection:
    from lora_chat.errors import UsageError
    from lora_chat.training.selection import HistoryFilter, select_from_file, select_from_history

    if source == HISTORY:
        return select_from_history(services.store, wanted)
    if wanted != HistoryFilter():
        raise UsageError("--since, --conversation, --adapter, --search and --include choose from the history only.")
    return select_from_file(Path(source).expanduser())


def _agreed(name: str, yes: bool) -> bool:
    from lora_chat.cli.console import confirm, note

    if confirm(f"Train {name}?", yes=yes):
        return True
    note("Nothing was trained.")
    return False


def _show(
    counted: DatasetReady, recipe: Recipe, base: InstalledBase, name: str, expected: Estimate, *, json: bool
) -> None:
    from lora_chat.cli.console import answer_json, folded, note
    from lora_chat.training.events import as_json

    if json:
        answer_json(as_json(counted) | planned(counted, recipe, base, expected))
        return
    for line in describe(counted, recipe, base, name, expected):
        note(folded(line, INDENT))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def describe(
    counted: DatasetReady, recipe: Recipe, base: InstalledBase, name: str, expected: Estimate
) -> Iterator[str]:
    """What will be learnt and how, and what it takes, in aligned lines."""
    from lora_chat.memory import free
    from lora_chat.models.sources.staging import size
    from lora_chat.training.estimate import spoken
    from lora_chat.training.overrides import changes, spell, spelled
    from lora_chat.training.recipe import choose_recipe, reasons

    yield f"Train {name} on {base.name}"
    yield (
        f"  taught    {_count(counted.examples, 'answer')} in {_count(counted.conversations, 'conversation')}, "
        f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} supervised"
    )
    if counted.dropped:
        yield "  left out  " + ", ".join(f"{number} {reason}" for reason, number in counted.dropped.items())
    if counted.redacted:
        yield f"  private   {_count(counted.redacted, 'piece')} replaced by placeholders"
    yield f"  recipe    {recipe.effort}: " + " ".join(spelled(recipe))
    chosen = choose_recipe(counted.conversations, base.parameters, recipe.effort, recipe.seed)
    if changed := changes(recipe, chosen):
        yield "  changed   " + ", ".join(
            f"{name} {spell(own)}, not {spell(was)}" for name, (own, was) in changed.items()
        )
    yield f"  because   {reasons(counted.conversations, base.parameters)}"
    yield f"  stops     {recipe.rule}"
    memory = f"{size(expected.bytes)} of memory, {size(free())} can be had"
    yield f"  takes     {spoken(expected.seconds)} ({expected.basis}) · {memory}"


def planned(counted: DatasetReady, recipe: Recipe, base: InstalledBase, expected: Estimate) -> dict[str, Any]:
    """What the ``dataset`` line of the shell says beside the counts: recipe, what the person set, what it takes."""
    from dataclasses import asdict

    from lora_chat.training.overrides import changes
    from lora_chat.training.recipe import choose_recipe, reasons

    chosen = choose_recipe(counted.conversations, base.parameters, recipe.effort, recipe.seed)
    return {
        "recipe": asdict(recipe),
        "recipe_changed": {name: {"set": own, "chosen": was} for name, (own, was) in changes(recipe, chosen).items()},
        "recipe_because": reasons(counted.conversations, base.parameters),
        "estimate": asdict(expected),
    }


def _run(
    services: Services,
    source: str,
    selection: Selection,
    recipe: Recipe,
    base: InstalledBase,
    name: str,
    expected: Estimate,
    *,
    json: bool,
) -> None:
    from lora_chat.cli.ask import cancelled_by_ctrl_c
    from lora_chat.cli.console import answer, answer_json, progress_bar
    from lora_chat.errors import Interrupted, TrainingError
    from lora_chat.training.events import Cancelled, DatasetReady, Failed, Installed, as_json
    from lora_chat.training.job import create_job
    from lora_chat.training.jobs import run_job

    label = HISTORY if source == HISTORY else Path(source).name
    installed = None
    with progress_bar() as progress, ExitStack() as stack:
        progress(f"Loading {base.name}", 0, 0)
        engine = services.engine_here(base)
        cancel = stack.enter_context(cancelled_by_ctrl_c())
        job = create_job(services.paths.training, name, base.name, label, selection, recipe)
        for event in run_job(job, engine.train, base.signature, services.paths, cancel):
            if isinstance(event, Failed):
                raise TrainingError(event.reason)
            if json:
                more = planned(event, recipe, base, expected) if isinstance(event, DatasetReady) else {}
                answer_json(as_json(event) | more)
            else:
                show_progress(event, progress)
            if isinstance(event, Installed):
                installed = event
            if isinstance(event, Cancelled):
                raise Interrupted(f"The training of {name} was stopped after {event.step} steps; nothing changed.")
    if not json and installed is not None:
        for line in summary(installed):
            answer(line)


def show_progress(event: TrainingEvent, progress: Progress) -> None:
    """One event on the progress bar."""
    from lora_chat.training.events import DatasetReady, Preparing, StepDone

    if isinstance(event, DatasetReady):
        progress("Measuring before", 0, 0)
    elif isinstance(event, Preparing):
        progress(event.what.capitalize(), event.done, 1.0)
    elif isinstance(event, StepDone):
        figures = f"loss {event.loss:.3f} · {event.tokens_per_second:.0f} tokens/s"
        progress("Training", event.step, event.steps, figures)


def summary(event: Installed) -> Iterator[str]:
    """The result in lines: what was measured, then how to wear it."""
    yield f"{event.adapter} is trained and installed in {event.path}"
    yield from figures(event.report)
    yield f'Wear it: lora-chat ask -a {event.adapter} "…"'


def figures(report: Report) -> Iterator[str]:
    """A report in aligned lines."""
    yield (
        f"  {report.steps} steps in {report.seconds:.0f} s ({report.tokens_per_second:.0f} tokens/s): "
        f"{report.stopped_because}"
    )
    yield (
        f"  trainable parameters {report.trainable_parameters:,} of {report.total_parameters:,} "
        f"({report.trainable_percent:.2f} %)"
    )
    if report.dataset_sha256:
        yield f"  lessons {report.dataset_sha256[:23]}…"
    if report.heldout_loss_before is not None and report.heldout_loss_after is not None:
        yield f"  loss held out {report.heldout_loss_before:.2f} → {report.heldout_loss_after:.2f}"
    if report.general_loss_before is not None and report.general_loss_after is not None:
        yield (
            f"  loss on general questions it was not taught "
            f"{report.general_loss_before:.2f} → {report.general_loss_after:.2f}"
        )
    if report.general_kl_after is not None and report.general_kl_bound is not None:
        yield f"  KL from the base on them {report.general_kl_after:.3f} (bound {report.general_kl_bound:g})"
    if report.text_loss_before is not None and report.text_loss_after is not None:
        yield f"  loss on plain text {report.text_loss_before:.2f} → {report.text_loss_after:.2f}"
    if report.forgot:
        yield f"  ✗ {report.forgot}"
