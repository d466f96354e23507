"""The screen of base models: what it shows of each, and what its keys do before there is a chat and beside one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora_chat.config import load_config
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.tui.screens.bases import BasesScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.welcome import WelcomeScreen
from lora_chat.tui.widgets.base_list import BaseList
from tests.conftest import place
from tests.tui.conftest import Tell, Window
from tests.tui.test_first_run import Fetched, bare, comes  # noqa: F401

PROGRESS = '{"event": "progress", "what": "Downloading qwen3-0.6b", "done": 42, "total": 100}'


@pytest.fixture
def two(tiny: Paths, tiny_llama: InstalledBase, tiny_opt: InstalledBase) -> Paths:
    tiny.models.unlink()  # the one that all tests share
    place(tiny_llama, tiny)
    place(tiny_opt, tiny)
    return tiny


async def opened(w: Window) -> BaseList:
    await w.ready()
    await w.press("f3")
    return await shown(w)


async def shown(w: Window) -> BaseList:
    """The list, once it is drawn."""
    await w.until(lambda: isinstance(w.app.screen, BasesScreen))
    await w.see("Base models · ")
    await w.still()
    return w.app.screen.query_one(BaseList)


def look_at(w: Window, name: str) -> None:
    w.app.screen.query_one(BaseList).look_at(name)


def test_it_shows_those_here_first_and_what_each_needs(window: Tell) -> None:
    async def story(w: Window) -> None:
        found = await opened(w)
        await w.see("Base models · 1 here · 14 more")
        lines = [line for line in w.text.splitlines() if "tiny-llama" in line]
        assert "● tiny-llama *" in lines[0]
        assert "on disk" in lines[0]
        await w.see("724 MB")
        await w.see("in this conversation")
        look_at(w, "gemma-3-1b")
        await w.see("google/gemma-3-1b-it")
        await w.see("accept its licence at ")
        assert found.has_focus

    window(story, (120, 40))


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 60)])
def test_at_any_size_the_columns_stand_under_their_names(window: Tell, size: tuple[int, int]) -> None:
    async def story(w: Window) -> None:
        await opened(w)
        await w.see("724 MB")
        lines = w.text.splitlines()
        head, row = (next(line for line in lines if each in line) for each in ("size", "smollm2-360m"))
        assert head.index("size") + len("size") == row.index("724 MB") + len("724 MB")
        assert ("licence" in head) == (size[0] == 200)

    window(story, size)


@pytest.mark.usefixtures("two")
def test_enter_has_one_that_is_here_answer(window: Tell) -> None:
    async def story(w: Window) -> None:
        await opened(w)
        look_at(w, "tiny-opt")
        await w.press("enter")
        await w.hear("tiny-opt answers from the next answer on")
        assert w.app.screen is w.app.chat
        assert w.app.chat.base == "tiny-opt"

    window(story)


@pytest.mark.usefixtures("two")
def test_it_begins_with_one_and_takes_another_away(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        found = await opened(w)
        look_at(w, "tiny-opt")
        await w.press("s")
        await w.see("tiny-opt *")
        await w.press("d")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.see("1 here")
        assert not (tiny.models / "tiny-opt").exists()
        assert found.looked_at is not None

    window(story)
    assert load_config(tiny.config).model == "tiny-opt"


def test_one_comes_while_the_chat_goes_on(
    window: Tell, tiny: Paths, tiny_opt: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_home = tiny.models.resolve()
    tiny.models.unlink()
    tiny.models.mkdir()
    (tiny.models / "tiny-llama").symlink_to(tiny_home / "tiny-llama")
    process = comes(monkeypatch, Fetched(0, PROGRESS, brings=_made(tiny_opt, tiny), as_what=tiny.models / "qwen3-0.6b"))

    async def story(w: Window) -> None:
        await opened(w)
        look_at(w, "qwen3-0.6b")
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.see("Downloading qwen3-0.6b")
        await w.see("42%")
        look_at(w, "smollm2-360m")
        assert "bring it here" not in w.text  # one at a time
        await w.press("escape")
        await w.see("bringing qwen3-0.6b 42%")
        await w.press("f3")
        await w.see("x stop the download")  # also before the next word of how far it is
        await w.press("escape")
        await w.write("/model pull smollm2-360m")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("qwen3-0.6b comes already")
        await w.answered("hello")
        process.go.set()
        await w.hear("qwen3-0.6b is on this machine now: /model use qwen3-0.6b")
        await w.not_see("bringing")
        await w.press("f3")
        await w.see("2 here")

    window(story)
    assert process.command[-4:] == ["pull", "qwen3-0.6b", "--yes", "--json"]


def test_what_comes_can_be_stopped(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Fetched):
        ended = False

        def poll(self) -> int | None:  # type: ignore[override]
            return 1 if self.ended else None

        def terminate(self) -> None:
            self.ended = True
            self.go.set()

    process = Endless(1, PROGRESS)
    comes(monkeypatch, process)

    async def story(w: Window) -> None:
        await opened(w)
        look_at(w, "qwen3-0.6b")
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.see("x stop the download")
        await w.press("x")
        await w.hear("qwen3-0.6b was stopped")
        await w.not_see("Downloading")
        assert process.ended

    window(story)


def test_a_filter_leaves_those_that_are_meant(window: Tell) -> None:
    async def story(w: Window) -> None:
        found = await opened(w)
        await w.press("slash")
        await w.type("qwen")
        await w.not_see("smollm2-360m")
        await w.press("enter")
        assert found.has_focus
        await w.see("qwen3-0.6b")
        await w.press("slash")
        await w.type("nobody")
        await w.see("No base model is called so")
        await w.press("escape")
        await w.see("smollm2-360m")
        assert isinstance(w.app.screen, BasesScreen)
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story, (80, 40))


def test_a_broken_one_says_why(window: Tell, two: Paths) -> None:
    broken = two.models / "broken"
    broken.mkdir()
    (broken / "base.json").write_text("{", encoding="utf-8")

    async def story(w: Window) -> None:
        await opened(w)
        look_at(w, "broken")
        await w.see("JSONDecodeError")
        assert "2 here · 14 more · 1 broken" in w.text
        assert "bring it here" not in w.text
        await w.press("d")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.until(lambda: not broken.exists())
        await w.not_see("1 broken")
        await w.see("2 here · 14 more")

    window(story, (100, 40))


def test_what_is_found_is_told_and_what_is_broken_there_is_not_taken_away(
    window: Tell, two: Paths, tiny_llama: InstalledBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    shutil.copytree(tiny_llama.folder, hub / "models--Qwen--Qwen3-0.6B" / "snapshots" / "0a1b2c")
    shutil.copytree(tiny_llama.folder, hub / "models--Org--Broken" / "snapshots" / "tiny-opt-cut")
    (hub / "models--Org--Broken" / "snapshots" / "tiny-opt-cut" / "model.safetensors").write_bytes(b"cut")

    async def story(w: Window) -> None:
        await opened(w)
        (line,) = [line for line in w.text.splitlines() if "qwen3-0.6b" in line]
        assert "found" in line
        look_at(w, "qwen3-0.6b")
        await w.see("used where it lies, nothing is downloaded")
        assert "bring it here" in w.text
        look_at(w, "tiny-opt-cut")
        await w.see("is damaged or cut short")
        assert "take away" not in w.text

    window(story, (120, 40))


@pytest.mark.usefixtures("bare")
def test_at_the_first_start_another_one_can_be_begun_with(
    window: Tell, tiny: Paths, tiny_opt: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.models.mkdir()
    brings = Fetched(0, PROGRESS, brings=_made(tiny_opt, tiny), as_what=tiny.models / "tiny-llama")
    process = comes(monkeypatch, brings)

    async def story(w: Window) -> None:
        await w.see("choose another base model first")
        await w.press("m")
        await shown(w)
        await w.see("recommended here")
        look_at(w, "smollm2-360m")
        assert "take away" not in w.text
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, WelcomeScreen))
        await w.see("42%")
        process.go.set()
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("Hello")

    window(story)


@pytest.mark.usefixtures("bare")
def test_one_that_is_here_already_is_begun_with_at_once(window: Tell, tiny: Paths, tiny_opt: InstalledBase) -> None:
    tiny.models.mkdir()
    place(tiny_opt, tiny)

    async def story(w: Window) -> None:
        await w.see("choose another base model first")
        await w.press("m")
        await shown(w)
        look_at(w, "tiny-opt")
        await w.press("enter")
        await w.until(lambda: w.app.chat.base == "tiny-opt")

    window(story)
    assert load_config(tiny.config).model == "tiny-opt"


def _made(base: InstalledBase, home: Paths) -> Path:
    """What a pull leaves under ``models/``, somewhere else."""
    there = place(base, home).name
    return (home.models / there).rename(home.models.parent / "made")
