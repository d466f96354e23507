"""The Adapters screen: every key in every state, by itself and in a window with a real home."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.events import DescendantFocus
from textual.widgets import Input

from lora_chat.adapters.registry import Catalog, Problem
from lora_chat.paths import Paths
from lora_chat.sitting.standing import Standing
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.widgets.shelf_list import ShelfList, name_of
from tests.tui.conftest import Tell, Window
from tests.tui.examples import CATALOG, HARMLESS, HOSTILE, STANDINGS, Seat, adapter, looks, show

NARROW, WIDE = (80, 24), (160, 40)


def shelf(worn: str = "", catalog: Catalog = CATALOG) -> AdaptersScreen:
    return AdaptersScreen(catalog, worn, "smollm2-135m", STANDINGS)


def at(seat: Seat) -> str:
    return name_of(seat.app.screen.query_one(ShelfList).looked_at)


def wanted(asked: list[Any]) -> list[str]:
    return [event.line for event in asked]


def test_it_lists_what_fits_first_then_what_may_then_what_does_not_then_what_is_broken() -> None:
    seen = looks(shelf("pirate"), WIDE)
    names = ("pirate", "shop", "support-bot", "haiku", "big-llama", "broken-one")
    places = [next(at for at, line in enumerate(seen.splitlines()) if name in line[:16]) for name in names]
    assert places == sorted(places)
    assert "5 installed · 1 broken" in seen
    for said in ("worn  fits", "changes 7.32", "not measured", "made for SmolLM2-135M", "changes nothing"):
        assert said in seen


def test_the_one_worn_is_looked_at_first_with_everything_that_is_known_of_it() -> None:
    seen = looks(shelf("pirate"), WIDE)
    for said in (
        "changes the next token's scores by up to 7.32", "Talks like a pirate", "8 on up_proj", "2,442,240",
        "MIT", "abababab", "/a/pirate", "conversations 48", "heldout loss 3.46 → 0.0267",
    ):  # fmt: skip
        assert said in seen


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_all_parts_of_a_mixture_are_worn_and_its_first_is_looked_at(size: tuple[int, int]) -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.rests()
        worn = [
            name for name in ("pirate", "shop", "support-bot", "haiku") if f"▎{name} " in seen and _is_worn(seen, name)
        ]
        assert worn == ["pirate", "shop"]
        assert at(seat) == "shop"
        assert "enter wear" in seat.keys, "alone"

    show(shelf("shop=0.7+pirate=0.3"), story, size)


def _is_worn(seen: str, name: str) -> bool:
    return any(f"▎{name} " in line and " worn " in line for line in seen.splitlines())


def test_one_edited_after_it_was_installed_says_so_where_there_is_little_room() -> None:
    edited = 'The adapter "shop" in /a/shop was edited after it was installed: remove it and install it again.'
    screen = AdaptersScreen(CATALOG, "", "smollm2-135m", {**STANDINGS, "shop": Standing(broken=edited)})
    assert [line for line in looks(screen, NARROW).splitlines() if "▎shop" in line and "was edited after" in line]


@pytest.mark.parametrize("size", [NARROW, (120, 36), WIDE])
def test_a_long_name_gives_way_before_what_an_adapter_was_measured_to_change(size: tuple[int, int]) -> None:
    catalog = Catalog((*CATALOG.adapters, adapter("a" * 40, "long")), CATALOG.problems)
    seen = looks(AdaptersScreen(catalog, "", "smollm2-135m", {**STANDINGS, "a" * 40: Standing(effect=7.318)}), size)
    assert [line for line in seen.splitlines() if "▎aaaaaaaa" in line and "changes 7.32" in line]
    assert [line for line in seen.splitlines() if "▎shop " in line and "not measured" in line.split("│")[0]]


def test_the_list_has_the_keys_from_the_first_frame_on() -> None:
    class Noting(AdaptersScreen):
        def on_descendant_focus(self, event: DescendantFocus) -> None:
            focused.append(type(event.widget))

    focused: list[type] = []

    async def story(seat: Seat) -> None:
        await seat.rests()
        assert set(focused) == {ShelfList}, "not the line, which is not shown"

    show(Noting(CATALOG, "", "smollm2-135m", STANDINGS), story)


def test_a_problem_shows_its_whole_reason_and_can_only_be_removed() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("end")
        assert at(seat) == "broken-one"
        assert "Its configuration is not JSON: remove the folder." in " ".join(seat.text.split())
        assert "remove" in seat.keys
        assert "wear" not in seat.keys
        assert "verify" not in seat.keys
        await seat.press("enter", "v", "d")

    assert wanted(show(shelf(), story)[1]) == ["/adapter remove broken-one"]


def test_what_does_not_fit_says_why_in_full_and_cannot_be_worn() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("end", "up")
        assert at(seat) == "big-llama"
        assert "wear it on its own base model" in " ".join(seat.text.split())
        assert "enter wear" not in seat.keys
        await seat.press("enter")
        assert isinstance(seat.app.screen, AdaptersScreen)

    assert show(shelf(), story, WIDE)[1] == []


def test_enter_wears_it_and_the_chat_is_back() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("down")
        assert "enter wear" in seat.keys
        await seat.press("enter")

    said, asked = show(shelf(), story)
    assert (said, wanted(asked)) == ([None], ["/adapter use shop"])


def test_enter_on_the_one_worn_takes_it_off() -> None:
    async def story(seat: Seat) -> None:
        await seat.rests()
        assert "enter take off" in seat.keys
        await seat.press("enter")
        screen = seat.app.screen
        assert isinstance(screen, AdaptersScreen)
        screen.wear("")
        await seat.rests()
        assert "enter wear" in seat.keys

    assert wanted(show(shelf("pirate"), story)[1]) == ["/adapter off"]


def test_v_verifies_and_a_shipped_one_cannot_be_removed() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("v", "down", "down")
        assert at(seat) == "support-bot"
        assert "remove" not in seat.keys
        await seat.press("d")

    assert wanted(show(shelf(), story)[1]) == ["/adapter verify pirate"]


def test_u_brings_back_what_was_removed_here_the_last_first() -> None:
    async def story(seat: Seat) -> None:
        assert "undo" not in seat.keys
        await seat.press("u", "d", "down", "d")
        assert "u undo" in seat.keys
        await seat.press("u", "u", "u")
        assert "undo" not in seat.keys

    assert wanted(show(shelf(), story, WIDE)[1]) == [
        "/adapter remove pirate", "/adapter remove shop", "/adapter restore shop", "/adapter restore pirate",
    ]  # fmt: skip


def test_i_asks_for_a_path_and_escape_asks_no_more() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("i", *"/a b", "enter")
        assert isinstance(seat.app.screen.focused, ShelfList)
        await seat.press("down", "i", "x")
        assert seat.keys == "enter go on · esc close"
        await seat.press("escape")
        assert isinstance(seat.app.screen, AdaptersScreen)
        assert at(seat) == "shop"
        await seat.press("i", "enter")

    assert wanted(show(shelf(), story)[1]) == ["/adapter install /a b"]


def test_letters_of_a_path_are_no_keys() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("i", "d", "v", "u", "i", "slash")
        assert seat.app.screen.query_one(Input).value == "dvui/"

    assert show(shelf(), story)[1] == []


def test_a_slash_filters_enter_goes_on_with_what_is_left_and_escape_shows_all() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("slash", "s", "o")
        assert "big-llama" not in seat.text
        await seat.press("enter")
        assert at(seat) == "shop"
        await seat.press("v")
        assert "big-llama" not in seat.text
        await seat.press("escape")
        assert "big-llama" in seat.text
        await seat.press("escape")

    said, asked = show(shelf(), story)
    assert (said, wanted(asked)) == ([None], ["/adapter verify shop"])


def test_a_filter_that_nothing_matches_says_so_and_leaves_nothing_to_do() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("slash", *"zzzz")
        assert "No adapter is called so" in seat.text
        await seat.press("enter")
        assert "wear" not in seat.keys
        await seat.press("enter", "d", "v")

    assert show(shelf(), story)[1] == []


def test_a_broken_one_is_found_by_its_name() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("slash", *"broken", "enter")
        assert at(seat) == "broken-one"

    show(shelf(), story)


def test_an_empty_shelf_teaches_how_to_fill_it() -> None:
    async def story(seat: Seat) -> None:
        seen = " ".join((await seat.rests()).split())
        for said in ("/train from-history", "/adapter install SOURCE", "lora-chat paths"):
            assert said in seen
        assert "filter" not in seat.keys
        await seat.press("enter", "d", "v", "slash", "i", "x", "enter")

    assert wanted(show(shelf(catalog=Catalog(())), story)[1]) == ["/adapter install x"]


def test_what_changes_meanwhile_is_shown_and_the_same_one_stays_looked_at() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("down", "down")
        before = at(seat)
        screen = seat.app.screen
        assert isinstance(screen, AdaptersScreen)
        screen.show(Catalog((adapter("aaa", "New here"), *CATALOG.adapters[2:])), STANDINGS)
        seen = await seat.rests()
        assert "aaa" in seen
        assert "big-llama" not in seen
        assert at(seat) == before
        screen.show(Catalog((), (Problem(Path("/a/aaa"), "It is broken now."),)), {})
        assert "It is broken now." in " ".join((await seat.rests()).split())
        screen.show(Catalog(()), {})
        assert "No adapter is installed yet." in await seat.rests()

    show(shelf(), story, WIDE)


def test_one_that_was_not_looked_into_yet_can_be_worn() -> None:
    async def story(seat: Seat) -> None:
        assert "…" in seat.text
        await seat.press("enter")

    screen = AdaptersScreen(CATALOG, "", "smollm2-135m")
    assert wanted(show(screen, story)[1]) == ["/adapter use big-llama"]


@pytest.mark.parametrize("size", [NARROW, (120, 36), (200, 60), (40, 12)], ids=str)
def test_what_it_says_of_itself_is_only_text(size: tuple[int, int]) -> None:
    foreign = Catalog((adapter("x", HOSTILE, license=HOSTILE),), (Problem(Path(f"/a/{HOSTILE}"), HOSTILE),))
    assert HARMLESS in looks(AdaptersScreen(foreign, "", HOSTILE), size) or size == (40, 12)


def test_a_click_looks_at_one_and_a_click_on_a_key_is_that_key() -> None:
    async def story(seat: Seat) -> None:
        await seat.pilot.click(ShelfList, offset=(3, 1))
        assert at(seat) == "shop"
        line = seat.app.screen.query_one("KeysLine")
        behind = len("verify · d remove · / filter · esc back")
        await seat.pilot.click(line, offset=(line.size.width - behind, 0))
        await seat.rests()

    assert wanted(show(shelf(), story)[1]) == ["/adapter verify shop"]


# In a window


@pytest.fixture
def two(tiny: Paths, trained: Path) -> Paths:
    """A home with shop, and one made for another base whose shapes fit."""
    shutil.copytree(trained, tiny.adapters / "shop")
    other = shutil.copytree(trained, tiny.adapters / "other")
    toml = (other / "adapter.toml").read_text("utf-8").replace('"shop"', '"other"', 1)
    (other / "adapter.toml").write_text("\n".join(_made_for(line) for line in toml.splitlines()), "utf-8")
    config = json.loads((other / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"]
    return tiny


def _made_for(line: str) -> str:
    named = {"model": "someone/Else-1B", "weights": "sha256:" + "0" * 64}
    return next((f'{key} = "{value}"' for key, value in named.items() if line.startswith(f"{key} =")), line)


async def on_the_shelf(w: Window) -> AdaptersScreen:
    await w.ready()
    await w.press("f2")
    await w.until(lambda: isinstance(w.app.screen, AdaptersScreen))
    await w.see(" fits ")
    await w.not_see("…")
    screen = w.app.screen
    assert isinstance(screen, AdaptersScreen)
    return screen


def test_remove_and_undo_in_the_window(window: Tell, two: Paths) -> None:
    async def story(w: Window) -> None:
        screen = await on_the_shelf(w)
        screen.query_one(ShelfList).look_at("shop")
        await w.press("d")
        await w.hear("shop is removed: /adapter restore shop brings it back, for 24 hours.")
        await w.see("1 installed")
        assert not (two.adapters / "shop").exists()
        await w.press("u")
        await w.hear("shop is back: /adapter use shop")
        await w.see("2 installed")
        assert (two.adapters / "shop").is_dir()

    window(story)


def test_one_that_is_worn_can_be_removed_and_the_base_answers(window: Tell, two: Paths) -> None:
    async def story(w: Window) -> None:
        await on_the_shelf(w)
        await w.see("enter take off")
        await w.press("d")
        await w.hear("The base answers.")
        await w.press("escape")
        await w.not_see("▎shop")
        await w.answered("Hello")
        assert w.app.chat.answer is not None
        assert w.app.chat.answer.adapter is None

    window(story, adapter="shop")


def test_verify_says_what_was_checked_and_measured(window: Tell, two: Paths) -> None:
    async def story(w: Window) -> None:
        screen = await on_the_shelf(w)
        screen.query_one(ShelfList).look_at("shop")
        await w.press("v")
        await w.until(lambda: isinstance(w.app.screen, DetailsScreen))
        for said in ("shop is sound", "fits tiny-llama", "as they were installed", "modules"):
            await w.see(said)

    window(story, (120, 36))


def test_one_for_another_base_that_was_just_installed_is_not_asked_about_again(window: Tell, two: Paths) -> None:
    given = shutil.move(two.adapters / "other", two.models / "given")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write(f"/adapter install {given}")
        await w.see("Install the adapter other all the same?")
        await w.press("y")
        await w.hear("other is installed")
        await w.write("/adapter use other")
        await w.see("▎other ›")

    window(story, (120, 36))


def test_one_for_another_base_is_asked_about_once_a_sitting(window: Tell, two: Paths) -> None:
    async def story(w: Window) -> None:
        screen = await on_the_shelf(w)
        await w.see("made for Else-1B")
        screen.query_one(ShelfList).look_at("other")
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.see("It was made for someone/Else-1B")
        await w.press("n")
        await w.hear("Nothing was changed.")
        await w.write("/adapter use other")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.see("▎other ›")
        await w.write("/adapter off")
        await w.not_see("▎other ›")
        await w.write("/adapter use other=0.5")
        await w.see("▎other ×0.5 ›")

    window(story, (120, 36))
