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
from lora_chat.adapters.install import Candidate, holds_same, inspect, install, texts_of
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.versions import Version, keep_beside, make_current, next_number, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.defects import record
from lora_chat.errors import LoraChatError, RefusedError, StoreError
from lora_chat.paths import Paths
from lora_chat.text import clean_line
from lora_chat.training.events import Checked, Installed, Preparing, Trained, Wrong
from lora_chat.training.job import Job, read_job
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.examining import Answers, examined
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.notes import noting
from lora_chat.training.proof.proving import Outcome, in_order, outcome, prove
from lora_chat.training.proof.result import Exam
from lora_chat.training.report.record import Record, made_of
from lora_chat.training.report.shelf import keep_report

_EXAM_SHARE, _EXAM_S = 1 / 12, (2.5, 45.0)
"""The examination takes this share of the training's seconds, and not less or more than these; the base with the
examples in its prompt as long again. What there is no time for, `lora-chat report --ask` asks."""

_NAMED = 3
"""Lost checks that are named."""


def land(
    event: Trained,
    folder: Path,
    signature: BaseSignature | None,
    paths: Paths,
    answers: Answers | None,
    ended: Callable[[], bool],
    job: Job | None = None,
) -> Generator[Preparing, None, Installed]:
    """Install what the job in ``folder`` made, ask its checks with ``answers``, and say which version is worn.

    ``ended`` says that nobody waits for the checks any more; ``job`` is what the folder says, where it was read. What
    was trained elsewhere may come to a machine without its base: then there is no ``signature`` and nobody to ask.

    Raises:
        LoraChatError: the adapter does not pass the door, or the disk does not take it.
    """
    began, job = time.perf_counter(), job or read_job(folder)
    arrived = _brought_in(event, job, signature, paths)
    # The engine's own seconds, and not all since the start: they alone leave out the pauses.
    report = replace(event.report, seconds=event.report.seconds + time.perf_counter() - began)
    adapter, line, found = arrived.adapter, Line.of(arrived.adapter.name, paths), _Found()
    try:
        line.teach(job.train, arrived.number, job.heldout, job.after if arrived.is_next else "")
        _take_over(line, job, paths)
        found = yield from _found(line, arrived, answers, report.seconds, ended)
    except (OSError, LoraChatError) as error:  # it is trained all the same
        found = replace(found, why=_sentence(f"what it was taught cannot be kept with it: {error}"))
    kept = _why_kept(arrived, report.forgot, found, _worn(job.name, paths)) if arrived.is_next else ""
    if arrived.is_next and not kept:
        try:
            adapter = make_current(adapter.name, arrived.number, paths).adapter
        except (OSError, LoraChatError) as error:
            kept = _sentence(f"it cannot take the place of the one before: {error}")
    installed = Installed(
        adapter.name,
        str(adapter.path),
        report,
        arrived.number,
        found.checked,
        kept,
        found.exam,
        unchecked="" if arrived.is_next else found.why,
    )
    with suppress(OSError, LoraChatError):  # what it says was told
        keep_report(line.folder, _record(event, job, installed))
    return installed


@dataclass(frozen=True)
class _Found:
    """What came of asking it."""

    checked: Checked | None = None
    exam: Exam | None = None
    why: str = ""
    """Why not all was asked, in a sentence that begins small; empty where all was."""


def _take_over(line: Line, job: Job, paths: Paths) -> None:
    """What was said of the checks of the adapter whose lessons these are, where the job teaches another base."""
    name, version = job.checks_of
    if name:
        with suppress(StoreError):  # a damaged one is that adapter's
            line.take_over(Line.of(name, paths).checks(version, dropped=True))


def _record(event: Trained, job: Job, installed: Installed) -> Record:
    return made_of(
        installed,
        base=job.base,
        source=job.source,
        recipe=asdict(job.recipe),
        saw=event.saw,
        losses=event.losses,
        heldout=event.heldout,
        after=job.after,
        replayed=job.replayed,
    )


@dataclass(frozen=True)
class _Arrived:
    """What came through the door."""

    adapter: Adapter
    number: str
    """Its version."""
    is_next: bool = False
    """Whether it is one more version of an adapter that is there."""
    after: str = ""
    """The version that it grew from."""
    before: Adapter | None = None
    """That version, where it is there."""


def _brought_in(event: Trained, job: Job, signature: BaseSignature | None, paths: Paths) -> _Arrived:
    """Through the door: an adapter of its own, or beside the version it grew from, where that is still there."""
    there = _versions_with_start(job, paths)
    with opened_path(Path(event.folder), paths) as found:
        candidate = inspect(found, job.name, signature)
    if not there:
        taught_before = next(
            (each for each in _versions(job.checks_of[0], paths) if each.number == job.checks_of[1]), None
        )
        return _Arrived(install(_called_as(candidate, taught_before), paths).adapter, job.version)
    before = next((each for each in there if each.number == job.after), None)
    from_it = before or there[0]
    candidate = replace(_called_as(candidate, from_it), texts=texts_of(from_it.path))
    try:
        kept = keep_beside(candidate, job.name, job.version, paths)
    except RefusedError:  # another training of it has taken the number meanwhile
        kept = keep_beside(candidate, job.name, next_number(job.name, paths), paths)
    known = before.adapter if before else None
    return _Arrived(kept.adapter, kept.number, is_next=True, after=job.after, before=known)


