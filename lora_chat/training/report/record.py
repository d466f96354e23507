"""All that is known of one training. Owns the record and its JSON; never measures and never draws.

It holds the person's own words, as an adapter's line does, and is kept there: ``reports/<version>.json``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from lora_chat.training.events import Checked, DatasetReady, Installed, Report
from lora_chat.training.proof.result import Exam
from lora_chat.training.proof.share import Share, with_intervals

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1
MOST = 10**18
"""Of anything that is counted: more is no count, and no number that can be drawn."""


@dataclass(frozen=True)
class Record:
    """One version of one adapter."""

    adapter: str
    version: str
    base: str
    made: float
    """Unix seconds."""
    source: str
    """``from-history`` or the file's name."""
    recipe: dict[str, Any]
    report: Report
    saw: DatasetReady | None = None
    """What it was given."""
    losses: tuple[float, ...] = ()
    """Of each step, nats per supervised token."""
    heldout: tuple[tuple[int, float], ...] = ()
    """(step, held-out loss)."""
    after: str = ""
    """The version that it grew from; empty where it is the first."""
    replayed: int = 0
    """Lessons that an earlier version learnt already."""
    kept: str = ""
    """Why it is not worn by itself; empty where it is."""
    unchecked: str = ""
    """Why not all of what it was taught was asked or kept; empty where it was, or ``kept`` says so."""
    checks: Checked | None = None
    exam: Exam | None = None
    schema: int = field(default=SCHEMA)


def made_of(installed: Installed, **more: Any) -> Record:
    """The record, made now, of what came of a training; ``more`` is what that does not say."""
    same = ("adapter", "version", "report", "kept", "unchecked", "checks", "exam")
    return Record(made=time.time(), **{name: getattr(installed, name) for name in same}, **more)


def to_json(record: Record) -> str:
    """One object, with line breaks."""
    return json.dumps(_adapter().dump_python(record, mode="json"), ensure_ascii=False, indent=1) + "\n"


def to_value(record: Record) -> dict[str, Any]:
    """The same for other programs: each share with the ends of its 95 % interval; null where a loss is no number."""
    found: dict[str, Any] = with_intervals(json.loads(to_json(record), parse_constant=lambda _: None))
    return found


def from_json(text: str) -> Record:
    """What ``to_json`` made.

    Raises:
        ValueError: it is none, saying what is wrong.
    """
    from pydantic import ValidationError

    try:
        record: Record = _adapter().validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}") from error
    if record.schema != SCHEMA:
        raise ValueError(f"it is written in form {record.schema}, and this program knows {SCHEMA}")
    if wrong := next(miscounted(record, ""), ""):
        raise ValueError(wrong)
    return record


def miscounted(value: Any, where: str) -> Iterator[str]:
    """Counts in ``value`` that cannot be, each in words; ``where`` is what it is called."""
    if isinstance(value, bool):
        return
    if isinstance(value, int) and not 0 <= value <= MOST:
        yield f"{where} is no count"
    elif isinstance(value, Share) and value.hits > value.of:
        yield f"{where} counts more hits than questions"
    elif isinstance(value, Checked) and value.held > value.of:
        yield f"{where} counts more that hold than were asked"
    if is_dataclass(value):
        for each in fields(value):
            if each.name != "recipe":  # what was asked for, and no count
                yield from miscounted(getattr(value, each.name), f"{where}.{each.name}".lstrip("."))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from miscounted(inner, f"{where}.{key}")
    elif isinstance(value, tuple):
        for inner in value:
            yield from miscounted(inner, where)


def _adapter() -> TypeAdapter[Record]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)
