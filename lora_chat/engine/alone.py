"""A training without a window. Owns starting and stopping its process, which belongs to no terminal; what runs there is
``training/__main__.py``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lora_chat.chat.rows import is_alive
from lora_chat.engine.process import engine_environment
from lora_chat.paths import make_private

_LARGEST_LOG = 1 << 20


def stop_alone(by: str) -> None:
    """Have the program ``by`` (``pid:start``), which trains alone, stop with a checkpoint; one that is gone has."""
    if is_alive(by):
        with suppress(OSError):
            os.kill(int(by.partition(":")[0]), signal.SIGTERM)


def start_alone(jobs: Sequence[Path], logs: Path) -> int:
    """Train the jobs in these folders, one after the other, in a process of its own; returns its id.

    It is in a session of its own, so that no terminal that closes ends it; SIGTERM stops it with a checkpoint.
    """
    make_private(logs)
    log = logs / "training.log"
    fresh = log.exists() and log.stat().st_size > _LARGEST_LOG
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND), 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lora_chat.training", *map(str, jobs)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=engine_environment(dict(os.environ)),
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        ).pid
    finally:
        os.close(descriptor)
