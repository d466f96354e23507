"""``lora-chat report``: what a training did. Owns flags and where a report goes; its forms draw themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.training.report.record import Record

Form = Literal["", "markdown", "json", "svg"]

_ENDINGS: dict[str, Form] = {".md": "markdown", ".markdown": "markdown", ".json": "json", ".svg": "svg"}


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
    from lora_chat.cli.result import beside, table
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
