"""``lora-chat train``: one command from examples to an adapter. Owns its flags and progress; never trains itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Adapter
    from lora_chat.cli.console import Progress
    from lora_chat.services import Services
    from lora_chat.sitting.plan import Course
    from lora_chat.training.events import Installed, TrainingEvent
    from lora_chat.training.selection import HistoryFilter, Selection

HISTORY = "from-history"

Effort = Literal["light", "normal", "deep"]
Rated = Literal["good", "edited"]


def train(
    source: Annotated[
        str | None, typer.Argument(help="`from-history`, or a file: JSON lines, JSON, CSV, TSV, Parquet.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The adapter's name.")] = None,
    since: Annotated[str | None, typer.Option(help="Only answers from this day on: 2026-11-24.")] = None,
    until: Annotated[str | None, typer.Option(help="Only answers up to this day.")] = None,
    conversation: Annotated[list[str] | None, typer.Option(help="Only this conversation; may be repeated.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Only answers that wore this adapter.")] = None,
    search: Annotated[str | None, typer.Option(help="Only exchanges that hold this text.")] = None,
    include: Annotated[Literal["unrated"] | None, typer.Option(help="Also answers nobody judged.")] = None,
    rating: Annotated[Rated | None, typer.Option(help="Only answers rated good, or only edited ones.")] = None,
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Also what was thought before the answers.")] = False,
    keep: Annotated[list[str] | None, typer.Option(help="Leave this rule for private data off; repeatable.")] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Mask private data in a file too.")] = False,
    effort: Annotated[Effort, typer.Option(help="How long it may take.")] = "normal",
    continue_: Annotated[
        str | None,
        typer.Option(
            "--continue",
            metavar="NAME",
            help="Teach this adapter more: its next version.",
            autocompletion=names.adapters,
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Base model.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A value of the recipe, as rank=16; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter on the same machine.")] = 0,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds of training that a power cut may cost.")
    ] = 60.0,
    resume: Annotated[str | None, typer.Option(help="Go on with this job; `last` is the newest.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Only list the trainings that were begun.")] = False,
    discard: Annotated[str | None, typer.Option(help="Delete this job and what it would have learnt.")] = None,
    write_job: Annotated[
        Path | None,
        typer.Option("--write-job", metavar="FOLDER", help="Train nothing here: write the job, to train it elsewhere."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be learnt.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Train an adapter from rated and corrected chats, or from a file of examples."""
    from lora_chat.cli.adapter.places import base_for
    from lora_chat.cli.console import told_as_json
    from lora_chat.cli.model import ensure_base
    from lora_chat.cli.write_job import write
    from lora_chat.services import open_services
    from lora_chat.sitting.plan import Course
    from lora_chat.training.choosing.redact import checked_rules
    from lora_chat.training.jobs import check_free
    from lora_chat.training.selection import HistoryFilter

    if jobs or resume is not None or discard is not None:
        _manage(source or name, resume, discard, jobs=jobs, json=json)
        return
    source, name = _said(source, name, continue_)
    wanted = HistoryFilter(
        since=_day(since, "--since"),
        until=_day(until, "--until", whole=True),
        conversations=tuple(conversation or ()),
        adapter=adapter,
        text=search or "",
        unrated=include is not None,
        vouched=None if rating is None else "edited" if rating == "edited" else "rated good",
        thoughts=thoughts,
    )
    left_off = checked_rules(keep or ())
    with told_as_json(json), open_services() as services:
        check_free(name, services.paths, continued=continue_ is not None)
        continued = services.adapters().get(continue_) if continue_ is not None else None
        selection = _select(services, source, wanted, continued, mask=mask, keep=left_off)
        if continued is not None and base is None:
            on = base_for(services.paths, "", continued.base_model)
        else:
            on = ensure_base(services.paths, base or services.config.model, yes=yes)
        course = Course.of(services, on, name, selection, effort, seed, set_ or (), continued)
        label = HISTORY if source == HISTORY else Path(source).name
        if write_job is not None and not dry_run:
            write(services, course, label, write_job.expanduser(), checkpoint_every, json=json, yes=yes)
        else:
            carry_out(services, course, label, checkpoint_every, dry_run=dry_run, json=json, yes=yes)


def _manage(other: str | None, resume: str | None, discard: str | None, *, jobs: bool, json: bool) -> None:
    from lora_chat.cli.jobs import manage
    from lora_chat.errors import UsageError

    if other is not None or [jobs, resume is not None, discard is not None].count(True) > 1:
        raise UsageError("--resume, --jobs and --discard stand alone: leave the rest out, the job knows it.")
    manage(resume, discard, json=json)


