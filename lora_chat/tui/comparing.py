"""Asking beside the chat, to compare. Owns what a thread tells of it; what is asked is the sitting's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lora_chat.adapters.registry import read_installed
from lora_chat.adapters.versions import versions
from lora_chat.defects import record
from lora_chat.errors import EngineError, NotFoundError
from lora_chat.session import Wearing
from lora_chat.sitting.checking import refuse_another_base
from lora_chat.sitting.columns import Answered, Comparison, ask_columns
from lora_chat.sitting.comparison import Compared, compare, questions
from lora_chat.sitting.examination import examine_again
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.sitting import Sitting
from lora_chat.training.events import Installed
from lora_chat.training.report.record import Record
from lora_chat.tui.messages import ColumnsSeen, ComparedSeen, News, RestSeen

Put = Callable[[News], object]

Asking = Callable[[Sitting, Put, threading.Event], object]
"""Tells each answer as it comes; the event ends it."""


def before_and_after(plan: Plan | None, trained: Installed, more: Sequence[tuple[str, str]]) -> Asking:
    """What was taught, asked with and without what was trained: each question at once, then each answer.

    Of what an earlier window planned (None), only what was not taught is asked.
    """
    return partial(_before_and_after, plan, trained, more)


def _before_and_after(
    plan: Plan | None,
    trained: Installed,
    more: Sequence[tuple[str, str]],
    sitting: Sitting,
    put: Put,
    cancel: threading.Event,
) -> None:
    asked = questions(plan.selection if plan else None, more)
    for index, question in enumerate(asked):
        put(ComparedSeen(index, Compared(question)))
    adapter = read_installed(Path(trained.path))  # which may be a version that is kept and not worn
    refuse_another_base(adapter, sitting.answerer, sitting.services, "It is compared")
    worn = Wearing(adapter).worn
    for row in compare(sitting.engine, asked, worn, cancel):
        put(ComparedSeen(asked.index(row.question), row))


def the_rest(record: Record) -> Asking:
    """What the examination of a version had no time for: how far it is, then its report with all of it."""
    return partial(_the_rest, record)


def _the_rest(record: Record, sitting: Sitting, put: Put, cancel: threading.Event) -> None:
    name, version = record.adapter, record.version
    try:
        there = versions(name, sitting.services.paths)
        adapter = next((each.adapter for each in there if each.number == version), None)
        if adapter is None:
            raise NotFoundError(f"{name} {version} is not here any more, so that nothing can be asked of it.")
        base = sitting.base_here()
        refuse_another_base(adapter, base, sitting.services, "It is examined")
        engine = sitting.services.own_engine_beside(sitting.engine, base)
        parts = examine_again(adapter, engine, sitting.services.paths, cancel)
        while True:
            try:
                put(RestSeen(name, version, next(parts)))
            except StopIteration as end:
                put(RestSeen(name, version, 1.0, end.value))
                return
    finally:
        put(RestSeen(name, version, 1.0, ended=True))


def in_columns(comparison: Comparison) -> Asking:
    """One question in columns; where a defect ends it, every column that has no end yet says so."""
    return partial(_in_columns, comparison)


def _in_columns(comparison: Comparison, sitting: Sitting, put: Put, cancel: threading.Event) -> None:
    left = set(range(len(comparison.columns)))
    try:
        for event in ask_columns(sitting.session, comparison, cancel):
            put(ColumnsSeen(comparison, event))
            if isinstance(event, Answered):
                left.discard(event.column)
    except Exception as error:
        failure = EngineError(record(error))
        for column in sorted(left):
            put(ColumnsSeen(comparison, Answered(column, failure=failure)))
