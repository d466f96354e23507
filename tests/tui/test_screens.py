"""The panels over the talk: every key does what its line says, every foreign text is only text."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets import Input, TextArea

from lora_chat.adapters.registry import Catalog, Problem
from lora_chat.sitting.commands import COMMANDS
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.help import HelpScreen
from lora_chat.tui.screens.search import SearchScreen, spoken_time
from lora_chat.tui.screens.training import TrainingScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.widgets.shelf_list import matches
from tests.tui.examples import (
    CATALOG,
    DOUBT,
    HARMLESS,
    HITS,
    HOSTILE,
    STANDINGS,
    Seat,
    adapter,
    after,
    hit,
    installed,
    looks,
    plan,
    progress,
    reported,
    show,
)

KEYS = (("ctrl+r", "retry"), (HOSTILE, HOSTILE))


def picker(worn: str = "", catalog: Catalog = CATALOG) -> AdapterPicker:
    return AdapterPicker(catalog, worn, "smollm2-135m", STANDINGS)


def shelf(worn: str = "", catalog: Catalog = CATALOG) -> AdaptersScreen:
    return AdaptersScreen(catalog, worn, "smollm2-135m", STANDINGS)


ALL: dict[str, Any] = {
    "confirm": lambda: ConfirmScreen("Delete it?", loses=True),
    "details": lambda: DetailsScreen("pirate 1.0.0", [("says", "Talks like a pirate. " * 40)]),
    "help": lambda: HelpScreen(KEYS),
    "search": lambda: SearchScreen("order", HITS),
    "nothing searched": SearchScreen,
    "write": lambda: WriteAnswer("Where is my parcel? " * 40, "At sea. " * 200),
    "picker": picker,
    "many adapters": lambda: picker(catalog=Catalog(tuple(adapter(f"a{n}", "word " * 60) for n in range(60)))),
    "many hits": lambda: SearchScreen("order", HITS * 20),
    "no adapters": lambda: picker(catalog=Catalog(())),
    "shelf": shelf,
    "many on the shelf": lambda: shelf(catalog=Catalog(tuple(adapter(f"a{n}", "word " * 60) for n in range(60)))),
    "nothing on the shelf": lambda: shelf(catalog=Catalog(())),
    "plan": lambda: TrainingPlanScreen(plan()),
    "training": lambda: TrainingScreen(progress()),
    "report": lambda: reported(installed()),
}


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=str)
def test_nothing_is_cut_off(size: tuple[int, int]) -> None:
    async def look(seat: Seat) -> None:
        whole = Region(0, 0, *size)
        for widget in seat.app.screen.query(
            "#panel, #panel > *, TrainingPlanScreen > *, TrainingReportScreen > *, AdaptersScreen > *, #shelf > *"
        ):
            if widget.display:
                assert whole.contains_region(widget.region), widget
        below = [widget for widget in seat.app.screen.query("#panel > *") if widget.display]
        assert all(not one.region.overlaps(other.region) for one in below for other in below if one is not other)
        assert "esc" in seat.keys or "k not now" in seat.keys or "n no" in seat.keys

    async def story(seat: Seat) -> None:
        for make in ALL.values():
            await seat.app.push_screen(make())
            await seat.rests()
            await look(seat)
            seat.app.pop_screen()

    show(DetailsScreen("x", []), story, size)


# Yes or no


@pytest.mark.parametrize(
    ("keys", "answer"),
    [("y", True), ("n", False), ("escape", False), ("enter", True), ("right enter", False), ("left enter", False)],
)
def test_a_question_is_answered_by_letters_or_the_chosen_button(keys: str, answer: bool) -> None:
    assert after(ConfirmScreen("Install it?"), *keys.split()) == [answer]


@pytest.mark.parametrize(("keys", "answer"), [("enter", False), ("left enter", True), ("tab enter", True)])
def test_enter_alone_loses_nothing(keys: str, answer: bool) -> None:
    assert after(ConfirmScreen("Delete it?", loses=True), *keys.split()) == [answer]


def test_a_question_says_its_own_answers() -> None:
    seen = looks(ConfirmScreen(HOSTILE, yes="stop it", no="let it go on"))
    assert HARMLESS in seen
    assert "stop it" in seen
    assert "let it go on" in seen


def test_in_a_tiny_window_a_question_and_its_answers_are_in_sight() -> None:
    question = f"{DOUBT} Install the adapter haiku all the same?"
    seen = " ".join(looks(ConfirmScreen(question, loses=True, about=[("says", "much " * 40)]), (40, 12)).split("│"))
    seen = " ".join(seen.split())
    assert "all the same?" in seen
    assert "yes no" in seen
    assert "y yes · n no" in seen


def test_below_the_answers_of_a_long_question_no_rows_are_wasted() -> None:
    lines = looks(ConfirmScreen("Install it?", about=[(f"fact {n}", "x") for n in range(40)]), (80, 24)).splitlines()
    answers = next(at for at, line in enumerate(lines) if " yes " in line and " no " in line)
    assert "y yes" in lines[answers + 2]


# Facts


@pytest.mark.parametrize("key", ["escape", "enter", "q"])
def test_details_close(key: str) -> None:
    assert after(DetailsScreen("x", [("says", "y")]), key) == [None]


def test_details_align_wrap_and_scroll() -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.rests()
        assert seen.count(HARMLESS) == 3
        lines = [line for line in seen.splitlines() if "word" in line]
        assert len({line.index("word") for line in lines}) == 1
        assert "↑ ↓ scroll" in seat.keys
        assert "the end" not in seen
        assert "the end" in await seat.press("end")

    show(DetailsScreen(HOSTILE, [(HOSTILE, HOSTILE), ("long", "word " * 300 + "the end")]), story)


# Help


@pytest.mark.parametrize("key", ["escape", "question_mark", "f1", "q"])
def test_help_closes(key: str) -> None:
    assert after(HelpScreen(KEYS), key) == [None]


def test_help_has_every_command_and_key() -> None:
    seen = looks(HelpScreen(KEYS), (120, 110))
    assert all(command.usage in seen and command.help in seen for command in COMMANDS)
    assert seen.count(HARMLESS) == 2
    assert "retry" in seen


# Searching


def test_a_search_asks_as_it_is_typed_and_drops_what_comes_too_late() -> None:
    async def story(seat: Seat) -> None:
        screen = seat.app.screen
        assert isinstance(screen, SearchScreen)
        assert "Type words" in seat.text
        await seat.press("o", "r")
        screen.show("o", HITS)
        assert "4711" not in await seat.rests()
        screen.show("or", HITS)
        assert "4711" in await seat.rests()
        assert "enter open · ↑ ↓ choose · esc back" in seat.keys
        screen.show("or", ())
        assert "Nothing was said with these words" in await seat.rests()
        await seat.press("enter", "down")

    said, asked = show(SearchScreen(), story)
    assert [event.text for event in asked if isinstance(event, SearchScreen.SearchWanted)] == ["o", "or"]
    assert said == []


def test_enter_goes_to_the_hit_looked_at() -> None:
    assert after(SearchScreen("order", HITS), "enter") == [(HITS[0], "order")]
    assert after(SearchScreen("order", HITS), "down", "enter") == [(HITS[1], "order")]
    assert after(SearchScreen("order", HITS), "down", "up", "enter") == [(HITS[0], "order")]
    assert after(SearchScreen("order", HITS), "escape") == [None]


def test_what_came_with_a_search_is_not_asked_for_again() -> None:
    async def story(seat: Seat) -> None:
        assert "4711" in await seat.rests()

    assert show(SearchScreen("order", HITS), story)[1] == []


def test_hits_are_only_text() -> None:
    seen = looks(SearchScreen(HOSTILE, [hit("aaaaaaaa", HOSTILE, HOSTILE)]))
    assert seen.count(HARMLESS) == 3


def test_times_are_as_short_as_they_can_be() -> None:
    now = datetime.datetime(2025, 11, 24, 18, 0)
    assert spoken_time(datetime.datetime(2025, 11, 24, 14, 3).timestamp(), now) == "today 14:03"
    assert spoken_time(datetime.datetime(2025, 11, 12).timestamp(), now) == "12 Nov"
    assert spoken_time(datetime.datetime(2024, 11, 12).timestamp(), now) == "12 Nov 2024"


# Writing the answer


def test_what_is_written_is_kept() -> None:
    assert after(WriteAnswer("Q", "Old"), "!", "ctrl+s") == ["Old!"]
    assert after(WriteAnswer("Q", "Old", "New"), "enter", "x", "ctrl+enter") == ["New\nx"]
    assert after(WriteAnswer("Q", "Old"), "escape") == [None]


def test_what_is_written_is_thrown_away_only_when_that_is_said_twice() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("!", "escape")
        assert WriteAnswer.UNKEPT[:30] in seat.text
        await seat.press("?", "escape")
        assert WriteAnswer.UNKEPT[:30] in seat.text
        await seat.press("escape")

    assert show(WriteAnswer("Q", "Old"), story)[0] == [None]


def test_its_own_answer_is_no_answer_that_was_wanted_but_a_proposed_one_is() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("ctrl+s")
        assert WriteAnswer.UNCHANGED[:40] in seat.text
        await seat.press("!", "ctrl+s")

    assert show(WriteAnswer("Q", "Old"), story)[0] == ["Old!"]
    assert after(WriteAnswer("Q", "Old", "New"), "ctrl+s") == ["New"]


@pytest.mark.parametrize("size", [(40, 12), (50, 16)])
def test_in_a_tiny_window_the_warning_and_the_keys_are_seen(size: tuple[int, int]) -> None:
    async def story(seat: Seat) -> None:
        await seat.press("!", "escape")
        assert "ctrl+s keeps it" in " ".join(seat.text.replace("│", " ").split())
        assert "ctrl+s keep" in seat.keys

    show(WriteAnswer("Where is my parcel? " * 9, "At sea. " * 50), story, size)


@pytest.mark.parametrize("screen", ["plan", "report"])
def test_in_a_tiny_window_title_answers_and_keys_are_seen(screen: str) -> None:
    seen = looks(ALL[screen](), (40, 12))
    assert ("Train from history" if screen == "plan" else "pirate-2 is ready") in seen.splitlines()[0]
    assert "enter" in seen.splitlines()[-1]
    assert ("Where is" if screen == "plan" else "The questions are asked") in seen


def test_an_empty_answer_is_refused_until_something_is_written() -> None:
    async def story(seat: Seat) -> None:
        assert WriteAnswer.EMPTY in await seat.press("space", "ctrl+s")
        assert WriteAnswer.EMPTY not in await seat.press("x")

    assert show(WriteAnswer("Q", ""), story)[0] == []


def test_question_and_answer_are_only_text() -> None:
    async def story(seat: Seat) -> None:
        assert (await seat.rests()).count(HARMLESS) == 2
        assert "\x1b" not in seat.app.screen.query_one(TextArea).text
        assert "ctrl+s keep · esc back" in seat.keys

    show(WriteAnswer(HOSTILE, HOSTILE), story)


# Choosing an adapter


@pytest.mark.parametrize(
    ("worn", "keys", "choice"),
    [
        ("", "enter", "use pirate"),
        ("shop", "enter", "use shop"),
        ("shop", "down enter", "use support-bot"),
        ("pirate", "up enter", "off"),
        ("", "s h o p enter", "use shop"),
        ("", "s b enter", "use support-bot"),
        ("", "h a r b o u r enter", "use shop"),
        ("shop", "escape", None),
        ("big-llama", "enter up up enter", "use support-bot"),
        ("", "up enter", "off"),
    ],
)
def test_an_adapter_is_chosen_by_arrows_or_letters(worn: str, keys: str, choice: str | None) -> None:
    assert after(picker(worn), *keys.split()) == [choice]


def test_the_picker_shows_what_helps_to_choose() -> None:
    seen = looks(picker("shop"), (100, 36))
    assert [line for line in seen.splitlines() if "▎shop" in line and " worn  fits " in line]
    assert [line for line in seen.splitlines() if line.split()[1:4] == ["rank", "4", "on"]]
    assert [line for line in seen.splitlines() if "broken-one" in line and "Its configuration is not JSON" in line]
    assert "parameters" in seen
    assert [line for line in seen.splitlines() if "haiku" in line and "made for SmolLM2-135M" in line]
    assert [
        line for line in seen.splitlines() if "big-llama" in line and "does not fit" in line and "layers.15" in line
    ]
    assert "not measured: verifying it does that" in seen
    assert "Where is my parcel?" in looks(picker("pirate"))
    assert "changes the next token's scores by up to 7.32" in looks(picker("pirate"))


def test_nothing_that_matches_is_nothing_to_wear() -> None:
    async def story(seat: Seat) -> None:
        assert "No adapter is called so" in await seat.press("x", "x")
        assert "wear" not in seat.keys
        await seat.press("enter", "down")
        assert "▎pirate" in await seat.press("backspace", "backspace")

    assert show(picker(), story)[0] == []


def test_without_adapters_the_picker_says_how_to_get_one() -> None:
    seen = " ".join(looks(picker(catalog=Catalog(()))).replace("│", " ").split())
    assert "/train from-history makes one" in seen
    assert "/adapter install SOURCE takes one" in seen


def test_adapters_are_only_text() -> None:
    foreign = Catalog(
        (adapter(HOSTILE, HOSTILE, starters=(HOSTILE,)),), (Problem(Path("/a") / HOSTILE.replace("/", "|"), HOSTILE),)
    )
    seen = looks(AdapterPicker(foreign, "", HOSTILE), (120, 40))
    assert seen.count(HARMLESS) >= 6
    assert "[red]x[|]" in seen


def test_a_strangers_name_cannot_stall_the_filter() -> None:
    many = [adapter("a-" * 32, "b a " * 75)]
    assert matches(many, "a" * 30 + "b") == []
    assert matches(many, "a" * 30) == many


# A screen is told things before it stands


def test_what_comes_early_is_shown() -> None:
    async def story(seat: Seat) -> None:
        early: Screen[Any] = SearchScreen("order")
        assert isinstance(early, SearchScreen)
        seat.app.push_screen(early)
        early.show("order", HITS)
        assert "4711" in await seat.rests()
        assert early.query_one(Input).value == "order"

    show(DetailsScreen("x", []), story)
