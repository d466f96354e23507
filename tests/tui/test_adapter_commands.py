"""Adapters as one asks for them: installed, chosen, worn by a conversation, taken off, gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora_chat.adapters.install import prepared
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.versions import keep_beside, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.paths import Paths
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.widgets.banner import Banner
from tests.cli.conftest import leave_old_things
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
        for fact in ("lighthouse 1.0.0", "fits tiny-llama", "sha256", "changes the next token's scores by up to"):
            await w.see(fact)
        await w.press("n")
        await w.hear("Nothing was installed.")
        assert not (tiny.adapters / "lighthouse").exists()
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write(f"/adapter install {shared}")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("lighthouse is installed: /adapter use lighthouse")
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
        await w.press("y")
        await w.hear("lighthouse is installed: /adapter use lighthouse")
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


def test_an_adapter_removed_while_worn_leaves_the_chat_on_the_base_and_that_stays_in_sight(
    window: Tell, worn: str, tiny: Paths
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.see("▎shop")
        shutil.rmtree(tiny.adapters / "shop")
        await w.see("shop is no longer installed: the base answers.")
        await w.not_see("▎shop")
        await w.answered("hello")
        assert w.app.chat.answer is not None
        assert w.app.chat.answer.adapter is None
        await w.see("shop is no longer installed: the base answers.")
        await w.see("esc put away")
        await w.press("escape")
        await w.not_see("no longer installed")

    window(story, adapter="shop")


def test_another_version_is_worn_from_the_next_answer_on_and_nothing_is_taken_off(
    window: Tell, worn: str, tiny: Paths, tmp_path: Path
) -> None:
    made = shutil.copytree(tiny.adapters / "shop", tmp_path / "later")
    weights = made / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    later = keep_beside(prepared(read_adapter(made), Manifest(), "later"), "shop", "1.1.0", tiny)
    hashes = {version.number: version.adapter.sha256 for version in versions("shop", tiny)}
    assert len(set(hashes.values())) == 2

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("first")
        for typed, number, back in (("shop 1.1.0", "1.1.0", "1.0.0"), ("shop", "1.0.0", "1.1.0")):
            await w.write(f"/adapter rollback {typed}")
            await w.hear("shop was replaced by another version, which is worn from the next answer on.")
            await w.hear(f"shop is {number} now. {back} is kept: /adapter rollback shop {back} wears it again.")
            await w.see("▎shop")
            await w.answered(f"with {number}")
            assert w.app.chat.answer is not None
            assert w.app.chat.answer.adapter_sha256 == hashes[number]
        await w.write("/adapter history")
        await w.see("Versions of shop")
        await w.see(later.number)

    window(story, adapter="shop")


def test_the_banner_goes_once_something_is_worn_or_it_is_clicked(window: Tell, worn: str, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        for put_away in ("wear", "click"):
            await w.ready()
            aside = tiny.adapters.parent / "aside"
            shutil.move(tiny.adapters / "shop", aside)
            await w.see("no longer installed")
            shutil.move(aside, tiny.adapters / "shop")
            await w.until(lambda: [name for name, _ in w.app.chat.asking.adapters] == ["shop"])
            if put_away == "click":
                await w.pilot.click(Banner)
            else:
                await w.write("/adapter use shop")
                await w.see("▎shop")
            await w.not_see("no longer installed")

    window(story, adapter="shop")


def test_one_edited_while_worn_is_taken_off_at_once_with_its_sentence(window: Tell, worn: str, tiny: Paths) -> None:
    weights = tiny.adapters / "shop" / "adapter_model.safetensors"

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: w.app.shelf._seen and w.app.shelf._seen.standings)
        raw = bytearray(weights.read_bytes())
        raw[-1] ^= 1
        weights.write_bytes(raw)
        await w.until(lambda: "was edited after it was installed" in " ".join(w.text.split()))
        await w.not_see("▎shop")
        await w.press("f2")
        await w.see("cannot be used")
        await w.press("escape")
        await w.write("/adapter use shop")
        await w.hear("was edited after it was installed")

    window(story, adapter="shop")


def test_an_adapter_toml_edited_by_hand_is_worn_as_it_says_now(window: Tell, worn: str, tiny: Paths) -> None:
    manifest = tiny.adapters / "shop" / "adapter.toml"

    async def story(w: Window) -> None:
        await w.ready()
        text = manifest.read_text("utf-8").replace('description = ""', 'description = "Now it says something."')
        manifest.write_text(text, "utf-8")
        await w.until(lambda: ("shop", "Now it says something.") in w.app.chat.asking.adapters)
        await w.answered("hello")
        await w.see("(shop 1) hello")
        await w.see("▎shop")

    window(story, adapter="shop")


def test_a_version_put_in_its_place_is_worn_from_the_next_answer_on(
    window: Tell, worn: str, tiny: Paths, shared: Path
) -> None:
    other = shared / "adapter_config.json"
    other.write_text(other.read_text("utf-8") + "\n", "utf-8")
    manifest = shared / "adapter.toml"
    kept = [line for line in manifest.read_text("utf-8").splitlines() if not line.startswith("config_sha256")]
    manifest.write_text("\n".join(kept).replace('"lighthouse"', '"shop"'), "utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        (tiny.adapters / "shop").rename(tiny.adapters.parent / "old")
        shared.rename(tiny.adapters / "shop")
        await w.hear("shop was replaced by another version, which is worn from the next answer on.")
        await w.answered("hello")
        await w.see("(shop 1) hello")

    window(story, adapter="shop")


def test_a_folder_dropped_in_appears_everywhere_and_a_broken_one_with_its_reason(
    window: Tell, tiny: Paths, trained: Path
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.press("f2")
        await w.see("No adapter is installed yet.")
        shutil.copytree(trained, tiny.adapters / "dropped")
        (tiny.adapters / "broken").mkdir()
        await w.see("dropped")
        await w.see("broken")
        await w.see("fits")
        await w.press("end")
        await w.until(lambda: "adapter_config.json is missing" in " ".join(w.text.replace("│", " ").split()))
        await w.press("escape")
        await w.press("ctrl+g")
        await w.see("dropped")
        await w.press("escape")
        await w.type("/adapter use d")
        await w.see("› dropped")
        shutil.rmtree(tiny.adapters / "dropped")
        await w.until(lambda: not w.app.chat.asking.adapters)

    window(story)


def test_what_was_edited_before_the_window_opened_is_not_worn_from_the_start(
    window: Tell, worn: str, tiny: Paths
) -> None:
    weights = tiny.adapters / "shop" / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: "was edited after it was installed" in " ".join(w.text.split()))
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


def test_what_is_due_is_deleted_when_the_window_opens(window: Tell, tiny: Paths) -> None:
    leave_old_things(tiny)

    async def story(w: Window) -> None:
        await w.ready()
        kept = [".incoming-now", ".trash-now"]
        await w.until(lambda: sorted(each.name for each in tiny.adapters.iterdir()) == kept)

    window(story)
