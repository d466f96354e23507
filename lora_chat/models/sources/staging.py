"""How a pull touches the disk. Owns its lock, its leftovers, the room it needs and how it is interrupted.

Never fetches or converts anything. One pull runs at a time on one ``models/`` folder: the second waits, then finds the
first one's model. So whatever a killed pull left behind is known to be dead, without asking for process ids.
"""

from __future__ import annotations

import errno
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from lora_chat.errors import EngineError, LoraChatError

PARTIAL_DAYS = 7
"""How long half a hub download is kept for resuming."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What Rust (safetensors, tokenizers), pip and Windows print instead of an errno.
_FULL_WORDS = ("No space left on device", "os error 28", "os error 112", "Disk quota exceeded", "not enough space")


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


def no_room(folder: Path, name: str, needed: int) -> EngineError:
    """The sentence for a full disk."""
    free = shutil.disk_usage(folder).free
    wanted = f"about {size(needed)} needed" if needed else "more needed"
    return EngineError(
        f"No room on the disk of {folder} for {name}: {wanted}, {size(free)} free; "
        "free some, or set LORA_CHAT_HOME to another disk."
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether ``error``, or what caused it, is a full disk or quota."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, OSError) and link.errno in _FULL:
            return True
        if any(words in str(link) for words in _FULL_WORDS):
            return True
        link = link.__cause__ or link.__context__
    return False


def says_disk_full(text: str) -> bool:
    """Whether a program's output complains of a full disk."""
    return any(words in text for words in _FULL_WORDS)


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
