"""From trained weights to a version that can be worn. Owns the end of a training: the door, the line, the checks.

A first version is installed. A next one is kept beside the one that is worn and takes its place only where it forgot
nothing: neither a check that held before, nor too much of the base.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from lora_chat.adapters.incoming.source import opened_path
from lora_chat.adapters.install import inspect, install_folder
from lora_chat.adapters.registry import Adapter
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.versions import keep_beside, make_current, next_number, versions
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
    adapter, version, before = _brought_in(event, job, signature, paths)
    # The engine's own seconds, and not all since the start: they alone leave out the pauses.
    report = replace(event.report, seconds=event.report.seconds + time.perf_counter() - began)
    line = Line.of(adapter.name, paths)
    line.teach(job.train, version, job.heldout)
    checked = yield from _checked(line, adapter, version, before, answers, ended)
    kept = _why_kept(report.forgot, checked) if job.start else ""
    if job.start and not kept:
        adapter = make_current(adapter.name, version, paths).adapter
    return Installed(adapter.name, str(adapter.path), report, version, checked, kept)


def _brought_in(event: Trained, job: Job, signature: BaseSignature, paths: Paths) -> tuple[Adapter, str, str]:
    """Through the door: the adapter, its version, and the version that was worn until now."""
    if job.start is None:
        return install_folder(Path(event.folder), paths, job.name, signature).adapter, job.version, ""
    with opened_path(Path(event.folder), paths) as found:
        candidate = inspect(found, job.name, signature)
    worn = next((each.number for each in versions(job.name, paths) if each.current), "")
    try:
        kept = keep_beside(candidate, job.name, job.version, paths)
    except RefusedError:  # another training of it has taken the number meanwhile
        kept = keep_beside(candidate, job.name, next_number(job.name, paths), paths)
    return kept.adapter, kept.number, worn


def _checked(
    line: Line, adapter: Adapter, version: str, before: str, answers: Answers | None, ended: Callable[[], bool]
) -> Generator[Preparing, None, Checked | None]:
    """Ask what it was taught; None where nobody can be asked."""
    known = line.checks(version)
    held = line.proofs(before) if before else {}
    asked = spread(known, held)
    if answers is None or not asked:
        return None
    found: dict[str, Proved] = {}
    began = time.perf_counter()
    try:
        for check, proved in prove(asked, lambda messages, longest: answers(adapter, messages, longest)):
            if ended():
                return None  # an answer that was cut short proves nothing
            found[check.id] = proved
            yield Preparing("its corrections are asked", len(found) / len(asked))
            if time.perf_counter() - began > MOST_S:
                break
    except LoraChatError:
        return None  # it is trained and installed: `lora-chat check` asks again
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


def _why_kept(forgot: str, checked: Checked | None) -> str:
    """Why a next version does not take the place of the one before; empty where nothing speaks against it."""
    if checked is None or not checked.lost:
        return forgot
    lost = "a check that" if len(checked.lost) == 1 else f"{len(checked.lost):,} checks that"
    named = ", ".join(f"“{clean_line(each.question, 60)}”" for each in checked.lost[:_NAMED])
    more = f" and {len(checked.lost) - _NAMED:,} more" if len(checked.lost) > _NAMED else ""
    return f"it lost {lost} the version before held: {named}{more}."
