"""What became of a training job so far. Owns ``state.json`` and the lock in the job's folder; never trains."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from lora_chat.chat.rows import is_alive
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.files import write_durably

Kind = Literal["waiting", "running", "stopped", "finished", "failed"]

_STATE, _LOCK = "state.json", "lock"
CHECKPOINT = "checkpoint-"
"""What the folder of one begins with; the step follows."""
_PATIENCE_S = 1.0
"""For the lock: who only looks whether a job runs has it for a moment."""


@dataclass(frozen=True)
class JobState:
    """One moment of a job."""

    kind: Kind
    data: str = ""
    """Digest of what it learns and how, from when it was made."""
    since: float = 0.0
    """In Unix seconds."""
    by: str = ""
    """The program that runs it, will in its turn, or did last: ``pid:start``."""
    alone: bool = False
    """Whether that has no window: it was left to finish, and somebody will want to know what came of it."""
    step: int = 0
    steps: int = 0
    """Most it may take; 0 before the first."""
    adapter: str = ""
    """What it became."""
    reason: str = ""
    """Why it failed, did not go on, or is kept and not worn, in one sentence."""
    version: str = ""
    """Which one of that."""
    told: str = ""
    """What came of its checks, without their words."""

    @property
    def is_somebodys(self) -> bool:
        """Whether it waits for its turn in a program that is alive."""
        return self.kind == "waiting" and is_alive(self.by)

    def now(self, kind: Kind, **changes: object) -> JobState:
        """The same job, otherwise from now on."""
        return replace(self, kind=kind, since=time.time(), **changes)  # type: ignore[arg-type]


def read_state(folder: Path) -> JobState:
    """What the folder says; one that says nothing readable was begun by an older program, and is over."""
    try:
        return JobState(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return JobState("failed", reason="its folder does not say how far it is")


def current_state(folder: Path) -> JobState:
    """The same, but that what a killed program was running is stopped, where its newest checkpoint is."""
    state = read_state(folder)
    if state.kind != "running" or is_claimed(folder):
        return state
    steps = [each.name.removeprefix(CHECKPOINT) for each in folder.glob(f"{CHECKPOINT}*")]
    return replace(state, kind="stopped", step=max((int(step) for step in steps if step.isdecimal()), default=0))


def write_state(folder: Path, state: JobState) -> None:
    """Say so in the folder, durably."""
    write_durably(folder / _STATE, json.dumps(asdict(state), indent=1).encode())


def release(folder: Path) -> None:
    """One that waits for its turn here is anybody's from now on."""
    write_state(folder, replace(read_state(folder), by=""))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have the job for oneself; the system takes the lock from a program that dies.

    Raises:
        RefusedError: another program, or another part of this one, has it.
        NotFoundError: it is gone.
    """
    from filelock import FileLock, Timeout

    if not folder.is_dir():
        raise NotFoundError(f"The training job {folder.name} is gone: `lora-chat train --jobs` lists those there are.")
    lock = FileLock(folder / _LOCK, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE_S, poll_interval=0.02)
    except Timeout as error:
        raise RefusedError(
            f"The training {folder.name} runs in another program: wait for it, or stop it there first."
        ) from error
    except OSError as error:
        raise RefusedError(f"Cannot lock {folder} ({error.strerror}): make it writable.") from error
    try:
        yield
    finally:
        lock.release()


def is_claimed(folder: Path) -> bool:
    """Whether a program that is alive has it."""
    from filelock import FileLock, Timeout

    if not (folder / _LOCK).exists():
        return False
    try:
        with FileLock(folder / _LOCK, mode=0o600, thread_local=False).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
