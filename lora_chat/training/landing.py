"""From trained weights to a version that can be worn. Owns the end of a training: door, line, checks, examination.

A first version is installed. A next one is kept beside the one that is worn and takes its place only where it forgot
nothing: neither a check that held before, nor too much of the base.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lora_chat.adapters.incoming.source import opened_path
from lora_chat.adapters.install import holds_same, inspect, install_folder, texts_of
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.versions import Version, keep_beside, make_current, next_number, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.defects import record
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.paths import Paths
from lora_chat.text import clean_line
from lora_chat.training.events import Checked, Installed, Preparing, Trained, Wrong
from lora_chat.training.job import Job, read_job
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.examining import Answers, examined
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.proving import Outcome, outcome, prove, spread
from lora_chat.training.proof.result import Exam
from lora_chat.training.report.record import Record
from lora_chat.training.report.shelf import keep_report

MOST_S = 45.0
"""Seconds after which no further check is asked, the earliest first: `lora-chat check` asks the others too."""

_EXAM_SHARE, _EXAM_S = 1 / 12, (4.0, 45.0)
"""The examination takes this share of the training's seconds, and not less or more than these; the base with the
examples in its prompt as long again. What there is no time for, `lora-chat report --ask` asks."""

_NAMED = 3
"""Lost checks that are named."""


def land(
    event: Trained,
    folder: Path,
    signature: BaseSignature,
    paths: Paths,
    answers: Answers | None,
    ended: Callable[[], bool],
) -> Generator[Preparing, None, Installed]:
    """Install what the job in ``folder`` made, ask its checks with ``answers``, and say which version is worn.

    ``ended`` says that nobody waits for the checks any more.

    Raises:
        LoraChatError: the adapter does not pass the door, or the disk does not take it.
    """
    began, job = time.perf_counter(), read_job(folder)
    arrived = _brought_in(event, job, signature, paths)
    # The engine's own seconds, and not all since the start: they alone leave out the pauses.
    report = replace(event.report, seconds=event.report.seconds + time.perf_counter() - began)
    adapter, line, why = arrived.adapter, Line.of(arrived.adapter.name, paths), ""
    found = _Found()
    try:
        line.teach(job.train, arrived.number, job.heldout, job.after if arrived.is_next else "")
        if answers is not None:
            found = yield from _found(line, arrived, answers, report.seconds, ended)
    except (OSError, LoraChatError) as error:  # it is trained all the same
        why = f"what it was taught cannot be kept with it: {error}"
    kept = why or _why_kept(arrived, report.forgot, found.checked, stopped=ended()) if arrived.is_next else ""
    if arrived.is_next and not kept:
        adapter = make_current(adapter.name, arrived.number, paths).adapter
    installed = Installed(adapter.name, str(adapter.path), report, arrived.number, found.checked, kept, found.exam)
    with suppress(OSError, LoraChatError):  # what it says was told
        keep_report(line.folder, _record(event, job, installed))
    return installed


@dataclass(frozen=True)
class _Found:
    """What came of asking it."""

    checked: Checked | None = None
    exam: Exam | None = None


def _record(event: Trained, job: Job, installed: Installed) -> Record:
    return Record(
        adapter=installed.adapter,
        version=installed.version,
        base=job.base,
        made=time.time(),
        source=job.source,
        recipe=asdict(job.recipe),
        report=installed.report,
        saw=event.saw,
        losses=event.losses,
        heldout=event.heldout,
        after=job.after,
        replayed=job.replayed,
        kept=installed.kept,
        checks=installed.checks,
        exam=installed.exam,
    )


@dataclass(frozen=True)
class _Arrived:
    """What came through the door."""

    adapter: Adapter
    number: str
    """Its version."""
    is_next: bool = False
    """Whether it is one more version of an adapter that is there."""
    worn: str = ""
    """The version that is worn until now."""
    after: str = ""
    """The version that it grew from."""


def _brought_in(event: Trained, job: Job, signature: BaseSignature, paths: Paths) -> _Arrived:
    """Through the door: an adapter of its own, or beside the version it grew from, where that is still there."""
    there = _versions_with_start(job, paths)
    if not there:
        return _Arrived(install_folder(Path(event.folder), paths, job.name, signature).adapter, job.version)
    with opened_path(Path(event.folder), paths) as found:
        candidate = inspect(found, job.name, signature)
    from_it = next((each for each in there if each.number == job.after), there[0]).adapter
    old = from_it.manifest
    candidate = replace(
        candidate,
        texts=texts_of(from_it.path),
        manifest=replace(
            candidate.manifest, description=old.description, license=old.license, authors=old.authors, chat=old.chat
        ),
    )
    try:
        kept = keep_beside(candidate, job.name, job.version, paths)
    except RefusedError:  # another training of it has taken the number meanwhile
        kept = keep_beside(candidate, job.name, next_number(job.name, paths), paths)
    worn = next((each.number for each in there if each.current), "")
    return _Arrived(kept.adapter, kept.number, is_next=True, worn=worn, after=job.after)


def _versions_with_start(job: Job, paths: Paths) -> list[Version]:
    """All versions of the adapter, where one of them holds the weights that the job started from; else none."""
    if job.start is None:
        return []
    try:
        found, begun = versions(job.name, paths), read_adapter(job.start)
    except LoraChatError:  # it was removed meanwhile
        return []
    return found if any(holds_same(each.path, begun) for each in found) else []


def _found(
    line: Line, arrived: _Arrived, answers: Answers, trained_s: float, ended: Callable[[], bool]
) -> Generator[Preparing, None, _Found]:
    """Ask what it was taught, then what it was not."""
    version, adapter, exam = arrived.number, arrived.adapter, None
    known = line.checks(version)
    held = line.proofs(arrived.after) if arrived.after else {}
    proofs = yield from _proofs(spread(known, held), adapter, answers, ended)
    if not proofs:
        return _Found()
    line.note(version, proofs)
    least, most = _EXAM_S
    try:
        seconds = min(max(_EXAM_SHARE * trained_s, least), most)
        examining = examined(line, adapter, version, answers, seconds, proofs, ended)
        exam = yield from _told_as("it is examined", examining)
    except LoraChatError:
        pass  # `lora-chat report --ask` examines it again
    except Exception as error:  # a defect of the examination is none of the adapter, which is installed
        record(error)
    return _Found(_told(outcome(known, proofs, held, version)), exam)


def _told_as(what: str, parts: Generator[float, None, Exam | None]) -> Generator[Preparing, None, Exam | None]:
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            exam: Exam | None = end.value
            return exam
        yield Preparing(what, part)


def _proofs(
    asked: list[Check], adapter: Adapter, answers: Answers, ended: Callable[[], bool]
) -> Generator[Preparing, None, dict[str, Proved]]:
    found: dict[str, Proved] = {}
    began = time.perf_counter()
    try:
        for check, proved in prove(asked, lambda messages, longest: answers(adapter, messages, longest)):
            if ended():
                break  # an answer that was cut short proves nothing
            found[check.id] = proved
            yield Preparing("its corrections are asked", len(found) / len(asked))
            if time.perf_counter() - began > MOST_S:
                break
    except LoraChatError:
        pass  # it is trained and kept: `lora-chat check` asks again
    return found


def _told(found: Outcome) -> Checked:
    return Checked(
        of=found.of,
        held=found.held,
        new=found.new,
        lost=tuple(_wrong(*each) for each in found.lost),
        wrong=tuple(_wrong(*each) for each in found.wrong),
        unasked=found.left,
        sentence=found.sentence,
    )


def _wrong(check: Check, proved: Proved) -> Wrong:
    question, answer = proved.wrong[0]
    return Wrong(question, check.answer, answer)


def _why_kept(arrived: _Arrived, forgot: str, checked: Checked | None, *, stopped: bool) -> str:
    """Why a next version does not take the place of the one before; empty where nothing speaks against it."""
    if checked is not None and checked.lost:
        lost = "a check that" if len(checked.lost) == 1 else f"{len(checked.lost):,} checks that"
        named = ", ".join(f"“{clean_line(each.question, 60)}”" for each in checked.lost[:_NAMED])
        more = f" and {len(checked.lost) - _NAMED:,} more" if len(checked.lost) > _NAMED else ""
        return f"it lost {lost} the version before held: {named}{more}."
    if forgot:
        return forgot
    if arrived.worn not in (arrived.after, arrived.number):
        return f"it grew from {arrived.after}, and {arrived.worn} is worn meanwhile."
    return "it was stopped before all that it knows was asked." if stopped else ""
