"""What a training did, line by line. Owns these lines and their alignment; its other forms draw themselves.

The commands say them in English, the line chat hands them ``tr``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.paths import Paths
    from lora_chat.training.events import Checked, Installed, Report
    from lora_chat.training.proof.result import Exam
    from lora_chat.training.report.record import Record

Say = Callable[[str], str]
"""Says a sentence or a label as the person reads it."""

_LABELS = ("right as taught", "false fires on far questions", "trainable parameters")
"""The longest, in any language: what stands behind them stands below each other."""
MOST_WRONG = 5
"""Checks that do not hold and are shown."""


@dataclass(frozen=True)
class Beside:
    """What there is beside one report."""

    others: tuple[str, ...] = ()
    """The versions that have a report too."""
    usual: bool = True
    """Whether it is the one that is shown where no version is named."""
    worn: bool = False
    """Whether its version is the one that is worn."""


def beside(record: Record, paths: Paths) -> Beside:
    """Looked up."""
    from lora_chat.sitting.reporting import usual_version, worn_version
    from lora_chat.training.report import shelf

    versions = shelf.reports(paths.lines / record.adapter)
    others = tuple(each for each in versions if each != record.version)
    usual = not versions or usual_version(record.adapter, versions, paths) == record.version
    return Beside(others, usual, worn_version(record.adapter, paths) == record.version)


def table(record: Record, more: Beside, say: Say = str) -> Iterator[str]:
    """The verdict, the shares, then the figures in aligned lines, and where the rest is for a shell."""
    from lora_chat.training.report.words import clock, losses, number, saw, size, steps, verdict

    report, checks = record.report, record.checks
    yield f"{record.adapter} {record.version}: {say(verdict(report, checks, record.exam))}"
    if record.kept:
        kept = f"It was kept at first, and is worn now: {record.kept}"
        yield say(kept if more.worn else f"It is kept, not worn: {record.kept}")
    yield ""
    yield from shares(record.exam, say)
    yield from less(record.exam, say)
    yield from far(report, say)
    if checks is not None:
        yield _line("checks", checks.sentence, say)
        yield from wrong(checks, say)
    if record.unchecked:
        yield _line("not asked", record.unchecked, say)
    if record.saw is not None:
        yield _line("it saw", saw(record.saw), say)
    for name, before, after in losses(report):
        yield _line(f"loss, {name}", f"{number(before)} → {number(after)}", say)
    cost = [clock(report.seconds), steps(report.steps), size(report.memory)]
    yield _line("trained", ", ".join(filter(None, cost)), say)
    yield _line("ended", report.stopped_because, say)
    whole = f"{report.total_parameters:,} ({report.trainable_percent:.2f} %)"
    yield _line("trainable parameters", f"{report.trainable_parameters:,} of {whole}", say)
    yield ""
    yield from enough(record.adapter, record.exam, "" if more.usual else record.version, say)
    if more.others:
        yield say(f"There are reports of {', '.join(more.others)} too: --version names one.")
    yield say(f"All of it: lora-chat report {record.adapter} --version {record.version} --markdown, --json or --svg")


def _line(name: str, said: str, say: Say) -> str:
    return _below(say(name), say(said), say)


def _below(label: str, said: str, say: Say) -> str:
    """Both are said already; wide letters take two cells."""
    from rich.cells import cell_len

    width = max(cell_len(say(name)) for name in _LABELS)
    return f"  {label}{' ' * (width - cell_len(label))}  {said}"


def wrong(checks: Checked, say: Say = str) -> Iterator[str]:
    """What each check that does not hold is answered."""
    from lora_chat.text import clean_line

    for each in checks.wrong[:MOST_WRONG]:
        yield "  " + clean_line(say(f'✗ "{each.question}" is answered "{each.answer}", not "{each.taught}"'), 300)
    if len(checks.wrong) > MOST_WRONG:
        yield "  " + say(f"and {len(checks.wrong) - MOST_WRONG:,} more: `lora-chat check` lists them")


def shares(exam: Exam | None, say: Say = str) -> Iterator[str]:
    """The four, beside those of the base with the examples in its prompt where it was asked."""
    from rich.cells import cell_len

    from lora_chat.training.report.words import count_of, rows

    if exam is None:
        return
    found = [(say(row.said), say(row.adapter.sentence), row.prompted) for row in rows(exam)]
    width = max(cell_len(held) for _, held, _ in found)
    if exam.prompted:
        worn, prompted = say("adapter"), f"base with {count_of(exam.prompted.examples, 'example')} in its prompt"
        yield _below("", f"{worn}{' ' * (width - cell_len(worn))}  {say(prompted)}", say)
    for name, held, asked in found:
        there = f"{' ' * (width - cell_len(held))}  {say(asked.sentence)}" if asked else ""
        yield _below(name, held + there, say)


def less(exam: Exam | None, say: Say = str) -> Iterator[str]:
    """What the counts leave out."""
    from lora_chat.training.report.words import left_out

    yield from (f"  {say(sentence)}" for sentence, _ in left_out(exam))


def far(report: Report, say: Say = str) -> Iterator[str]:
    """How far it is from the base, with its interval."""
    from lora_chat.training.report.words import distance

    if said := distance(report):
        yield _line("KL from the base", said, say)


def enough(adapter: str, exam: Exam | None, version: str = "", say: Say = str) -> Iterator[str]:
    """Whether a prompt would have been, where that was asked; ``version`` where another is meant without it."""
    from lora_chat.training.report.words import is_offered, offer

    if exam is not None and (prompted := exam.prompted):
        offered = f" {offer(adapter, version)}" if is_offered(exam) else ""
        yield say(f"{prompted.sentence}{offered}")


def summary(event: Installed, say: Say = str) -> Iterator[str]:
    """The result in lines; where the rest is, and how to wear it, are for whoever shows it to say."""
    from lora_chat.training.report.words import mending

    if event.kept:
        yield say(f"{event.adapter} {event.version} is trained and kept, not worn: {event.kept}")
    else:
        yield say(f"{event.adapter} is trained and installed in {event.path}, version {event.version}")
    yield from figures(event.report, say)
    yield from far(event.report, say)
    yield from shares(event.exam, say)
    yield from less(event.exam, say)
    if event.checks is not None:
        yield f"  {say(event.checks.sentence)}"
        yield from wrong(event.checks, say)
    if event.unchecked:
        yield f"  ✗ {say(event.unchecked)}"
    yield from enough(event.adapter, event.exam, event.version if event.kept else "", say)
    if told := mending(event.exam):
        yield say(told)


def figures(report: Report, say: Say = str) -> Iterator[str]:
    """A report in aligned lines."""
    from lora_chat.training.report.words import size

    yield "  " + say(
        f"{report.steps} steps in {report.seconds:.0f} s ({report.tokens_per_second:.0f} tokens/s): "
        f"{report.stopped_because}"
    )
    if report.memory:
        yield "  " + say(f"memory {size(report.memory)} at most")
    yield "  " + say(
        f"trainable parameters {report.trainable_parameters:,} of {report.total_parameters:,} "
        f"({report.trainable_percent:.2f} %)"
    )
    if report.dataset_sha256:
        yield "  " + say(f"lessons {report.dataset_sha256[:23]}…")
    if report.heldout_loss_before is not None and report.heldout_loss_after is not None:
        yield "  " + say(f"loss held out {report.heldout_loss_before:.2f} → {report.heldout_loss_after:.2f}")
    if report.general_loss_before is not None and report.general_loss_after is not None:
        yield "  " + say(
            f"loss on general questions it was not taught "
            f"{report.general_loss_before:.2f} → {report.general_loss_after:.2f}"
        )
    if report.text_loss_before is not None and report.text_loss_after is not None:
        yield "  " + say(f"loss on plain text {report.text_loss_before:.2f} → {report.text_loss_after:.2f}")
    if report.forgot:
        yield f"  ✗ {say(report.forgot)}"
