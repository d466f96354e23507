"""Memory of this process and this machine. Owns asking for it and giving it back; never decides what is used."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use (cgroup v2, `memory.max` and what is used of it)."""


def give_back() -> None:
    """Free what is only held in circles, and have the C library return free pages, where it can (glibc)."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # another C library; on Windows there is no such name as None
        ctypes.CDLL(None).malloc_trim(0)


def used() -> int:
    """Bytes that this process keeps in memory."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def free() -> int:
    """Bytes that this process and those it started can have: what they have already, and what nobody has.

    In a container what is left to it, where that is less than the machine has.
    """
    import psutil

    own = psutil.Process()
    held = sum(_resident(process) for process in (own, *own.children(recursive=True)))
    available = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError, StopIteration):  # no container, or no limit ("max")
        available = min(available, _left_in_group())
    return held + available


def _resident(process: object) -> int:
    import psutil

    with suppress(psutil.Error):  # it has ended meanwhile
        return int(process.memory_info().rss)  # type: ignore[attr-defined]
    return 0


def _left_in_group() -> int:
    limit, used_now = (int((_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    lines = (_GROUP / "memory.stat").read_text().splitlines()
    cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(limit - used_now + cached, 0)
