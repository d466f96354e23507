"""One home, nothing made before it is asked for, and no folder of anybody else's changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_chat.errors import LoraChatError
from lora_chat.paths import find_paths, make_private

posix = pytest.mark.skipif(os.name != "posix", reason="modes")


@pytest.fixture
def no_umask() -> Iterator[None]:
    """As open as a shell can be set."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_home_holds_everything_and_finding_it_makes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "home"
    found = find_paths({"LORA_CHAT_HOME": str(root)})
    ours = {name: place for name, place in found.as_dict().items() if not name.startswith("bundled")}
    assert ours == {
        "config": str(root / "config.toml"),
        "database": str(root / "chats.db"),
        "copied": str(root / "copied.md"),
        **{
            name: str(root / name) for name in ("adapters", "plugins", "models", "training", "lines", "presets", "logs")
        },
    }
    assert not root.exists()


def test_a_relative_home_and_a_tilde_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert find_paths({"LORA_CHAT_HOME": "here"}).models == tmp_path / "here" / "models"
    assert find_paths({"LORA_CHAT_HOME": "~/here"}).models == tmp_path / "here" / "models"


def test_without_a_home_the_system_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for environ in ({}, {"LORA_CHAT_HOME": ""}):
        places = find_paths(environ).as_dict()
        assert all(Path(place).is_absolute() for place in places.values())
        assert all("lora-chat" in place for name, place in places.items() if not name.startswith("bundled"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_shipped_lies_beside_the_package_or_inside_the_wheel() -> None:
    found = find_paths({})
    assert found.bundled_adapters.is_dir()
    assert found.bundled_adapters.name == "adapters"
    assert found.bundled_plugins.name == "plugins"


@posix
@pytest.mark.usefixtures("no_umask")
def test_every_folder_made_on_the_way_is_the_owners_alone(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b" / "c")
    assert made == tmp_path / "a" / "b" / "c"
    assert {mode(place) for place in (made, made.parent, made.parent.parent)} == {0o700}


@posix
@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize("before", [0o755, 0o777, 0o750])
def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path, before: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=before)
    make_private(shared)
    make_private(shared / "ours")
    assert mode(shared) == before
    assert mode(shared / "ours") == 0o700
    make_private(shared / "ours")


def test_a_link_to_a_folder_serves_as_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_private(tmp_path / "link" / "inside")
    assert (tmp_path / "real" / "inside").is_dir()


@pytest.mark.parametrize("inside", ["file", "file/below", "dangling", "dangling/below"])
def test_what_is_no_folder_is_named_in_one_sentence(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LoraChatError, match="LORA_CHAT_HOME") as caught:
        make_private(tmp_path / inside)
    assert str(tmp_path / inside) in str(caught.value)
    assert "\n" not in str(caught.value)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_not_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LoraChatError, match="Permission denied"):
            make_private(tmp_path / "a")
    finally:
        tmp_path.chmod(0o700)


@posix
def test_the_doctor_says_when_others_can_read_the_home(tmp_path: Path) -> None:
    from lora_chat.cli.doctor import _home

    root = tmp_path / "home"
    root.mkdir()
    root.chmod(0o755)
    found = _home(find_paths({"LORA_CHAT_HOME": str(root)}))
    assert found.verdict == "problem"
    assert f"chmod 700 {root}" in found.says
    root.chmod(0o700)
    assert _home(find_paths({"LORA_CHAT_HOME": str(root)})).verdict == "ok"
