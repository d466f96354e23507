"""Versions of an adapter: their numbers, which is worn, and that no kill and no full disk loses one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_chat.adapters.install import Candidate, install, install_folder, prepared
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.registry import discover
from lora_chat.adapters.removal import KEPT_HOURS, remove, removed, restore, sweep
from lora_chat.adapters.versions import keep_beside, make_current, next_number, previous, recover, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from lora_chat.training.proof.line import Line, Proved
from tests.adapters.conftest import paths_under, safetensors, tensors, write_adapter

posix = pytest.mark.skipif(os.name != "posix", reason="modes and forks are POSIX's")


def candidate(tmp_path: Path, seed: int, **said: Any) -> Candidate:
    folder = write_adapter(tmp_path / f"made-{seed}", weights=safetensors(tensors(seed=seed)))
    return prepared(read_adapter(folder), Manifest(**said), "made")


@pytest.fixture
def bot(tmp_path: Path, paths: Paths) -> Paths:
    """bot 1.0.0 is worn, 1.1.0 and 1.10.0 are kept beside it."""
    install_folder(write_adapter(tmp_path / "bot"), paths)
    keep_beside(candidate(tmp_path, 10), "bot", "1.10.0", paths)
    keep_beside(candidate(tmp_path, 1), "bot", "1.1.0", paths)
    return paths


def told(paths: Paths, name: str = "bot") -> list[str]:
    return [f"{each.number}{'*' if each.current else ''}" for each in versions(name, paths)]


def all_bytes(paths: Paths, name: str = "bot") -> dict[str, str]:
    return {each.number: each.adapter.sha256 for each in versions(name, paths)}


def weights_under(root: Path) -> set[bytes]:
    return {each.read_bytes() for each in root.rglob("adapter_model.safetensors")}


def test_versions_are_in_the_order_of_their_numbers_and_called_as_the_adapter_is(bot: Paths) -> None:
    found = versions("bot", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]
    assert [each.path for each in found] == [
        bot.adapters / "bot",
        *(bot.lines / "bot" / "versions" / each for each in ("1.1.0", "1.10.0")),
    ]
    assert {(each.adapter.name, each.adapter.manifest.name) for each in found[1:]} == {("bot", "bot")}
    assert [each.adapter.version for each in found] == ["1.0.0", "1.1.0", "1.10.0"]
    assert [each.name for each in discover(bot).adapters] == ["bot"]


@pytest.mark.parametrize(
    ("worn", "kept", "number"),
    [
        ("1.0.0", (), "1.1.0"), ("1.3.0", (), "1.4.0"), ("1.3.7", (), "1.4.0"), ("2", (), "2.1.0"),
        ("0.1.0", (), "0.2.0"), ("1.0.0", ("1.9.0", "1.10.0"), "1.11.0"), ("1.5.0", ("1.1.0",), "1.6.0"),
        ("v3 beta", (), "1.1.0"), ("v3 beta", ("1.1.0",), "1.2.0"), ("../../x", (), "1.1.0"), ("９.1", (), "1.1.0"),
    ],
)  # fmt: skip
def test_the_next_number_is_above_all_there_are(
    worn: str, kept: tuple[str, ...], number: str, tmp_path: Path, paths: Paths
) -> None:
    install_folder(write_adapter(tmp_path / "bot", toml=f"version = '{worn}'\n"), paths)
    for seed, each in enumerate(kept, 1):
        keep_beside(candidate(tmp_path, seed), "bot", each, paths)
    assert next_number("bot", paths) == number
    assert not (paths.lines / "bot" / "versions" / number).exists()


def test_a_number_that_a_broken_or_foreign_thing_has_is_not_given_again(bot: Paths) -> None:
    place = bot.lines / "bot" / "versions"
    (place / "1.20.0").mkdir()
    (place / "1.30.0").write_text("a file")
    (place / "notes").mkdir()
    (place / "1.40.0").symlink_to(bot.adapters / "bot")
    assert next_number("bot", bot) == "1.41.0"
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]


def test_a_folder_that_is_called_otherwise_than_it_says_is_left_out(bot: Paths) -> None:
    place = bot.lines / "bot" / "versions"
    os.replace(place / "1.1.0", place / "1.2.0")
    assert told(bot) == ["1.0.0*", "1.10.0"]


@posix
def test_what_is_kept_is_the_owners_alone(bot: Paths) -> None:
    make_current("bot", "1.1.0", bot)
    line = bot.lines / "bot"
    for place in (bot.lines, line, line / "versions", line / "versions" / "1.0.0", bot.adapters / "bot"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700, place


def test_keeping_the_same_bytes_again_changes_nothing_and_other_bytes_are_refused(bot: Paths, tmp_path: Path) -> None:
    kept = keep_beside(candidate(tmp_path, 1), "bot", "1.1.0", bot)
    assert kept == versions("bot", bot)[1]
    with pytest.raises(RefusedError, match=r"another version 1\.1\.0 of bot: choose the next number"):
        keep_beside(candidate(tmp_path, 2), "bot", "1.1.0", bot)
    with pytest.raises(RefusedError, match=r"another version 1\.0\.0 of bot"):
        keep_beside(candidate(tmp_path, 2), "bot", "1.0.0", bot)
    (bot.lines / "bot" / "versions" / "1.2.0").mkdir()
    with pytest.raises(RefusedError, match=r"another version 1\.2\.0 of bot"):
        keep_beside(candidate(tmp_path, 2), "bot", "1.2.0", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]


def test_back_and_forward_again_with_every_byte(bot: Paths) -> None:
    before = all_bytes(bot)
    now = make_current("bot", "1.10.0", bot)
    assert (now.number, now.path, now.current, now.adapter.name) == ("1.10.0", bot.adapters / "bot", True, "bot")
    assert told(bot) == ["1.0.0", "1.1.0", "1.10.0*"]
    assert previous("bot", bot).number == "1.1.0"
    make_current("bot", "1.1.0", bot)
    assert told(bot) == ["1.0.0", "1.1.0*", "1.10.0"]
    assert previous("bot", bot).number == "1.0.0"
    make_current("bot", previous("bot", bot).number, bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]
    assert make_current("bot", "1.0.0", bot).current
    assert all_bytes(bot) == before
    with pytest.raises(RefusedError, match=r"bot 1\.0\.0 has no version before it; 1\.1\.0, 1\.10\.0 came later"):
        previous("bot", bot)


def test_an_odd_version_is_kept_under_a_name_that_a_folder_can_have(tmp_path: Path, paths: Paths) -> None:
    install_folder(write_adapter(tmp_path / "bot", toml="version = '../../V3 beta'\n"), paths)
    keep_beside(candidate(tmp_path, 1), "bot", "1.1.0", paths)
    odd = versions("bot", paths)[-1]
    assert odd.current
    make_current("bot", "1.1.0", paths)
    assert told(paths) == ["1.1.0*", odd.number]
    assert (paths.lines / "bot" / "versions" / odd.number).is_dir()
    make_current("bot", odd.number, paths)
    assert told(paths) == ["1.1.0", f"{odd.number}*"]


def test_a_version_that_is_not_there_names_those_that_are(bot: Paths) -> None:
    for number in ("2.0.0", "../x", "", "versions"):
        with pytest.raises(NotFoundError, match=r"of bot: there are 1\.0\.0, 1\.1\.0, 1\.10\.0\."):
            make_current("bot", number, bot)


def test_one_without_a_line_and_one_that_is_shipped_have_one_version(tmp_path: Path, paths: Paths) -> None:
    install_folder(write_adapter(tmp_path / "bot"), paths)
    assert told(paths) == ["1.0.0*"]
    with pytest.raises(RefusedError, match=r"bot has one version, 1\.0\.0"):
        make_current("bot", "1.1.0", paths)
    with pytest.raises(RefusedError, match=r"bot 1\.0\.0 has no version before it: "):
        previous("bot", paths)
    write_adapter(paths.bundled_adapters / "support-bot")
    assert [(each.number, each.current, each.adapter.origin) for each in versions("support-bot", paths)] == [
        ("1.0.0", True, "bundled")
    ]
    for refused in (
        lambda: make_current("support-bot", "1.1.0", paths),
        lambda: previous("support-bot", paths),
        lambda: keep_beside(candidate(tmp_path, 1), "support-bot", "1.1.0", paths),
    ):
        with pytest.raises(RefusedError, match="support-bot is shipped with lora-chat and has one version"):
            refused()
    assert not paths.lines.exists()


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b", ".hidden", "", "A", "a\0b"])
def test_a_hostile_name_reaches_nothing(name: str, tmp_path: Path, bot: Paths) -> None:
    made = candidate(tmp_path, 5)
    before = sorted(bot.lines.parent.rglob("*"))
    calls: list[Callable[[], object]] = [
        lambda: versions(name, bot),
        lambda: next_number(name, bot),
        lambda: previous(name, bot),
        lambda: make_current(name, "1.1.0", bot),
        lambda: keep_beside(made, name, "1.1.0", bot),
    ]
    for call in calls:
        with pytest.raises(RefusedError):
            call()
    assert sorted(bot.lines.parent.rglob("*")) == before


@pytest.mark.parametrize("number", ["../x", "..", "/etc", "1.1.0/..", "", "v1", "1.", "1.2.3.4.5", "1" * 50])
def test_a_hostile_number_is_none(number: str, tmp_path: Path, bot: Paths) -> None:
    with pytest.raises(RefusedError, match="cannot be the number of a version"):
        keep_beside(candidate(tmp_path, 5), "bot", number, bot)


def test_an_adapter_that_is_not_there_is_not_found(tmp_path: Path, paths: Paths) -> None:
    with pytest.raises(NotFoundError, match='no adapter called "nobody"'):
        versions("nobody", paths)
    with pytest.raises(NotFoundError):
        keep_beside(candidate(tmp_path, 5), "nobody", "1.1.0", paths)
    assert not paths.lines.exists()


@posix
@pytest.mark.parametrize("place", ["bot", "bot/versions"])
def test_a_line_that_is_a_link_is_never_followed(place: str, tmp_path: Path, bot: Paths) -> None:
    outside = tmp_path / "outside"
    os.replace(bot.lines / place, outside)
    (bot.lines / place).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    for call in (
        lambda: versions("bot", bot),
        lambda: make_current("bot", "1.1.0", bot),
        lambda: keep_beside(candidate(tmp_path, 5), "bot", "1.2.0", bot),
    ):
        with pytest.raises(RefusedError, match="it is a link"):
            call()
    os.replace(bot.adapters / "bot", tmp_path / "away")
    recover(bot)
    assert sorted(outside.rglob("*")) == before
    assert list(bot.adapters.iterdir()) == []


@posix
def test_the_worn_one_is_not_moved_where_it_is_a_link(tmp_path: Path, bot: Paths) -> None:
    os.replace(bot.adapters / "bot", tmp_path / "source")
    (bot.adapters / "bot").symlink_to(tmp_path / "source")
    with pytest.raises(RefusedError, match="it is a link"):
        make_current("bot", "1.1.0", bot)
    assert (bot.adapters / "bot").is_symlink()


def test_a_damaged_version_is_not_worn(bot: Paths) -> None:
    weights = bot.lines / "bot" / "versions" / "1.1.0" / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(RefusedError):
        make_current("bot", "1.1.0", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]


@pytest.mark.parametrize("broken", ["adapter_model.safetensors", "adapter.toml"])
def test_a_damaged_worn_one_makes_place_for_an_earlier_one_and_is_kept(broken: str, bot: Paths) -> None:
    make_current("bot", "1.1.0", bot)
    (bot.adapters / "bot" / broken).write_bytes(b"= damaged =")
    assert previous("bot", bot).number == "1.0.0"
    assert told(bot) == ["1.0.0", "1.10.0"]
    make_current("bot", "1.0.0", bot)
    assert told(bot) == ["1.0.0*", "1.10.0"]
    assert (bot.lines / "bot" / "versions" / "1.1.0" / broken).read_bytes() == b"= damaged ="


def test_one_too_damaged_to_say_its_version_is_kept_too(bot: Paths) -> None:
    (bot.adapters / "bot" / "adapter.toml").write_bytes(b"= damaged =")
    assert previous("bot", bot).number == "1.10.0"
    make_current("bot", "1.1.0", bot)
    assert told(bot) == ["1.1.0*", "1.10.0"]
    assert (bot.lines / "bot" / "versions" / "damaged" / "adapter.toml").read_bytes() == b"= damaged ="


def test_the_same_number_twice_is_refused_and_names_the_folder(tmp_path: Path, bot: Paths) -> None:
    write_adapter(bot.lines / "bot" / "versions" / "1.0.0", weights=safetensors(tensors(seed=7)))
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]
    with pytest.raises(RefusedError, match=r"versions/1\.0\.0: bot 1\.0\.0 is worn"):
        make_current("bot", "1.1.0", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]


# What is cut short


def killed_at(call: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process of its own that is gone before its ``call``-th rename; whether it was."""
    child = os.fork()
    if not child:
        real, seen = os.replace, 0

        def replace(*which: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == call:
                os._exit(9)
            real(*which)

        os.replace = replace  # type: ignore[assignment]
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@posix
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_kill_at_any_rename_loses_nothing_and_leaves_one_worn(call: int, bot: Paths) -> None:
    before = all_bytes(bot)
    assert killed_at(call, lambda: make_current("bot", "1.1.0", bot))
    if call == 3:
        assert not (bot.adapters / "bot").exists()
    recover(bot)
    worn = "1.1.0" if call == 3 else "1.0.0"
    assert told(bot) == [f"{each}{'*' if each == worn else ''}" for each in before]
    assert all_bytes(bot) == before
    make_current("bot", "1.10.0", bot)
    assert all_bytes(bot) == before


@posix
def test_a_kill_at_any_touch_of_the_disk_loses_nothing(bot: Paths, tmp_path: Path) -> None:
    before, point, ended = all_bytes(bot), 0, False
    while not ended:
        point += 1
        shutil.copytree(bot.lines.parent, tmp_path / str(point))
        home = paths_under(tmp_path / str(point))
        child = os.fork()
        if not child:
            try:
                kill_at(point)
                make_current("bot", "1.1.0", home)
            finally:
                os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert all_bytes(home) == before, point
        assert [each.number for each in versions("bot", home) if each.current] in (["1.0.0"], ["1.1.0"])
    assert 5 < point < 200
    assert [each.number for each in versions("bot", home) if each.current] == ["1.1.0"]


def kill_at(point: int) -> None:
    """SIGKILL this process at its ``point``-th touch of the disk."""
    left = point

    def watch(event: str, _: object) -> None:
        nonlocal left
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


@posix
@pytest.mark.parametrize("look", [versions, next_number, previous, lambda name, paths: sweep(paths)])
def test_whoever_looks_next_puts_a_killed_change_right(look: Callable[[str, Paths], object], bot: Paths) -> None:
    killed_at(3, lambda: make_current("bot", "1.1.0", bot))
    look("bot", bot)
    assert (bot.adapters / "bot").is_dir()
    assert told(bot) == ["1.0.0", "1.1.0*", "1.10.0"]


@posix
def test_one_that_is_between_two_versions_can_be_removed_and_its_name_is_taken(tmp_path: Path, bot: Paths) -> None:
    killed_at(3, lambda: make_current("bot", "1.1.0", bot))
    other = write_adapter(tmp_path / "other", weights=safetensors(tensors(seed=9)))
    assert install_folder(other, bot, name="bot").adapter.name == "bot-2"
    assert told(bot) == ["1.0.0", "1.1.0*", "1.10.0"]
    killed_at(3, lambda: make_current("bot", "1.0.0", bot))
    remove("bot", bot)
    assert [each.name for each in removed(bot)] == ["bot"]


@posix
def test_what_a_killed_change_left_does_not_bring_back_what_was_removed(bot: Paths) -> None:
    killed_at(2, lambda: make_current("bot", "1.1.0", bot))  # it was only written down
    killed_at(2, lambda: remove("bot", bot))  # the adapter is in the trash, its line is not
    recover(bot)
    sweep(bot)
    assert [each.name for each in bot.adapters.iterdir() if not each.name.startswith(".")] == []
    restore("bot", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]


def test_an_adapter_deleted_by_hand_stays_deleted(tmp_path: Path, bot: Paths) -> None:
    make_current("bot", "1.1.0", bot)
    os.replace(bot.adapters / "bot", tmp_path / "away")
    recover(bot)
    with pytest.raises(NotFoundError):
        versions("bot", bot)
    assert list(bot.adapters.iterdir()) == []


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_disk_that_refuses_leaves_worn_what_was_worn(call: int, bot: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real, seen = all_bytes(bot), os.replace, 0

    def full(*which: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == call:
            raise OSError(28, "No space left on device")
        real(*which)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(RefusedError, match="No space left on device"):
            make_current("bot", "1.1.0", bot)
    assert told(bot) == ["1.0.0*", "1.1.0", "1.10.0"]
    assert all_bytes(bot) == before
    assert make_current("bot", "1.1.0", bot).current


def test_a_full_disk_keeps_no_half_version(bot: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    made = candidate(tmp_path, 5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RefusedError, match="No space left on device"):
            keep_beside(made, "bot", "1.2.0", bot)
    assert sorted(each.name for each in (bot.lines / "bot" / "versions").iterdir()) == ["1.1.0", "1.10.0"]


# The line goes where its adapter goes


@pytest.fixture
def taught(bot: Paths) -> Paths:
    Line.of("bot", bot).note("1.0.0", {"a": Proved(True)})
    return bot


def test_a_line_is_removed_and_comes_back_with_its_adapter(taught: Paths) -> None:
    before = all_bytes(taught)
    remove("bot", taught)
    assert list(taught.lines.iterdir()) == []
    assert [each.name for each in removed(taught)] == ["bot"]
    restore("", taught)
    assert all_bytes(taught) == before
    assert Line.of("bot", taught).proofs("1.0.0") == {"a": Proved(True)}
    assert [each.name for each in taught.adapters.iterdir()] == ["bot"]


def test_a_new_adapter_of_that_name_has_a_line_of_its_own_and_the_old_one_comes_back_beside(
    taught: Paths, tmp_path: Path
) -> None:
    remove("bot", taught)
    other = write_adapter(tmp_path / "other", weights=safetensors(tensors(seed=9)))
    install_folder(other, taught, name="bot")
    assert told(taught) == ["1.0.0*"]
    assert Line.of("bot", taught).proofs("1.0.0") == {}
    keep_beside(candidate(tmp_path, 3), "bot", "1.1.0", taught)
    assert restore("bot", taught).name == "bot-2"
    assert told(taught) == ["1.0.0*", "1.1.0"]
    assert told(taught, "bot-2") == ["1.0.0*", "1.1.0", "1.10.0"]
    assert Line.of("bot-2", taught).proofs("1.0.0") == {"a": Proved(True)}
    assert {each.adapter.name for each in versions("bot-2", taught)} == {"bot-2"}
    make_current("bot-2", "1.10.0", taught)
    assert told(taught, "bot-2") == ["1.0.0", "1.1.0", "1.10.0*"]


def test_a_restored_line_is_never_put_into_another(taught: Paths, tmp_path: Path) -> None:
    remove("bot", taught)
    Line.of("bot", taught).note("1.0.0", {"b": Proved(False)})
    assert restore("bot", taught).name == "bot-2"
    assert Line.of("bot-2", taught).proofs("1.0.0") == {"a": Proved(True)}
    assert Line.of("bot", taught).proofs("1.0.0") == {"b": Proved(False)}


def test_after_a_day_the_line_is_gone_for_good(taught: Paths) -> None:
    remove("bot", taught)
    (trash,) = taught.adapters.iterdir()
    os.utime(trash, (0, trash.stat().st_mtime - (KEPT_HOURS + 1) * 3600))
    sweep(taught)
    assert list(taught.adapters.iterdir()) == []
    assert list(taught.lines.iterdir()) == []


def test_an_install_does_not_inherit_the_line_of_one_that_was_deleted_by_hand(taught: Paths, tmp_path: Path) -> None:
    os.replace(taught.adapters / "bot", tmp_path / "away")
    install(candidate(tmp_path, 5), taught)
    made = prepared(read_adapter(tmp_path / "made-5"), Manifest(), "bot")
    install(made, taught)
    assert told(taught) == ["1.0.0*"]
    assert Line.of("bot", taught).proofs("1.0.0") == {}
    (trash,) = taught.adapters.glob(".trash-*")
    assert len(weights_under(trash)) == 2  # what was kept can still be had, for a day
    assert removed(taught) == []


@posix
@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_while_it_is_removed_or_restored_loses_no_line(call: int, taught: Paths, tmp_path: Path) -> None:
    before = all_bytes(taught)
    assert killed_at(call, lambda: remove("bot", taught))
    if call == 1:
        remove("bot", taught)
    other = write_adapter(tmp_path / "other", weights=safetensors(tensors(seed=9)))
    install_folder(other, taught, name="bot")
    assert told(taught) == ["1.0.0*"]
    assert killed_at(call, lambda: restore("bot", taught))
    assert restore("bot", taught).name == "bot-2"
    assert all_bytes(taught, "bot-2") == before
    assert Line.of("bot-2", taught).proofs("1.0.0") == {"a": Proved(True)}
    assert told(taught) == ["1.0.0*"]


def test_a_line_that_cannot_be_moved_keeps_its_adapter(taught: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def elsewhere(source: Path, target: Path) -> None:
        if source == taught.lines / "bot" or target == taught.lines / "bot":
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", elsewhere)
        with pytest.raises(RefusedError, match="cross-device"):
            remove("bot", taught)
    assert told(taught) == ["1.0.0*", "1.1.0", "1.10.0"]
    assert [each.name for each in taught.adapters.iterdir()] == ["bot"]
    remove("bot", taught)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", elsewhere)
        with pytest.raises(RefusedError, match="cross-device"):
            restore("bot", taught)
    restore("bot", taught)
    assert told(taught) == ["1.0.0*", "1.1.0", "1.10.0"]
