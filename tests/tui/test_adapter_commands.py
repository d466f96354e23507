"""Adapters as one asks for them: installed, chosen, worn by a conversation, taken off, gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.details import DetailsScreen
from tests.tui.conftest import Branch, Tell, Window


@pytest.fixture
def shared(trained: Path, tmp_path: Path) -> Path:
    """A folder that somebody shared, with an adapter called lighthouse."""
    folder = shutil.copytree(trained, tmp_path / "lighthouse")
    manifest = folder / "adapter.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"shop"', '"lighthouse"', 1), "utf-8")
    return folder


def test_install_shows_it_first_and_no_installs_nothing(window: Tell, tiny: Paths, shared: Path) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write(f"/adapter install {shared}")
        await w.see("Install the adapter lighthouse?")
        assert isinstance(w.app.screen_stack[-2], DetailsScreen)
        await w.press("n")
        await w.hear("Nothing was installed.")
        assert not (tiny.adapters / "lighthouse").exists()
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write(f"/adapter install {shared}")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("lighthouse is installed: /adapter use lighthouse")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.until(lambda: [name for name, _ in w.app.chat.asking.adapters] == ["lighthouse"])

    window(story)
    assert (tiny.adapters / "lighthouse").is_dir()


def test_an_archive_is_installed_in_the_chat_as_at_the_shell(window: Tell, tiny: Paths, shared: Path) -> None:
    archive = shutil.make_archive(str(shared.parent / "sent"), "gztar", shared.parent, shared.name)

    async def story(w: Window) -> None:
        await w.ready()
        await w.write(f"/adapter install {archive}")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("n")
        await w.see("changes the logits of a probe")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write(f"/adapter install {archive}")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("lighthouse is installed: /adapter use lighthouse")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write(f"/adapter install {archive}")
        await w.hear("lighthouse is already installed, with the same bytes: /adapter use lighthouse")

    window(story)
    assert [path.name for path in tiny.adapters.iterdir()] == ["lighthouse"]


def test_what_is_worn_belongs_to_the_conversation_and_each_answer_remembers(
    window: Tell, worn: str, branch: Branch
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("plain")
        await w.write("/adapter use shop=0.5")
        await w.see("▎shop ×0.5 ›")
        await w.answered("worn")
        await w.see("(shop 0.5) worn")
        with_shop = w.app.chat.answer
        assert with_shop is not None
        await w.press("ctrl+n")
        await w.write("/adapter off")
        await w.hear("Wearing nothing")
        await w.not_see("▎shop ×0.5 ›")
        await w.answered("bare")
        await w.write(f"/open {with_shop.conversation}")
        await w.see("▎shop ×0.5 ›")
        await w.press("ctrl+g")
        await w.until(lambda: isinstance(w.app.screen, AdapterPicker))
        await w.press("up", "enter")  # nothing is the row above the one worn
        await w.not_see("▎shop ×0.5 ›")
        await w.press("ctrl+g")
        await w.until(lambda: isinstance(w.app.screen, AdapterPicker))
        await w.type("sho")
        await w.press("enter")
        await w.see("▎shop ›")
        await w.answered("again")

    window(story)
    answers = [message for message in branch() if message.adapter or message.base]
    assert [(each.adapter, each.scale) for each in answers] == [(None, None), ("shop", 0.5), ("shop", 1.0)]


def test_an_adapter_removed_while_worn_leaves_the_chat_on_the_base(window: Tell, worn: str, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        shutil.rmtree(tiny.adapters / "shop")
        await w.answered("hello")
        await w.see("shop is no longer installed: the base answers.")
        await w.not_see("▎shop")

    window(story, adapter="shop")


def test_the_name_that_is_written_is_meant_also_beside_a_longer_one(
    window: Tell, worn: str, shared: Path, tiny: Paths
) -> None:
    second = shutil.copytree(shared, tiny.adapters / "shop-2")
    manifest = second / "adapter.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"lighthouse"', '"shop-2"', 1), "utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: len(w.app.chat.asking.adapters) == 2)
        await w.type("/adapter use shop")
        await w.press("enter")
        await w.hear("Wearing shop from the next answer on.")

    window(story)
