"""Bytes reach the disk whole or not at all, and nothing of anybody else's changes on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.errors import LoraChatError
from lora_chat.files import staged_folder, write_durably

posix = pytest.mark.skipif(os.name != "posix", reason="modes")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "home" / "a.toml"
    write_durably(path, b"one")
    write_durably(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["a.toml"]
    if os.name == "posix":
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)


@posix
def test_the_folder_of_a_file_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_durably(tmp_path / "a", b"one")
    with staged_folder(tmp_path / "b"):
        pass
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "b") == 0o700
    write_durably(tmp_path / "c", b"one", mode=0o644)
    assert mode(tmp_path / "c") == 0o644


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_durably(tmp_path / "a", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            write_durably(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_file_is_flushed_before_it_takes_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            calls.append(name)
            real(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    write_durably(tmp_path / "a", b"one")
    assert calls == (["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"])
    calls.clear()
    with staged_folder(tmp_path / "b") as stage:
        (stage / "one").write_text("1")
        (stage / "two").write_text("2")
    assert calls.count("replace") == 1
    assert calls.index("replace") >= 2


def test_a_staged_folder_appears_whole_at_its_end(tmp_path: Path) -> None:
    target = tmp_path / "home" / "adapter"
    with staged_folder(target) as stage:
        (stage / "a").write_text("one")
        (stage / "sub").mkdir()
        (stage / "sub" / "b").write_text("two")
        assert not target.exists()
        assert stage.name.startswith(".incoming-")
        assert stage.parent == target.parent
    assert names(target) == ["a", "sub"]
    assert names(target.parent) == ["adapter"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit()])
def test_a_staged_folder_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fill() -> None:
        with staged_folder(tmp_path / "adapter") as stage:
            (stage / "a").write_text("one")
            raise error

    with pytest.raises(type(error)):
        fill()
    assert names(tmp_path) == []


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine").write_text("mine")

    def fill() -> None:
        with staged_folder(tmp_path / "adapter") as stage:
            (stage / "a").write_text("one")

    with pytest.raises(OSError, match="adapter"):
        fill()
    assert names(tmp_path / "adapter") == ["mine"]
    assert names(tmp_path) == ["adapter"]


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LoraChatError, match="file"):
        write_durably(tmp_path / "file" / "a", b"one")