def _called_as(candidate: Candidate, before: Version | None) -> Candidate:
    """It says of itself what the one says from which it learnt; its chat begins in the same way."""
    if before is None:
        return candidate
    old, new = before.adapter.manifest, candidate.manifest
    new = replace(new, description=old.description, license=old.license, authors=old.authors, chat=old.chat)
    return replace(candidate, manifest=new)


def _worn(name: str, paths: Paths) -> str:
    """The version that is worn now; empty where there is none."""
    return next((each.number for each in _versions(name, paths) if each.current), "")


def _versions(name: str, paths: Paths) -> list[Version]:
    """All versions of an adapter; none where it is not there."""
    with suppress(LoraChatError):
        return versions(name, paths) if name else []
    return []


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
    line: Line, arrived: _Arrived, answers: Answers | None, trained_s: float, ended: Callable[[], bool]
) -> Generator[Preparing, None, _Found]:
    """Ask all that it was taught, then what it was not."""
    version, adapter, exam = arrived.number, arrived.adapter, None
    known = line.checks(version)
    if answers is None:
        return _Found(why="nobody was there to ask what it was taught." if known else "")
    held = line.proofs(arrived.after) if arrived.after else {}
    what = "its corrections are asked"
    proofs, why = yield from _proofs(what, in_order(known, held), adapter, line, version, answers, ended)
    if not proofs:
        return _Found(why=why)
    if arrived.before is not None and not why:
        # Anew, as it may never have been asked, or have been judged otherwise.
        missed = [check for check in known if check.version != version and check.id in proofs]
        missed = [check for check in missed if not proofs[check.id].held]
        what = "what the version before knew is asked"
        before, why = yield from _proofs(what, missed, arrived.before, line, arrived.after, answers, ended)
        held = held | before
    least, most = _EXAM_S
    try:
        seconds = min(max(_EXAM_SHARE * trained_s, least), most)
        examining = examined(line, adapter, version, answers, seconds, proofs, ended)
        exam = yield from _told_as("it is examined", examining)
    except LoraChatError:
        pass  # `lora-chat report --ask` examines it again
    except Exception as error:  # a defect of the examination is none of the adapter, which is installed
        record(error)
    # What was changed or deleted while it was asked is not what was asked.
    as_asked = {check.id: check for check in known}
    known = line.checks(version)
    proofs = {check.id: proofs[check.id] for check in known if check.id in proofs and check == as_asked[check.id]}
    return _Found(_told(outcome(known, proofs, held, version)), exam, why)


def _told_as(what: str, parts: Generator[float, None, Exam | None]) -> Generator[Preparing, None, Exam | None]:
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            exam: Exam | None = end.value
            return exam
        yield Preparing(what, part)


def _proofs(
    what: str,
    asked: list[Check],
    adapter: Adapter,
    line: Line,
    version: str,
    answers: Answers,
    ended: Callable[[], bool],
) -> Generator[Preparing, None, tuple[dict[str, Proved], str]]:
    """What ``adapter``, which is ``version``, makes of them, kept as it comes; and why not all were asked.

    What fits in no window is left out and counts as not asked; it is a reason only where nothing could be asked.
    """
    found: dict[str, Proved] = {}
    refused: list[RefusedError] = []
    try:
        with noting(line, version) as notes:
            for check, proved in prove(
                asked, lambda messages, longest: answers(adapter, messages, longest), refused=refused.append
            ):
                if ended():  # an answer that was cut short proves nothing
                    return found, "it was stopped before all that it knows was asked."
                found[check.id] = proved
                notes.add(check.id, proved)
                yield Preparing(what, len(found) / len(asked))
    except LoraChatError as error:
        return found, _sentence(f"not all that it was taught could be asked: {error}")
    if refused and not found:
        return found, _sentence(f"nothing that it was taught could be asked: {refused[0]}")
    return found, ""


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


def _why_kept(arrived: _Arrived, forgot: str, found: _Found, worn: str) -> str:
    """Why a next version does not take the place of the one before; empty where nothing speaks against it."""
    checked = found.checked
    if checked is not None and checked.lost:
        lost = "a check that" if len(checked.lost) == 1 else f"{len(checked.lost):,} checks that"
        named = ", ".join(f"“{clean_line(each.question, 60)}”" for each in checked.lost[:_NAMED])
        more = f" and {len(checked.lost) - _NAMED:,} more" if len(checked.lost) > _NAMED else ""
        return f"it lost {lost} the version before held: {named}{more}."
    if forgot:
        return forgot
    if worn not in (arrived.after, arrived.number):
        return f"it grew from {arrived.after}, and {worn} is worn meanwhile."
    return found.why


def _sentence(why: str) -> str:
    return why if why.endswith((".", "!", "?")) else f"{why}."
