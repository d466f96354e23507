"""An adapter examined again, and its examples as a preset. Owns where both come from; never shows one."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import replace

from lora_chat.adapters.manifest import numbered
from lora_chat.adapters.registry import Adapter
from lora_chat.chat.preset import Preset, keep_preset, preset_names
from lora_chat.engine.asking import answering
from lora_chat.engine.protocol import Engine
from lora_chat.errors import NotFoundError
from lora_chat.paths import Paths
from lora_chat.training.proof.examining import examined
from lora_chat.training.proof.examples import examples_of
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

    What the report knows already is not asked again, and what was asked until ``cancel`` counts.

    Raises:
        NotFoundError: as ``kept_report``, or its checks are gone.
        StoreError: as ``Line.checks`` and ``keep_report``.
        LoraChatError: as ``Engine.generate``.
    """
    record, line = kept_report(adapter.name, adapter.version, paths), Line.of(adapter.name, paths)
    exam = yield from examined(
        line,
        adapter,
        adapter.version,
        answering(engine, cancel),
        seconds,
        ended=cancel.is_set,
        earlier=record.exam,
        most=None,
    )
    if exam is not None and (record.exam is None or exam.answers != record.exam.answers):
        record = replace(record, exam=exam)
        keep_report(line.folder, record)
    elif exam is None and not line.checks(adapter.version):
        raise NotFoundError(f"{adapter.name} {adapter.version} has no checks that it could be examined on.")
    return record


def as_preset(name: str, version: str, paths: Paths, called: str = "") -> Preset:
    """Keep all that a version of the adapter ``name`` was taught as a preset, by default of a free name like its own.

    Raises:
        NotFoundError: nothing is known of what it was taught.
        RefusedError: as ``keep_preset``.
        StoreError: as ``Line.lessons``.
    """
    examples = examples_of(Line.of(name, paths).lessons(version, learnt=True))
    if not examples.pairs:
        raise NotFoundError(f"Nothing is known of what {name} {version} was taught that could stand in a prompt.")
    taken = preset_names(paths)
    free = called or next(each for each in numbered(name) if each not in taken)
    preset = Preset(free, examples.system, examples.pairs, f"What {name} {version} was taught.")
    keep_preset(preset, paths)
    return preset
