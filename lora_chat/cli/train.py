"""``lora-chat train``: one command from examples to an adapter. Owns its flags and progress; never trains itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from lora_chat.cli.console import Progress
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.training.events import DatasetReady, Installed, Report, TrainingEvent
    from lora_chat.training.recipe import Recipe
    from lora_chat.training.selection import HistoryFilter, Selection

HISTORY = "from-history"

INDENT = 12
"""Where the second column of ``describe`` begins."""

Effort = Literal["light", "normal", "deep"]


def train(
    source: Annotated[str | None, typer.Argument(help="`from-history`, or a JSONL file of examples.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The adapter's name.")] = None,
    since: Annotated[str | None, typer.Option(help="Only answers from this day on: 2026-11-24.")] = None,
    conversation: Annotated[list[str] | None, typer.Option(help="Only this conversation; may be repeated.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Only answers that wore this adapter.")] = None,
    search: Annotated[str | None, typer.Option(help="Only exchanges that hold this text.")] = None,
    include: Annotated[Literal["unrated"] | None, typer.Option(help="Also answers nobody judged.")] = None,
    effort: Annotated[Effort, typer.Option(help="How long it may take.")] = "normal",
    base: Annotated[str | None, typer.Option(help="Base model.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter on the same machine.")] = 0,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds of training that a power cut may cost.")
    ] = 60.0,
    resume: Annotated[str | None, typer.Option(help="Go on with this job; `last` is the newest.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Only list the trainings that were begun.")] = False,
    discard: Annotated[str | None, typer.Option(help="Delete this job and what it would have learnt.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be learnt.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Train an adapter from rated and corrected chats, or from a file of examples."""
    from lora_chat.cli import jobs as begun
    from lora_chat.cli.console import told_as_json
    from lora_chat.cli.model import ensure_base
    from lora_chat.errors import UsageError
    from lora_chat.models.prompt import load_prompt_format
    from lora_chat.services import open_services
    from lora_chat.training.jobs import check_free
    from lora_chat.training.preview import preview
    from lora_chat.training.recipe import choose_recipe
    from lora_chat.training.selection import HistoryFilter
    from lora_chat.training.shelf import check_room

    if jobs or resume is not None or discard is not None:
        if source is not None or name is not None or [jobs, resume is not None, discard is not None].count(True) > 1:
            raise UsageError("--resume, --jobs and --discard stand alone: leave the rest out, the job knows it.")
        begun.manage(resume, discard, json=json)
        return
    if source is None:
        raise UsageError("Say what to learn from: `lora-chat train from-history --name NAME`, or a file of examples.")
    if name is None:
        raise UsageError("Say what the adapter is to be called: --name NAME.")
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
        recipe = choose_recipe(len(selection.lessons), on.parameters, effort, seed)
        counted = preview(selection, load_prompt_format(on.folder))
        _show(counted, recipe, on, name, json=json and dry_run)
        if dry_run:
            return
        check_room(recipe, on.signature, services.paths)
        if not json and not _agreed(name, yes):
            return
        _run(services, source, selection, recipe, on, name, checkpoint_every, json=json)


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


def _show(counted: DatasetReady, recipe: Recipe, base: InstalledBase, name: str, *, json: bool) -> None:
    from lora_chat.cli.console import answer_json, folded, note
    from lora_chat.training.events import as_json

    if json:
        answer_json(as_json(counted))
        return
    for line in describe(counted, recipe, base, name):
        note(folded(line, INDENT))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def describe(counted: DatasetReady, recipe: Recipe, base: InstalledBase, name: str) -> Iterator[str]:
    """What will be learnt and how, in aligned lines."""
    yield f"Train {name} on {base.name}"
    yield (
        f"  taught    {_count(counted.examples, 'answer')} in {_count(counted.conversations, 'conversation')}, "
        f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} supervised"
    )
    if counted.dropped:
        yield "  left out  " + ", ".join(f"{number} {reason}" for reason, number in counted.dropped.items())
    if counted.redacted:
        yield f"  private   {_count(counted.redacted, 'piece')} replaced by placeholders"
    yield (
        f"  recipe    {recipe.effort}: {recipe.targets} modules, rank {recipe.rank}, learning rate "
        f"{recipe.learning_rate:g}, {recipe.batch} conversations and {recipe.rehearsed} rehearsed answers a step"
    )
    yield f"  stops     {recipe.rule}"


def _run(
    services: Services,
    source: str,
    selection: Selection,
    recipe: Recipe,
    base: InstalledBase,
    name: str,
    checkpoint_every: float,
    *,
    json: bool,
) -> None:
    from lora_chat.cli.jobs import follow
    from lora_chat.training.job import create_job

    label = HISTORY if source == HISTORY else Path(source).name
    follow(
        services,
        base,
        lambda: create_job(services.paths.training, name, base.name, label, selection, recipe, checkpoint_every),
        name,
        json=json,
    )


def show_progress(event: TrainingEvent, progress: Progress) -> None:
    """One event on the progress bar."""
    from lora_chat.training.events import DatasetReady, Preparing, Resumed, StepDone

    if isinstance(event, DatasetReady):
        progress("Measuring before", 0, 0)
    elif isinstance(event, Preparing):
        progress(event.what.capitalize(), event.done, 1.0)
    elif isinstance(event, Resumed):
        begins = f"Beginning anew, as {event.reason}" if event.reason else f"Going on from step {event.step}"
        progress(begins, 0, 0)
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
    if report.heldout_loss_before is not None and report.heldout_loss_after is not None:
        yield f"  loss held out {report.heldout_loss_before:.2f} → {report.heldout_loss_after:.2f}"
    if report.general_loss_before is not None and report.general_loss_after is not None:
        yield (
            f"  loss on general questions it was not taught "
            f"{report.general_loss_before:.2f} → {report.general_loss_after:.2f}"
        )
