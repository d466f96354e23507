"""From trained weights to a version that can be worn. Owns the end of a training: the door, the line, the checks.

A first version is installed. A next one is kept beside the one that is worn and takes its place only where it forgot
nothing: neither a check that held before, nor too much of the base.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from lora_chat.adapters.incoming.source import opened_path
from lora_chat.adapters.install import holds_same, inspect, install_folder, texts_of
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.versions import Version, keep_beside, make_current, next_number, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.chat.conversation import Turn
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.paths import Paths
from lora_chat.text import clean_line
from lora_chat.training.events import Checked, Installed, Preparing, Trained, Wrong
from lora_chat.training.job import Job, read_job
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.proving import Outcome, outcome, prove, spread

MOST_S = 45.0
"""Seconds after which no further check is asked, the earliest first: `lora-chat check` asks the others too."""

_NAMED = 3
"""Lost checks that are named."""

Answers = Callable[[Adapter, tuple[Turn, ...], int], str]
"""What an adapter answers to messages, greedily, in at most so many tokens."""


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
    adapter, line, checked, why = arrived.adapter, Line.of(arrived.adapter.name, paths), None, ""
    try:
        line.teach(job.train, arrived.number, job.heldout, job.after if arrived.is_next else "")
        checked = yield from _checked(line, arrived, answers, ended)
    except (OSError, LoraChatError) as error:  # it is trained all the same
        why = f"what it was taught cannot be kept with it: {error}"
    kept = why or _why_kept(arrived, report.forgot, checked, stopped=ended()) if arrived.is_next else ""
    if arrived.is_next and not kept:
        adapter = make_current(adapter.name, arrived.number, paths).adapter
    return Installed(adapter.name, str(adapter.path), report, arrived.number, checked, kept)


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


def _checked(
    line: Line, arrived: _Arrived, answers: Answers | None, ended: Callable[[], bool]
) -> Generator[Preparing, None, Checked | None]:
    """Ask what it was taught; None where nobody can be asked."""
    version, adapter = arrived.number, arrived.adapter
    known = line.checks(version)
    held = line.proofs(arrived.after) if arrived.after else {}
    asked = spread(known, held)
    found: dict[str, Proved] = {}
    began = time.perf_counter()
    if answers is None or not asked:
        return None
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
    if not found:
        return None
    line.note(version, found)
    return _told(outcome(known, found, held, version))


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
    return "it was stopped before all of its checks were asked." if stopped else ""
