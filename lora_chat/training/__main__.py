"""``python -P -m lora_chat.training JOBFOLDER…``: trainings without a window. Owns that program; never asks anybody.

Each is installed through the same door at its end. What is printed, one JSON object a line, holds no message text; what
came of each stands in its folder, where the next start of lora-chat reads it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from lora_chat.chat.rows import this_writer
from lora_chat.errors import LoraChatError
from lora_chat.paths import Paths, find_paths
from lora_chat.training.events import as_json
from lora_chat.training.job import read_job
from lora_chat.training.jobs import run_job
from lora_chat.training.state import read_state, write_state

_TEXT = ("checks", "kept", "exam")
"""Of an event what holds text."""
_UNSAID = ("step", "sampled")
"""Events that are not printed: there are many of the first, and the second hold text."""


def main() -> int:
    """Run the jobs named on the command line, one after the other; the exit code of the last that failed, else 0."""
    paths, stop, code = find_paths(os.environ), threading.Event(), 0
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    folders = list(map(Path, sys.argv[1:]))
    for folder in folders:
        state = read_state(folder)
        if state.kind == "waiting":  # nobody else shall think that it has no turn
            write_state(folder, state.now("waiting", by=this_writer()))
    for folder in folders:
        if stop.is_set():
            break
        try:
            _run(folder, paths, stop)
        except LoraChatError as error:  # its sentence stands in the folder; the others have their turn
            _print({"event": "failed", "job": folder.name, "kind": type(error).__name__})
            code = error.exit_code
    return code


def _run(folder: Path, paths: Paths, stop: threading.Event) -> None:
    from lora_chat.engine.asking import answering
    from lora_chat.engine.factory import open_local_for
    from lora_chat.models.installed import find_base

    base = find_base(paths.models, read_job(folder).base)
    engine = open_local_for(base, paths)
    try:
        asked, cancel = answering(engine, threading.Event()), threading.Event()
        for event in run_job(folder, engine.train, base.signature, paths, cancel, stop=stop, alone=True, answers=asked):
            if event.event not in _UNSAID:
                _print({"job": folder.name} | {key: each for key, each in as_json(event).items() if key not in _TEXT})
    finally:
        engine.close()


def _print(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
