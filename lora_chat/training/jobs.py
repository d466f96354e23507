"""One training from start to worn. Owns the way from a job's folder to an installed adapter; never imports torch.

What was trained goes through the same door as a stranger's adapter.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lora_chat.adapters.manifest import checked_name
from lora_chat.adapters.signature import BaseSignature
from lora_chat.chat.rows import this_writer
from lora_chat.errors import EngineError, LoraChatError, RefusedError, TrainingError
from lora_chat.paths import Paths
from lora_chat.training.carried import keep_result
from lora_chat.training.events import Cancelled, Failed, Installed, StepDone, Stopped, Trained, TrainingEvent
from lora_chat.training.job import digest
from lora_chat.training.landing import land
from lora_chat.training.proof.examining import Answers
from lora_chat.training.shelf import discard, forget_work, sweep, unfinished_names
from lora_chat.training.state import JobState, claimed, read_state, write_state

_NOTED_S = 5.0
"""How often a job that runs writes down how far it is, for whoever asks from outside."""


class OwnFailure(TrainingError):
    """What went wrong in one of several processes, and perhaps in no other."""


class Runner(Protocol):
    """``Engine.train``."""

    def __call__(
        self,
        job: Path,
        cancel: threading.Event,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""


def check_free(name: str, paths: Paths, *, continued: bool = False) -> None:
    """Refuse, before anything is spent, a name that an adapter already has, or that one is trained for.

    ``continued``: it is to be the next version of the one that has it.

    Raises:
        RefusedError: the name is taken or cannot be one.
    """
    checked_name(name)
    if not continued and any(os.path.lexists(root / name) for root in (paths.adapters, paths.bundled_adapters)):
        raise RefusedError(
            f'There is already an adapter "{name}": teach it more (--continue {name}, in the chat /train continue '
            f"{name}), choose another --name, or remove it with `lora-chat adapter remove {name}`."
        )
    if name in unfinished_names(paths.training):
        raise RefusedError(
            f'A training of "{name}" is not over: choose another name, or delete it with `lora-chat train --discard '
            f"{name}` or /train cancel {name}."
        )


def check_resumable(job: Path) -> JobState:
    """What the folder of a job says, where it can go on.

    Raises:
        RefusedError: it is finished, or what it learns was changed since it was made.
    """
    state = read_state(job)
    if state.kind == "finished":
        raise RefusedError(
            f"The training {job.name} is finished, there is nothing to go on with: it became {state.adapter}."
        )
    if state.data not in ("", digest(job)):
        raise RefusedError(
            f"What the training {job.name} learns was changed since it began: start it again from its source."
        )
    return state


def run_job(
    job: Path,
    run: Runner,
    signature: BaseSignature,
    paths: Paths,
    cancel: threading.Event,
    *,
    pause: threading.Event | None = None,
    stop: threading.Event | None = None,
    alone: bool = False,
    answers: Answers | None = None,
) -> Generator[TrainingEvent, None, None]:
    """Train the job in folder ``job`` and install the result; yields events, ``Installed`` last.

    While ``pause`` is set it waits; the report's seconds leave that out. ``cancel`` deletes the job with all that it
    learns from; ``stop`` keeps it, to go on later, and so does closing this before its end. A finished job keeps what
    it taught; see ``shelf.sweep`` for how long. ``alone`` says that nobody looks on; ``answers`` is whom the checks of
    all that it was taught are asked of.

    Raises:
        TrainingError: it failed.
        RefusedError: it runs elsewhere, what it learns was changed, or the result does not pass the door.
    """
    with claimed(job):
        sweep(paths, but=job)
        record = _Record(job, alone)
        try:
            with closing(run(job, cancel, pause=pause, stop=stop)) as events:  # type: ignore[type-var]
                for event in events:
                    told = event
                    if isinstance(event, Trained):
                        told = yield from land(event, job, signature, paths, answers, lambda: _is_set(cancel, stop))
                    record.note(told)
                    yield told
                    if isinstance(told, Cancelled | Failed):
                        return
        except LoraChatError as error:
            record.fail(error)
            raise
        finally:
            record.close()


def run_away(job: Path, events: Generator[TrainingEvent, None, None]) -> Generator[TrainingEvent, None, None]:
    """Have the job in folder ``job``, which was written out, for as long as ``events`` train it; ``Trained`` last.

    What was trained stays in the folder, with its report, and nothing is installed. Raises as ``run_job``.
    """
    with claimed(job):
        record = _Record(job, alone=True, away=True)
        try:
            with closing(events):
                for event in events:
                    if isinstance(event, Trained):
                        keep_result(job, event)
                    record.note(event)
                    yield event
        except LoraChatError as error:
            record.fail(error)
            raise
        finally:
            record.close()


def _is_set(*events: threading.Event | None) -> bool:
    return any(event is not None and event.is_set() for event in events)


def _reason(event: Installed) -> str:
    """Why it is kept and not worn, without what anybody asked: the folder outlives what is forgotten."""
    lost = event.checks.lost if event.checks is not None else ()
    if event.kept and lost:
        return f"it lost {'a check' if len(lost) == 1 else f'{len(lost):,} checks'} that the version before held."
    return event.kept


def _told(event: Installed) -> str:
    """What came of its checks, likewise: ``41 of 45 checks hold``, ``2 not asked``."""
    if (checks := event.checks) is None:
        return ""
    said = checks.sentence.partition(";")[0].rstrip(".")
    return f"{said}, {checks.unasked:,} not asked" if checks.of and checks.unasked else said


class _Record:
    """What the folder says of the job while it runs, and what is left of it then."""

    def __init__(self, job: Path, alone: bool, away: bool = False) -> None:
        """``away`` says that what it makes stays in its folder. Raises as ``check_resumable``."""
        self._job, self._away = job, away
        self._before = check_resumable(job)
        self._state = self._before.now("running", by=this_writer(), alone=alone, reason="")
        self._end: JobState | None = self._state.now("stopped")
        self._noted = float("-inf")
        write_state(job, self._state)

    def note(self, event: TrainingEvent) -> None:
        """Of all events those that change what the folder says."""
        match event:
            case StepDone():
                self._state = replace(self._state, step=event.step, steps=event.steps)
                self._end = self._state.now("stopped")
                self._note_progress()
            case Stopped():
                self._end = self._state.now("stopped", step=event.step)
            case Installed():
                self._end = self._state.now(
                    "finished", adapter=event.adapter, version=event.version, reason=_reason(event), told=_told(event)
                )
            case Trained():
                self._end = self._state.now("finished", adapter=event.folder)
            case Cancelled():
                self._end = None
            case Failed():
                self._end = self._state.now("failed", reason=event.reason)

    def fail(self, error: LoraChatError) -> None:
        """It cannot go on, but where the engine ended after a step; what began well and is refused may be put right."""
        if isinstance(error, EngineError) and self._state.step:
            self._end = self._state.now("stopped", reason=str(error))
            return
        kept = isinstance(error, RefusedError) and self._before.kind != "waiting"
        self._end = replace(self._before, reason=str(error)) if kept else self._state.now("failed", reason=str(error))

    def close(self) -> None:
        """What a person wrote stays only as long as it is needed."""
        if self._end is None:
            discard(self._job)
            return
        if self._end.kind == "finished" and not self._away:
            forget_work(self._job)
        with suppress(OSError):  # a full disk: a job that nobody has claimed is stopped, whatever it says
            write_state(self._job, self._end)

    def _note_progress(self) -> None:
        if time.monotonic() - self._noted >= _NOTED_S:
            self._noted = time.monotonic()
            with suppress(OSError):
                write_state(self._job, self._state)
