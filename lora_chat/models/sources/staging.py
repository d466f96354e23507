"""How a pull touches the disk. Owns its lock, its leftovers, the room it needs (in memory too) and its interruption.

Never fetches or converts anything. One pull runs at a time on one ``models/`` folder: the second waits, then finds the
first one's model. So whatever a killed pull left behind is known to be dead, without asking for process ids.
"""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from lora_chat import memory
from lora_chat.errors import EngineError, LoraChatError
from lora_chat.files import is_disk_full

PARTIAL_DAYS = 7
"""How long half a hub download is kept for resuming."""


class Progress(Protocol):
    """Tells how far something is: ``what`` in words, ``done`` of ``total`` in any unit; total 0 means unknown."""

    def __call__(self, what: str, done: float, total: float) -> None:
        """Take note of it; called often, so it must be quick."""


@contextmanager
def pulling(models: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of ``models`` and clear away what killed pulls left there."""
    from filelock import FileLock, Timeout

    lock = FileLock(models / ".pull.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("Waiting for another pull to end", 0, 0)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise LoraChatError(f"Cannot lock {models} ({error}): make it writable or set LORA_CHAT_HOME.") from error
    try:
        _sweep(models)
        yield
    finally:
        lock.release()


@contextmanager
def ends_cleanly() -> Iterator[None]:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C, so that staging folders and pip go too; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, _interrupt) for number in (getattr(signal, name) for name in names)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def room_is_said(models: Path, name: str, needed: int) -> Iterator[None]:
    """Turn a full disk, met anywhere below and by whatever library, into one sentence with numbers; full memory too."""
    try:
        yield
    except LoraChatError:
        raise
    except MemoryError as error:
        raise EngineError(f"Not enough memory for {name}: close other programs, or choose a smaller model.") from error
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise no_room(models, name, needed) from error


def require_room(folder: Path, name: str, needed: int) -> None:
    """Refuse before the start when ``needed`` bytes do not fit beside ``folder``.

    Raises:
        EngineError: with the bytes needed and free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise no_room(folder, name, needed)


def require_memory(what: str, needed: int, done: str, remedy: str) -> None:
    """Refuse what can never be ``done`` here: ``needed`` bytes at once are more than this machine has, swap included.

    Raises:
        EngineError: with the bytes needed and there.
    """
    if needed > (there := memory.total()):
        raise EngineError(
            f"{what} needs at least {size(needed)} of memory to be {done} and this machine has {size(there)}, swap "
            f"included: {remedy}."
        )


def no_room(folder: Path, name: str, needed: int) -> EngineError:
    """The sentence for a full disk."""
    free = shutil.disk_usage(folder).free
    wanted = f"about {size(needed)} needed" if needed else "more needed"
    return EngineError(
        f"No room on the disk of {folder} for {name}: {wanted}, {size(free)} free; "
        "free some, or set LORA_CHAT_HOME to another disk."
    )


def size(count: float) -> str:
    """``93 MB``, ``1.5 GB``: decimal, as download pages and disks say it."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count:.0f} bytes"


def _sweep(models: Path) -> None:
    for stale in models.glob(".incoming-*"):
        shutil.rmtree(stale, ignore_errors=True)
    for partial in models.glob(".partial-*"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > PARTIAL_DAYS * 86_400:
                shutil.rmtree(partial, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt  # no Exception: a library that catches those must not swallow it
