"""Memory of this process and this machine. Owns asking for it and giving it back; never decides what is used."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import shutil
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use (cgroup v2, `memory.max` and what is used of it)."""
_PIECES = Path("/proc/self/smaps")
"""Where it says what each piece of this process's memory is."""
_PIECE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ...p \S+ \S+ \d+ +(/.*)?")
_DONT_NEED = 4
"""``MADV_DONTNEED`` of Linux's ``madvise``."""
_ALLOCATOR = {-3: 1 << 20, -1: 32 << 20, -8: 1}
"""glibc's ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD`` in bytes, and ``M_ARENA_MAX``."""


def give_back() -> None:
    """Free what is only held in circles, and have the C library return free pages, where it can (glibc)."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # another C library; on Windows there is no such name as None
        ctypes.CDLL(None).malloc_trim(0)


def settle() -> None:
    """Have the C library hold less for later and ask the system for less often, where it can (glibc).

    By itself it lets the border between the two move with what is asked for, and each thread has free pages of its own:
    a training then holds 50 MB more. For as long as the process lives; costs nothing when it is said twice.
    """
    with suppress(OSError, AttributeError, TypeError):  # as above
        for parameter, value in _ALLOCATOR.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def let_go(spans: Iterable[tuple[int, int]]) -> None:
    """Take out of this process what only repeats a file: see ``Mapped``, for once."""
    Mapped(spans).let_go()


class Mapped:
    """Memory that only repeats a file: taken out, it is read from there again when it is next used.

    Pages that anything was written to stay, as does all where the system does not say what a page is (it is not Linux).
    """

    def __init__(self, spans: Iterable[tuple[int, int]], among: Sequence[tuple[int, int]] | None = None) -> None:
        """``spans`` are (address, bytes), looked for ``among`` the ``unwritten`` pieces as they are now.

        Nobody may write to one as long as this is used.
        """
        self._pages: list[tuple[int, int]] = []
        pages = list(_whole_pages(spans, unwritten() if among is None else among))
        with suppress(OSError, AttributeError, TypeError):  # as in ``give_back``
            self._advise = ctypes.CDLL(None).madvise
            self._advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
            self._pages = pages

    def let_go(self) -> None:
        """Take it out; some microseconds, and as long again as copying it takes when it is used."""
        for first, size in self._pages:
            self._advise(first, size, _DONT_NEED)


def _whole_pages(spans: Iterable[tuple[int, int]], pieces: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for address, size in spans:
        first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
        at = bisect_right(pieces, (first, sys.maxsize)) - 1
        if at >= 0 and pieces[at][0] <= first < end <= pieces[at][1]:
            yield first, end - first


def unwritten() -> list[tuple[int, int]]:
    """First address and end of each piece of memory that is a file's and has no page of its own, ascending.

    Nothing where the system does not say that (it is not Linux).
    """
    with suppress(OSError):
        return list(_unwritten())
    return []


def _unwritten() -> Iterator[tuple[int, int]]:
    found: tuple[int, int] | None = None
    for line in _PIECES.read_text(encoding="utf-8", errors="replace").splitlines():
        if piece := _PIECE.match(line):
            found = (int(piece[1], 16), int(piece[2], 16)) if piece[3] else None
        elif found and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield found


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


def total() -> int:
    """Bytes that all programs together can ever have: memory and swap, in a container no more than it is allowed.

    Where the system makes swap as it is needed (it is not Linux), the free disk counts as swap.
    """
    import psutil

    swap = int(psutil.swap_memory().total)
    if sys.platform != "linux":
        swap += shutil.disk_usage(Path(sys.prefix).anchor).free
    return min(int(psutil.virtual_memory().total), _limit("memory.max")) + min(swap, _limit("memory.swap.max"))


def _limit(name: str) -> int:
    """What a container may have, in bytes; without a container or a limit ("max") a number nothing reaches."""
    try:
        return int((_GROUP / name).read_text())
    except (OSError, ValueError):
        return sys.maxsize
