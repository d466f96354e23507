"""The way out and back: one rename each, for a day, and nothing outside the person's folder."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.registry import discover
from lora_chat.adapters.removal import KEPT_HOURS, remove, removed, restore, sweep
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from tests.adapters.conftest import safetensors, tensors, write_adapter


@pytest.fixture
def installed(tmp_path: Path, paths: Paths) -> Path:
    return install_folder(write_adapter(tmp_path / "bot"), paths).adapter.path


def visible(paths: Paths) -> list[str]:
    return sorted(each.name for each in paths.adapters.iterdir() if not each.name.startswith("."))


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def age(paths: Paths, hours: float) -> None:
    then = time.time() - hours * 3600
    for trash in paths.adapters.glob(".trash-*"):
        os.utime(trash, (then, then))


def test_what_is_removed_is_in_no_listing_and_comes_back_byte_for_byte(installed: Path, paths: Paths) -> None:
    before, listed = contents(installed), discover(paths)
    remove("bot", paths)
    assert discover(paths).adapters == ()
    assert visible(paths) == []
    assert [each.name for each in removed(paths)] == ["bot"]
    assert restore("bot", paths) == installed
    assert contents(installed) == before
    assert discover(paths) == listed
    assert os.listdir(paths.adapters) == ["bot"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_is_removed_is_the_owners_alone(installed: Path, paths: Paths) -> None:
    installed.chmod(0o755)
    remove("bot", paths)
    (trash,) = paths.adapters.iterdir()
    assert stat.S_IMODE(trash.stat().st_mode) == 0o700


def test_without_a_name_the_last_one_removed_comes_back(tmp_path: Path, paths: Paths) -> None:
    for name in ("first", "second"):
        install_folder(write_adapter(tmp_path / name), paths)
        remove(name, paths)
        age(paths, 1 if name == "first" else 0.5)
    age_of_both = sorted(each.stat().st_mtime for each in paths.adapters.glob(".trash-*"))
    assert len(age_of_both) == 2
    os.utime(removed(paths)[-1].parent, (0, time.time() - 60))
    last = removed(paths)[0].name
    assert restore("", paths).name == last
    assert [each.name for each in removed(paths)] == [({"first", "second"} - {last}).pop()]


def test_where_its_name_is_taken_meanwhile_it_stands_beside(installed: Path, tmp_path: Path, paths: Paths) -> None:
    remove("bot", paths)
    install_folder(write_adapter(tmp_path / "other", weights=safetensors(tensors(seed=9))), paths, name="bot")
    assert restore("bot", paths).name == "bot-2"
    assert [each.name for each in discover(paths).adapters] == ["bot", "bot-2"]


def test_a_name_that_was_removed_twice_brings_back_the_newer_first(tmp_path: Path, paths: Paths) -> None:
    for seed in (1, 2):
        source = write_adapter(tmp_path / str(seed), weights=safetensors(tensors(seed=seed)))
        install_folder(source, paths, name="bot")
        remove("bot", paths)
        if seed == 1:
            age(paths, 1)
    newer = restore("bot", paths) / "adapter_model.safetensors"
    assert newer.read_bytes() == safetensors(tensors(seed=2))
    assert restore("bot", paths).name == "bot-2"


def test_what_cannot_be_brought_back_says_what_can(installed: Path, paths: Paths) -> None:
    with pytest.raises(NotFoundError, match="Nothing can be brought back: nothing was removed"):
        restore("", paths)
    remove("bot", paths)
    with pytest.raises(NotFoundError, match=r'"other" can be brought back: what can be brought back is bot\.'):
        restore("other", paths)


def test_after_a_day_it_is_gone_for_good(installed: Path, paths: Paths) -> None:
    remove("bot", paths)
    age(paths, KEPT_HOURS - 1)
    sweep(paths)
    assert len(removed(paths)) == 1
    age(paths, KEPT_HOURS + 1)
    sweep(paths)
    assert list(paths.adapters.iterdir()) == []


def test_leftovers_of_a_killed_install_are_swept_once_they_are_an_hour_old(paths: Paths) -> None:
    for name in (".incoming-old", ".incoming-new"):
        (paths.adapters / name).mkdir(parents=True)
    os.utime(paths.adapters / ".incoming-old", (0, 0))
    sweep(paths)
    assert [each.name for each in paths.adapters.iterdir()] == [".incoming-new"]


def test_a_download_that_takes_longer_than_an_hour_is_not_swept_by_another_program(paths: Paths) -> None:
    for name, age_of_file in (("slow", 60), ("dead", 4000)):
        file = paths.adapters / f".incoming-{name}" / "bot" / "adapter_model.safetensors"
        file.parent.mkdir(parents=True)
        file.touch()
        for each in (file, file.parent, file.parent.parent):
            then = time.time() - (age_of_file if each is file else 4000)
            os.utime(each, (then, then))
    sweep(paths)
    assert [each.name for each in paths.adapters.iterdir()] == [".incoming-slow"]


def test_a_disk_that_refuses_changes_nothing(installed: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lora_chat.adapters.removal.os.replace", full)
    with pytest.raises(RefusedError, match="No space left on device"):
        remove("bot", paths)
    assert os.listdir(paths.adapters) == ["bot"]
    monkeypatch.undo()
    remove("bot", paths)
    monkeypatch.setattr("lora_chat.adapters.removal.os.replace", full)
    with pytest.raises(RefusedError, match="bring back the adapter"):
        restore("bot", paths)
    monkeypatch.undo()
    assert restore("bot", paths) == installed


def test_it_is_gone_after_one_removal(installed: Path, paths: Paths) -> None:
    remove("bot", paths)
    with pytest.raises(NotFoundError):
        remove("bot", paths)


def test_a_broken_one_can_be_removed(paths: Paths) -> None:
    (paths.adapters / "Broken One").mkdir(parents=True)
    remove("Broken One", paths)
    assert visible(paths) == []
    assert restore("", paths).name == "Broken One"


def test_of_a_linked_folder_the_link_goes_and_comes_back(tmp_path: Path, paths: Paths) -> None:
    source = write_adapter(tmp_path / "source")
    paths.adapters.mkdir(parents=True)
    (paths.adapters / "linked").symlink_to(source)
    remove("linked", paths)
    assert (source / "adapter_config.json").exists()
    assert visible(paths) == []
    age(paths, KEPT_HOURS + 1)
    sweep(paths)
    assert (source / "adapter_config.json").exists()


def test_a_shipped_one_cannot_be_removed(paths: Paths) -> None:
    write_adapter(paths.bundled_adapters / "support-bot")
    with pytest.raises(RefusedError, match="shipped with lora-chat"):
        remove("support-bot", paths)
    assert (paths.bundled_adapters / "support-bot").is_dir()


@pytest.mark.parametrize("name", ["", ".", "..", "../outside", "/etc", "a/../..", ".incoming-x", "a\\b", "a\0b"])
def test_nothing_outside_the_folder_is_ever_removed(name: str, paths: Paths) -> None:
    write_adapter(paths.adapters / "fine")
    (paths.adapters.parent / "outside").mkdir()
    with pytest.raises(NotFoundError):
        remove(name, paths)
    assert visible(paths) == ["fine"]
    assert (paths.adapters.parent / "outside").is_dir()