def _said(source: str | None, name: str | None, continued: str | None) -> tuple[str, str]:
    """What every training needs to be told."""
    from lora_chat.errors import UsageError

    if source is None:
        raise UsageError("Say what to learn from: `lora-chat train from-history --name NAME`, or a file of examples.")
    if continued is not None and name not in (None, continued):
        raise UsageError(f"A next version of {continued} is called {continued} too: leave --name out.")
    name = continued if name is None else name
    if name is None:
        raise UsageError("Say what the adapter is to be called: --name NAME.")
    return source, name


def carry_out(
    services: Services,
    course: Course,
    source: str,
    checkpoint_every: float = 60.0,
    *,
    dry_run: bool,
    json: bool,
    yes: bool,
) -> Installed | None:
    """Show what ``course`` would learn from ``source``; unless that is all, ask and train. What came of it, if it did.

    Raises:
        RefusedError: it has no room in memory or on the disk.
        LoraChatError: as ``jobs.follow``.
    """
    from lora_chat.cli import plan

    plan.show(course, json=json and dry_run)
    if dry_run and not json:
        plan.list_private(course.selection)
    if not dry_run:
        _check_room(services, course)
        if json or _agreed(course.name, yes):
            return _run(services, source, course, checkpoint_every, json=json)
    return None


def _check_room(services: Services, course: Course) -> None:
    """Refuse what has no room in memory or on the disk."""
    from lora_chat.memory import free
    from lora_chat.training.estimate import check_fits
    from lora_chat.training.shelf import check_room

    check_fits(course.estimate.bytes, free())
    check_room(course.recipe, course.base.signature, services.paths)


def _day(text: str | None, option: str, *, whole: bool = False) -> float | None:
    """When a day begins, in Unix seconds; ``whole``: when it ends. A time of day is taken as it is."""
    from lora_chat.errors import UsageError

    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
        days = 1 if whole and len(text) <= len("2026-11-24") else 0
        return (moment + datetime.timedelta(days)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f'"{text}" is not a day: write {option} 2026-11-24.') from error


def _select(
    services: Services,
    source: str,
    wanted: HistoryFilter,
    continued: Adapter | None,
    *,
    mask: bool,
    keep: frozenset[str],
) -> Selection:
    from lora_chat.errors import UsageError
    from lora_chat.sitting.plan import usual_system
    from lora_chat.training.selection import HistoryFilter, select_from_file, select_from_history

    if source == HISTORY:
        return select_from_history(services.store, replace(wanted, keep=keep), usual_system(services, continued))
    if wanted != HistoryFilter():
        flags = "--since, --until, --conversation, --adapter, --search, --rating, --include and --thoughts"
        raise UsageError(f"{flags} choose from the history only.")
    if keep and not mask:
        raise UsageError("A file is taken as given: --keep says what to leave as it is where --mask masks the rest.")
    return select_from_file(Path(source).expanduser(), mask=mask, keep=keep)


def _agreed(name: str, yes: bool) -> bool:
    from lora_chat.cli.console import confirm, note

    if confirm(f"Train {name}?", yes=yes):
        return True
    note("Nothing was trained.")
    return False


def _run(services: Services, source: str, course: Course, checkpoint_every: float, *, json: bool) -> Installed | None:
    from lora_chat.cli.jobs import follow
    from lora_chat.cli.plan import facts
    from lora_chat.training.events import DatasetReady
    from lora_chat.training.job import create_job

    def make() -> Path:
        what = (course.name, course.base.name, source, course.selection, course.recipe)
        return create_job(services.paths.training, *what, checkpoint_every, course.start, course.checks_of)

    def more(event: TrainingEvent) -> dict[str, Any]:
        return facts(course) if isinstance(event, DatasetReady) else {}

    return follow(services, course.base, make, course.name, json=json, more=more)


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


def told(event: Installed) -> Iterator[str]:
    """The result in lines, then where the rest is and how to wear it, from a shell."""
    from lora_chat.cli.result import summary

    yield from summary(event)
    yield f"All of it: lora-chat report {event.adapter} --version {event.version}"
    if event.kept:
        yield f"Wear it all the same: lora-chat adapter rollback {event.adapter} --to {event.version}"
    else:
        yield f'Wear it: lora-chat ask -a {event.adapter} "…"'
