"""``python -P -m lora_chat.training JOBFOLDER…``: trainings without a window. Owns that program; never asks anybody.

A job of this home is installed through the same door at its end, and what came of it stands in its folder, where the
next start of lora-chat reads it. One that was written out (``train --write-job``) needs no home: what it makes stays in
its folder. Started by ``torchrun`` or ``accelerate launch``, several processes train one of those together.

What is printed holds no message text: one JSON object a line, or with a job that was written out, unless ``--json`` is
said, a line for a person.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lora_chat.chat.rows import this_writer
from lora_chat.errors import Interrupted, LoraChatError, UsageError
from lora_chat.paths import Paths, find_paths
from lora_chat.text import clean, clean_line
from lora_chat.training.events import (
    DatasetReady,
    Evaluated,
    Preparing,
    Resumed,
    StepDone,
    Stopped,
    Trained,
    TrainingEvent,
    as_json,
)
from lora_chat.training.job import Job, read_job
from lora_chat.training.job_file import Model
from lora_chat.training.jobs import OwnFailure, run_job
from lora_chat.training.state import read_state, write_state

_TEXT = ("checks", "kept", "exam")
"""Of an event what holds text."""
_UNSAID = ("step", "sampled")
"""Events that are not printed of a job of this home: there are many of the first, and the second hold text."""
_TOLD_S = 10.0
"""Between two steps that a person is told of."""


@dataclass
class Said:
    """The words of the command line."""

    jobs: list[Path]
    base: Path | None
    json: bool


def main() -> int:
    """Run the jobs named on the command line, one after the other; the exit code of the last that failed, else 0."""
    said, paths, stop, code = parsed(sys.argv[1:]), find_paths(os.environ), threading.Event(), 0
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    for folder in said.jobs:
        state = read_state(folder)
        if state.kind == "waiting":  # nobody else shall think that it has no turn
            write_state(folder, state.now("waiting", by=this_writer()))
    for folder in said.jobs:
        if stop.is_set():
            break
        job: Job | None = None
        try:
            job = read_job(folder)
            if job.model is None:
                _run_here(folder, job, said, paths, stop)
            else:
                _run_away(folder, job, job.model, said, paths, stop)
        except LoraChatError as error:  # its sentence stands in the folder; the others have their turn
            _fail(folder, error, job, said)
            code = error.exit_code
    return code


def parsed(words: list[str]) -> Said:
    """What ``words`` say. Raises SystemExit as argparse does."""
    parser = argparse.ArgumentParser("python -m lora_chat.training", description="Train jobs without a window.")
    parser.add_argument("jobs", metavar="JOB", nargs="+", type=Path, help="A job's folder.")
    parser.add_argument("--base", metavar="FOLDER", type=Path, help="Where the base lies, if it was not pulled.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")
    found = parser.parse_args(words)
    return Said(found.jobs, found.base, found.json)


def _run_here(folder: Path, job: Job, said: Said, paths: Paths, stop: threading.Event) -> None:
    from lora_chat.engine.asking import answering
    from lora_chat.engine.factory import open_local_for
    from lora_chat.models.installed import find_base

    if said.base is not None:
        raise UsageError(f"The job {folder.name} is of this home and knows its base: leave --base out.")
    base = find_base(paths.models, job.base)
    engine = open_local_for(base, paths)
    try:
        asked, cancel = answering(engine, threading.Event()), threading.Event()
        for event in run_job(folder, engine.train, base.signature, paths, cancel, stop=stop, alone=True, answers=asked):
            if event.event not in _UNSAID:
                _print({"job": folder.name} | {key: each for key, each in as_json(event).items() if key not in _TEXT})
    finally:
        engine.close()


def _run_away(folder: Path, job: Job, model: Model, said: Said, paths: Paths, stop: threading.Event) -> None:
    from lora_chat.engine.factory import quiet_and_offline
    from lora_chat.engine.kept import kept_for
    from lora_chat.models.catalog import resolve
    from lora_chat.models.sources import pull
    from lora_chat.training.carried import GENERAL, check_base, find_base_of
    from lora_chat.training.overrides import check_ranges

    check_ranges(job.recipe)
    quiet_and_offline()
    from lora_chat.training.headless import Headless

    with ExitStack() as stack:
        if said.base is None:
            base = find_base_of(job, paths.models)
            general = kept_for(base, paths).general_answers
        else:
            record = stack.enter_context(tempfile.TemporaryDirectory(prefix="lora-chat-base-"))
            there = find_paths({"LORA_CHAT_HOME": record})
            base = check_base(job, pull(resolve(str(said.base.absolute())), there, _silent))
            general = folder / GENERAL
        if base.signature.weights != model.weights and not said.json:
            _note(f"The base has other weights than where {job.name} was written, of the same shapes: they are used.")
        tell = _tell_as_json if said.json else _Teller(folder).tell
        for event in Headless(folder, base, general, stop).run():
            tell(event)
            if isinstance(event, Stopped):
                at = f"after {event.step:,} steps" if event.step else "before its first step"
                raise Interrupted(f"The training of {job.name} was stopped {at}: the same command goes on with it.")


def _tell_as_json(event: TrainingEvent) -> None:
    if event.event != "sampled":
        _print(as_json(event))


class _Teller:
    """Says to a person how one job goes, in lines that a log can take."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = float("-inf")
        self._preparing = ""

    def tell(self, event: TrainingEvent) -> None:
        """One event, if it is worth a line."""
        match event:
            case DatasetReady():
                _note(f"{event.examples:,} answers in {event.conversations:,} conversations, {event.tokens:,} tokens")
            case Preparing() if event.what != self._preparing:
                self._preparing = event.what
                _note(f"{event.what.capitalize()} …")
            case Resumed():
                _note(f"Beginning anew, as {event.reason}" if event.reason else f"Going on from step {event.step:,}")
            case StepDone() if time.monotonic() - self._last >= _TOLD_S or event.step == event.steps:
                self._last = time.monotonic()
                left = f"{event.eta_s / 60:,.0f} min" if event.eta_s >= 90 else f"{event.eta_s:,.0f} s"
                _note(
                    f"step {event.step:,} of at most {event.steps:,} · loss {event.loss:.3f} · "
                    f"{event.tokens_per_second:,.0f} tokens/s · {left} left"
                )
            case Evaluated():
                _note(f"held-out loss {event.heldout_loss:.3f} after step {event.step:,}")
            case Trained():
                report = event.report
                _note(f"{report.steps:,} steps in {report.seconds:,.0f} s: {report.stopped_because}")
                if report.forgot:
                    _note(clean_line(report.forgot, 300))
                _answer(f"The adapter lies in {event.folder}: lora-chat adapter install {self._folder}")


def _fail(folder: Path, error: LoraChatError, job: Job | None, said: Said) -> None:
    if job is not None and job.model is None:
        _print({"event": "failed", "job": folder.name, "kind": type(error).__name__})
        return
    is_first = os.environ.get("RANK", "0") == "0"  # as torchrun and accelerate launch say
    if is_first or isinstance(error, OwnFailure):
        if said.json:
            _print({"event": "failed", "reason": str(error)})
        _note(f"lora-chat: {error}")


def _silent(what: str, done: float, total: float, figures: str = "") -> None:
    """Progress that nobody looks at."""


def _note(line: str) -> None:
    sys.stderr.write(clean(line) + "\n")
    sys.stderr.flush()


def _answer(line: str) -> None:
    sys.stdout.write(clean(line) + "\n")
    sys.stdout.flush()


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
