"""Memory of this process and this machine. Owns asking for it and giving it back; never decides what is used."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Free what is only held in circles, and have the C library return free pages, where it can (glibc)."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # another C library; on Windows there is no such name as None
        ctypes.CDLL(None).malloc_trim(0)


def used() -> int:
    """Bytes that this process keeps in memory."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)
