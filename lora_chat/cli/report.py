"""``lora-chat report``: what a training did. Owns flags, table and where a report goes; its forms draw themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.paths import Paths
    from lora_chat.training.events import Checked, Report
    from lora_chat.training.proof.result import Exam
    from lora_chat.training.report.record import Record

Form = Literal["", "markdown", "json", "svg"]

_ENDINGS: dict[str, Form] = {".md": "markdown", ".markdown": "markdown", ".json": "json", ".svg": "svg"}
_WIDTH = len("false fires on far questions")
MOST_WRONG = 5
"""Checks that do not hold and are shown."""


def report(
    name: Annotated[
        str | None,
        typer.Argument(help="An adapter's name; the newest report of any without one.", autocompletion=names.adapters),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Of this version; without it of the one that is worn.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="All of it, as Markdown.")] = False,
    json: Annotated[bool, typer.Option("--json", help="All of it, as one JSON object.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="One picture, as SVG.")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="First ask the worn version all there is to ask.")] = False,
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="NAME", help="Keep its examples as this preset instead.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write this new file instead of stdout; its ending may say how."),
    ] = None,
) -> None:
    """Show what a training did: what it learnt, what it broke, whether a prompt would have been enough."""
    from lora_chat.cli.console import answer, answer_json, note
    from lora_chat.cli.examination import examine
    from lora_chat.errors import UsageError
    from lora_chat.files import write_new
    from lora_chat.paths import find_paths
    from lora_chat.sitting.examination import as_preset
    from lora_chat.sitting.reporting import find_report
    from lora_chat.training.report.record import to_value

    asked: list[Form] = [form for form, is_asked in _flags(markdown, json, svg) if is_asked]
    if len(asked) > 1:
        raise UsageError("--markdown, --json and --svg are asked for one at a time.")
    if preset is not None and (asked or ask or output is not None):
        raise UsageError("--preset stands alone: it keeps the examples and shows nothing.")
    form = asked[0] if asked else _ENDINGS.get(output.suffix.lower(), "") if output else ""
    if output is not None and not form:
        raise UsageError(f"Say how to write {output}: --markdown, --json or --svg, or an ending such as .md.")
    if ask and output is not None:
        _refuse_taken(output.expanduser())
    paths = find_paths(os.environ)
    record = examine(name, version) if ask and name is not None else find_report(name, version, paths)
    if preset is not None:
        kept = as_preset(record.adapter, record.version, paths, preset)
        answer(f'{kept.name} is kept with {kept.holds}: lora-chat ask --preset {kept.name} "…"')
        return
    if ask and name is None:
        record = examine(record.adapter, version)
    if output is not None:
        write_new(output.expanduser(), _text(record, form).encode("utf-8", "replace"))
        note(f"The report of {record.adapter} {record.version} is in {output}: your own words, readable by you alone.")
    elif form == "json":
        answer_json(to_value(record))
    elif form:
        answer(_text(record, form).removesuffix("\n"))
    else:
        for line in table(record, beside(record, paths)):
            answer(line)


def _refuse_taken(path: Path) -> None:
    """Before anything is asked: what takes minutes is not lost for a file that cannot be written."""
    from lora_chat.errors import RefusedError

    if os.path.lexists(path):
        raise RefusedError(f"{path} is there already: name a file that is not.")
    if not path.parent.is_dir():
        raise RefusedError(f"Cannot write {path} (there is no folder {path.parent}): choose another place.")


def _flags(markdown: bool, json: bool, svg: bool) -> Iterator[tuple[Form, bool]]:
    yield "markdown", markdown
    yield "json", json
    yield "svg", svg


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


def _text(record: Record, form: Form) -> str:
    import json

    from lora_chat.training.report.markdown import to_markdown
    from lora_chat.training.report.picture import to_svg
    from lora_chat.training.report.record import to_value

    if form == "svg":
        return to_svg(record)
    return (
        to_markdown(record) if form == "markdown" else json.dumps(to_value(record), ensure_ascii=False, indent=1) + "\n"
    )


# In the terminal


def table(record: Record, more: Beside) -> Iterator[str]:
    """The verdict, the shares, then the figures in aligned lines."""
    from lora_chat.training.report.words import clock, losses, number, saw, size, steps, verdict

    report, checks = record.report, record.checks
    yield f"{record.adapter} {record.version}: {verdict(report, checks, record.exam)}"
    if record.kept:
        was = "It was kept at first, and is worn now" if more.worn else "It is kept, not worn"
        yield f"{was}: {record.kept}"
    yield ""
    yield from shares(record.exam)
    yield from less(record.exam)
    yield from far(report)
    if checks is not None:
        yield _line("checks", checks.sentence)
        yield from wrong(checks)
    if record.unchecked:
        yield _line("not asked", record.unchecked)
    if record.saw is not None:
        yield _line("it saw", saw(record.saw))
    for name, before, after in losses(report):
        yield _line(f"loss, {name}", f"{number(before)} → {number(after)}")
    cost = (clock(report.seconds), steps(report.steps), size(report.memory))
    yield _line("trained", ", ".join(filter(None, cost)))
    yield _line("ended", report.stopped_because)
    whole = f"{report.total_parameters:,} ({report.trainable_percent:.2f} %)"
    yield _line("trainable parameters", f"{report.trainable_parameters:,} of {whole}")
    yield ""
    yield from enough(record.adapter, record.exam, "" if more.usual else record.version)
    if more.others:
        yield f"There are reports of {', '.join(more.others)} too: --version names one."
    yield f"All of it: lora-chat report {record.adapter} --version {record.version} --markdown, --json or --svg"


def _line(name: str, said: str) -> str:
    return f"  {name:<{_WIDTH}}  {said}"


def wrong(checks: Checked) -> Iterator[str]:
    """What each check that does not hold is answered."""
    from lora_chat.text import clean_line

    for each in checks.wrong[:MOST_WRONG]:
        yield "  " + clean_line(f'✗ "{each.question}" is answered "{each.answer}", not "{each.taught}"', 300)
    if len(checks.wrong) > MOST_WRONG:
        yield f"  and {len(checks.wrong) - MOST_WRONG:,} more: `lora-chat check` lists them"


def shares(exam: Exam | None) -> Iterator[str]:
    """The four, beside those of the base with the examples in its prompt where it was asked."""
    from lora_chat.training.report.words import count_of, rows

    if exam is None:
        return
    found = rows(exam)
    width = max(len(row.adapter.sentence) for row in found)
    if exam.prompted:
        yield _line("", f"{'adapter':<{width}}  base with {count_of(exam.prompted.examples, 'example')} in its prompt")
    for row in found:
        beside = f"  {row.prompted.sentence}" if row.prompted else ""
        yield _line(row.said, f"{row.adapter.sentence:<{width}}{beside}".rstrip())


def less(exam: Exam | None) -> Iterator[str]:
    """What the counts leave out."""
    from lora_chat.training.report.words import left_out

    yield from (f"  {sentence}" for sentence, _ in left_out(exam))


def far(report: Report) -> Iterator[str]:
    """How far it is from the base, with its interval."""
    from lora_chat.training.report.words import distance

    if said := distance(report):
        yield _line("KL from the base", said)


def enough(adapter: str, exam: Exam | None, version: str = "") -> Iterator[str]:
    """Whether a prompt would have been, where that was asked; ``version`` where another is meant without it."""
    from lora_chat.training.report.words import is_offered, offer

    if exam is not None and (prompted := exam.prompted):
        yield f"{prompted.sentence} {offer(adapter, version)}" if is_offered(exam) else prompted.sentence
