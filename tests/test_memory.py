"""What only repeats a file leaves the process and comes back as it was; what does not stays. All there can be."""

from __future__ import annotations

import ctypes
import mmap
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_chat import memory
from lora_chat.memory import let_go

PAGES = 64
SIZE = PAGES * mmap.PAGESIZE
CONTENT = bytes(range(256)) * (SIZE // 256)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says what a page is")


@pytest.fixture
def mapped(tmp_path: Path) -> Iterator[mmap.mmap]:
    """A file as torch maps it: pages of its own as soon as they are written to."""
    path = tmp_path / "weights"
    path.write_bytes(CONTENT)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE, mmap.MAP_PRIVATE) as found:
        yield found


def address(piece: mmap.mmap | ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(piece))


def resident(at: int) -> int:
    """Bytes of the piece of memory at that address that are in this process now."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if span := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(span[1], 16) <= at < int(span[2], 16)
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such piece")


def test_what_a_file_holds_goes_and_comes_back(mapped: mmap.mmap) -> None:
    at = address(mapped)
    assert mapped[:] == CONTENT
    assert resident(at) == SIZE
    let_go([(at, SIZE)])
    assert resident(at) == 0
    assert mapped[:] == CONTENT


def test_only_whole_pages_of_the_spans_go(mapped: mmap.mmap) -> None:
    at = address(mapped)
    assert mapped[:] == CONTENT
    let_go([(at + 1, 2 * mmap.PAGESIZE), (at + 10 * mmap.PAGESIZE + 5, 3), (at + 20 * mmap.PAGESIZE, mmap.PAGESIZE)])
    assert resident(at) == SIZE - 2 * mmap.PAGESIZE
    assert mapped[:] == CONTENT


def test_what_was_written_to_stays(mapped: mmap.mmap) -> None:
    at = address(mapped)
    mapped[5] = 77
    let_go([(at, SIZE)])
    assert mapped[5] == 77
    assert resident(at) > 0


def test_what_no_file_holds_stays() -> None:
    own = mmap.mmap(-1, SIZE)
    own[:] = CONTENT
    at = address(own)
    let_go([(at, SIZE), (at - SIZE, 3 * SIZE), (0, 10 * mmap.PAGESIZE), (at, 0)])
    assert own[:] == CONTENT


def test_a_file_that_is_shared_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.write_bytes(CONTENT)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as shared:
        shared[0] = 9
        let_go([(address(shared), SIZE)])
        assert shared[0] == 9


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 24),
        ({"memory.max": "max\n", "memory.swap.max": "max\n"}, 24),
        ({"memory.max": "5\n", "memory.swap.max": "0\n"}, 5),
        ({"memory.max": "5\n"}, 13),
        ({"memory.max": "99\n", "memory.swap.max": "3\n"}, 19),
    ],
)
def test_all_that_can_ever_be_had_is_memory_and_swap_within_a_containers_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=16))
    monkeypatch.setattr("psutil.swap_memory", lambda: SimpleNamespace(total=8))
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    for name, limit in limits.items():
        (tmp_path / name).write_text(limit, encoding="ascii")
    assert memory.total() == expected


def test_where_swap_is_made_as_needed_the_free_disk_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=16))
    monkeypatch.setattr("psutil.swap_memory", lambda: SimpleNamespace(total=8))
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.total() == 124


def test_where_there_is_no_such_c_library_nothing_is_let_go_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: object) -> None:
        raise TypeError("argument of type 'NoneType' is not iterable")  # as on Windows

    monkeypatch.setattr(memory.ctypes, "CDLL", without)  # type: ignore[attr-defined]
    memory.let_go([(4096, 4096)])
    memory.Mapped([(4096, 4096)], [(0, 1 << 20)]).let_go()
    memory.settle()
    memory.give_back()
