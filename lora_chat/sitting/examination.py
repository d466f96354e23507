"""An adapter examined again, and its examples as a preset. Owns where both come from; never shows one."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import replace

from lora_chat.adapters.registry import Adapter
from lora_chat.engine.asking import answering
from lora_chat.engine.protocol import Engine
from lora_chat.errors import NotFoundError
from lora_chat.paths import Paths
from lora_chat.training.proof.examining import examined
from lora_chat.training.proof.line import Line
from lora_chat.training.report.record import Record
from lora_chat.training.report.shelf import keep_report, report

WHOLE_S = 3_600.0
"""Seconds for all questions."""


def kept_report(name: str, version: str, paths: Paths) -> Record:
    """The report of one version.

    Raises:
        NotFoundError: none is kept, as of what was trained elsewhere.
        StoreError: it is damaged.
    """
    found = report(Line.of(name, paths).folder, version)
    if found is None:
        raise NotFoundError(f"No report of {name} {version} is kept: one comes of each training here.")
    return found


def examine_again(
    adapter: Adapter, engine: Engine, paths: Paths, cancel: threading.Event, seconds: float = WHOLE_S
) -> Generator[float, None, Record]:
    """Ask all that an examination has, and keep it in the report; yields the part that is done.

    What was asked until ``cancel`` counts, where the report does not know more already.

    Raises:
        NotFoundError: as ``kept_report``, or its checks are gone.
        StoreError: as ``Line.checks`` and ``keep_report``.
        LoraChatError: as ``Engine.generate``.
    """
    record, line = kept_report(adapter.name, adapter.version, paths), Line.of(adapter.name, paths)
    exam = yield from examined(line, adapter, adapter.version, answering(engine, cancel), seconds, ended=cancel.is_set)
    if exam is None:
        raise NotFoundError(f"{adapter.name} {adapter.version} has no checks that it could be examined on.")
    if len(exam.answers) >= len(record.exam.answers if record.exam else ()):  # stopped early it may know less
        record = replace(record, exam=exam)
        keep_report(line.folder, record)
    return record
