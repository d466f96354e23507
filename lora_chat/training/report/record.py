"""All that is known of one training. Owns the record and its JSON; never measures and never draws.

It holds the person's own words, as an adapter's line does, and is kept there: ``reports/<version>.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lora_chat.training.events import Checked, DatasetReady, Report
from lora_chat.training.proof.result import Exam

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1


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
    checks: Checked | None = None
    exam: Exam | None = None
    schema: int = field(default=SCHEMA)


def to_json(record: Record) -> str:
    """One object, with line breaks."""
    return json.dumps(_adapter().dump_python(record, mode="json"), ensure_ascii=False, indent=1) + "\n"


def from_json(text: str) -> Record:
    """What ``to_json`` made.

    Raises:
        ValueError: it is none, saying what is wrong.
    """
    record: Record = _adapter().validate_python(json.loads(text))
    if record.schema != SCHEMA:
        raise ValueError(f"it is written in form {record.schema}, and this program knows {SCHEMA}")
    return record


def _adapter() -> TypeAdapter[Record]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)
