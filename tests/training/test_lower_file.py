"""What the lower layers made comes back from the disk bit for bit, or from memory where the disk has no room."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.training import lower_file
from lora_chat.training.lower_file import LowerFile


def made(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


STATES = {(1, 2, 3): made(1, 3, 8), (4,): made(2, 1, 8), (5, 6): made(3, 2, 16)[:, 8:], (7, 8): made(4, 8, 2).t()}


@pytest.mark.parametrize("on_disk", [True, False])
def test_it_gives_back_the_bits_it_was_given(tmp_path: Path, on_disk: bool) -> None:
    file = LowerFile(tmp_path if on_disk else None)
    for ids, states in STATES.items():
        assert ids not in file
        file.keep(ids, states)
    for ids in [*STATES, *reversed(STATES)]:
        assert ids in file
        assert torch.equal(file[ids], STATES[ids])
    assert (9,) not in file


def test_what_one_reads_is_its_own(tmp_path: Path) -> None:
    file = LowerFile(tmp_path)
    file.keep((1,), made(1, 1, 4))
    file[(1,)].zero_()
    assert torch.equal(file[(1,)], made(1, 1, 4))


@pytest.mark.skipif(os.name != "posix", reason="elsewhere it has a name until it is closed")
def test_it_has_no_name_and_leaves_nothing(tmp_path: Path) -> None:
    file = LowerFile(tmp_path)
    file.keep((1,), made(1, 1, 4))
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_to_write_in_it_stays_in_memory(tmp_path: Path) -> None:
    file = LowerFile(tmp_path / "gone")
    file.keep((1,), made(1, 1, 4))
    assert torch.equal(file[(1,)], made(1, 1, 4))


def test_when_the_disk_is_full_the_rest_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LowerFile(tmp_path)
    file.keep((1,), made(1, 1, 4))

    class Full:
        def __init__(self, real: Any) -> None:
            self.real, self.seek, self.readinto = real, real.seek, real.readinto

        def write(self, data: Any) -> int:
            self.real.write(bytes(data)[:6])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file, "_file", Full(file._file))
    file.keep((2,), made(2, 1, 4))
    file.keep((3,), made(3, 1, 4))
    for seed in (1, 2, 3):
        assert torch.equal(file[(seed,)], made(seed, 1, 4))


def test_other_types_stay_as_they_are(tmp_path: Path) -> None:
    file = LowerFile(tmp_path)
    states = made(1, 2, 4).to(torch.bfloat16)
    file.keep((1, 2), states)
    assert file[(1, 2)] is states


def test_some_of_the_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LowerFile(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    file.keep((1,), made(1, 1, 4))
    assert not file._written
    assert torch.equal(file[(1,)], made(1, 1, 4))


def test_what_has_room_nowhere_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_file, "HELD_TOKENS", 3)
    file = LowerFile()
    for ids in ((1, 2), (3, 4), (5,)):
        file.keep(ids, made(1, len(ids), 4))
    assert [ids in file for ids in ((1, 2), (3, 4), (5,))] == [True, False, True]


def test_what_cannot_be_read_back_is_told_and_gone(tmp_path: Path) -> None:
    file = LowerFile(tmp_path)
    file.keep((1,), made(1, 1, 4))
    assert file._file is not None
    file._file.truncate(3)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        file[(1,)]
    assert (1,) not in file


def test_closed_it_holds_nothing(tmp_path: Path) -> None:
    file = LowerFile(tmp_path)
    file.keep((1,), made(1, 1, 4))
    file.close()
    file.close()
    assert (1,) not in file
