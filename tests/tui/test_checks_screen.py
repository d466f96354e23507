"""The screen of checks: what it shows, what it wants asked and kept; then the same in the whole window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.paths import Paths
from lora_chat.sitting.checking import Checking
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Line, Proved
from lora_chat.tui import messages as news
from lora_chat.tui.bridge import Bridge
from lora_chat.tui.screens.checks import EMPTY, NO_RULE, ChecksScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from tests.lines import keep
from tests.tui.conftest import Tell, Window
from tests.tui.examples import HARMLESS, HOSTILE, Seat, show

HOURS = Check((Turn(Role.USER, "What are your opening hours?"),), "We are open from nine to five.", "1.0.0")
PARCEL = Check((Turn(Role.USER, "Where is my parcel?"),), "Arr, yer parcel sails at dawn.", "1.0.0")
WHO = Check((Turn(Role.USER, "Who be ye?"),), "I be Ada.", "1.1.0", rewordings=("Tell me your name.",))
HELD = Proved(True)


class Desk:
    """Instead of the bridge: keeps what is wanted, does at once what is to be kept."""

    def __init__(self) -> None:
        self.wanted: list[tuple[list[Check], threading.Event]] = []

    def prove(self, checking: Any, checks: Sequence[Check], cancel: threading.Event) -> None:
        self.wanted.append((list(checks), cancel))

    def run(self, action: Callable[[Any], object]) -> None:
        action(None)


class Case:
    """The screen over a line with three checks of pirate 1.1.0."""

    def __init__(self, home: Paths, checks: Sequence[Check] = (HOURS, PARCEL, WHO)) -> None:
        self.desk = Desk()
        self.line = Line.of("pirate", home)
        keep(self.line, checks)
        checking = cast(Checking, SimpleNamespace(name="pirate", version="1.1.0", line=self.line))
        before = {HOURS.id: HELD, PARCEL.id: HELD}
        self.screen = ChecksScreen(news.ChecksSeen(checking, checks, before), cast(Bridge, self.desk))

    @property
    def asked(self) -> list[Check]:
        return self.desk.wanted[-1][0]

    def says(self, check: Check, *wrong: tuple[str, str]) -> None:
        self.screen.saw(news.CheckSeen(self.desk.wanted[-1][1], (check, Proved(not wrong, wrong))))

    def ends(self, which: int = -1) -> None:
        self.screen.saw(news.CheckSeen(self.desk.wanted[which][1], None))

    def all_hold(self) -> None:
        for check in self.asked:
            self.says(check)
        self.ends()


@pytest.fixture
def case(home: Paths) -> Case:
    return Case(home)


def row(seen: str, text: str) -> str:
    return next(line for line in seen.splitlines() if text in line).strip()


def test_they_are_asked_at_once_and_the_headline_grows(case: Case) -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.rests()
        assert case.asked == [HOURS, PARCEL, WHO]
        assert "pirate · 0 of 3 checks hold" in seen
        assert "asking 1 of 3…" in seen
        assert row(seen, "opening hours?").startswith("…")
        assert row(seen, "my parcel?").startswith("·")
        assert "r again" not in seat.keys
        case.says(HOURS, (HOURS.question, "We never close."))
        case.says(PARCEL)
        seen = await seat.rests()
        assert "pirate · 1 of 3 checks hold" in seen
        assert row(seen, "opening hours?").startswith("✗")
        assert row(seen, "We never close.") == "→ We never close."
        assert row(seen, "my parcel?").startswith("✓")
        assert row(seen, "Who be ye?").startswith("…")
        case.says(WHO, ("Tell me your name.", ""))
        case.ends()
        seen = await seat.rests()
        assert "pirate · 1 of 3 checks hold" in seen
        assert "1 new · 1 lost · version 1.1.0" in seen
        assert row(seen, "Tell me your name.") == "✗  Tell me your name."
        assert row(seen, "→ nothing") == "→ nothing"
        assert row(seen, "Who be ye?").startswith("✗")

    show(case.screen, story)


def test_what_is_looked_at_is_told_in_full_below(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.says(HOURS, (HOURS.question, "We never close, and never did. " * 3))
        case.says(PARCEL)
        case.says(WHO)
        seen = await seat.rests()
        assert "lost: the version before knew it" in seen
        assert seen.count("never did.") == 4  # the row shows the first
        seen = await seat.press("end")
        assert "Reworded   Tell me your name." in seen
        assert "As         Who be ye?" in seen

    show(case.screen, story)


def test_closing_ends_the_asking(case: Case) -> None:
    async def story(seat: Seat) -> None:
        cancel = case.desk.wanted[-1][1]
        assert not cancel.is_set()
        await seat.press("escape")
        assert cancel.is_set()

    show(case.screen, story)


def test_wordings_are_proposed_and_asked_once_confirmed(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.all_hold()
        await seat.rests()
        assert "p reword · o ask as · m must · n must not · d delete · r again · esc back" in seat.keys
        seen = await seat.press("p")
        words = "Can you tell me what your opening hours are?"
        assert row(seen, words).startswith("?")
        assert "Proposed: space keeps it" in seen
        assert case.line.checks()[0].rewordings == ()
        assert "space keep" in seat.keys
        seen = await seat.press("space")
        assert case.line.checks()[0].rewordings == (words,)
        assert case.asked == [replace(HOURS, rewordings=(words,))]
        assert row(seen, words).startswith("·")
        assert "space take back" in seat.keys
        case.all_hold()
        assert row(await seat.rests(), words).startswith("✓")
        seen = await seat.press("space")
        assert case.line.checks()[0].rewordings == ()
        assert row(seen, words).startswith("?")
        seen = await seat.press("d")
        assert words not in seen
        assert "I would like to know what your opening hours are." in seen

    show(case.screen, story)


def test_a_question_is_asked_in_the_persons_own_words_too(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.all_hold()
        await seat.rests()
        seen = await seat.press("o")
        assert "asked as" in seen
        assert "the same question in your own words" in seen
        await seat.press(*"So when", "enter")
        assert case.line.checks()[0].rewordings == ("So when",)
        assert case.asked == [replace(HOURS, rewordings=("So when",))]
        assert row(await seat.rests(), "So when").startswith("·")
        await seat.press("o", "enter", "o", *"So when", "enter")
        assert case.line.checks()[0].rewordings == ("So when",), "nothing, and the same again, are nothing new"

    show(case.screen, story)


def test_what_is_confirmed_while_others_are_asked_is_asked_first_and_the_others_after(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.says(HOURS)
        stale = case.desk.wanted[-1][1]
        await seat.press("p", "space")
        assert stale.is_set()
        assert [each.id for each in case.asked] == [HOURS.id, PARCEL.id, WHO.id]
        case.screen.saw(news.CheckSeen(stale, (HOURS, HELD)))  # of before it was changed
        case.ends(0)
        seen = await seat.rests()
        assert "asking 1 of 3…" in seen
        assert row(seen, "What are your opening hours?").startswith("…")

    show(case.screen, story)


def test_a_question_that_no_rule_knows(home: Paths) -> None:
    case = Case(home, [Check((Turn(Role.USER, "¿Dónde está mi paquete?"),), "Aquí.")])

    async def story(seat: Seat) -> None:
        assert "asking 1 of 1…" in await seat.press("p")
        assert [each.message for each in seat.app._notifications] == [NO_RULE]

    show(case.screen, story)


def test_words_that_must_or_must_not_be_in_an_answer_are_written(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.all_hold()
        seen = await seat.press("m")
        assert "must mention" in seen
        assert seat.keys == "enter keep · esc close"
        await seat.press(*"nine,", "space", *"five,", "enter")
        assert case.line.checks()[0].must == ("nine", "five")
        assert case.asked == [replace(HOURS, must=("nine", "five"))]
        seen = await seat.press("n")
        assert "must not mention" in seen
        await seat.press(*"ten", "enter")
        seen = await seat.rests()
        assert "Must say   nine, five" in seen
        assert "Must not   ten" in seen
        asked = len(case.desk.wanted)
        await seat.press("m")
        assert "nine, five" in row(await seat.rests(), "must mention")
        await seat.press("x", "escape")
        await seat.press("m", "enter")
        assert len(case.desk.wanted) == asked, "nothing was changed"
        await seat.press("m", *["backspace"] * 10, "enter")
        assert case.line.checks()[0].must == ()

    show(case.screen, story)


def test_a_check_is_deleted_once_that_is_said_twice(case: Case) -> None:
    async def story(seat: Seat) -> None:
        await seat.press("d", "n")
        assert len(case.line.checks()) == 3
        await seat.press("d")
        assert isinstance(seat.app.screen, ConfirmScreen)
        case.says(HOURS)
        await seat.press("y")
        seen = await seat.rests()
        assert case.line.checks() == [PARCEL, WHO]
        assert "What are your opening hours?" not in seen
        assert "pirate · 0 of 2 checks hold" in seen
        await seat.press("end", "d")
        assert case.line.checks() == [PARCEL, replace(WHO, rewordings=())]
        await seat.press("d", "y")
        await seat.press("d", "y")
        seen = await seat.rests()
        assert case.line.checks() == []
        assert EMPTY in " ".join(seen.split())

    show(case.screen, story)


def test_asking_again_begins_from_nothing(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.all_hold()
        assert "3 of 3 checks hold" in await seat.rests()
        seen = await seat.press("r")
        assert "pirate · 0 of 3 checks hold" in seen
        assert case.asked == [HOURS, PARCEL, WHO]

    show(case.screen, story)


def test_an_asking_that_fails_leaves_the_rest_unasked(case: Case) -> None:
    async def story(seat: Seat) -> None:
        case.says(HOURS)
        case.ends()
        seen = await seat.rests()
        assert "pirate · 1 of 1 check holds" in seen
        assert "2 not asked" in seen
        assert row(seen, "my parcel?").startswith("·")

    show(case.screen, story)


def test_without_checks_it_says_how_they_come_to_be(home: Paths) -> None:
    case = Case(home, [])

    async def story(seat: Seat) -> None:
        seen = await seat.rests()
        assert "pirate · no checks" in seen
        assert EMPTY in " ".join(seen.split())
        assert seat.keys == "esc back"
        assert case.desk.wanted == []

    show(case.screen, story)


def test_foreign_text_is_only_text(home: Paths) -> None:
    told = Check((Turn(Role.USER, HOSTILE),), HOSTILE, must=(HOSTILE,), rewordings=(HOSTILE + "?",))
    case = Case(home, [told])

    async def story(seat: Seat) -> None:
        case.says(told, (HOSTILE, HOSTILE), (HOSTILE + "?", HOSTILE))
        seen = await seat.rests()
        assert seen.count(HARMLESS) >= 7
        assert "\x1b" not in seen
        assert "\u202e" not in seen
        assert HARMLESS in await seat.press("m")
        await seat.press("escape", "d")
        assert HARMLESS in await seat.rests()

    show(case.screen, story, (160, 40))


# In the whole window


@pytest.fixture
def line(worn: str, tiny: Paths) -> Line:
    taught = {"When do you open?": "(shop 1) At nine.", "Where are you?": "(shop 1) In Harbour Street."}
    lessons = [
        Lesson((Turn(Role.USER, asked), Turn(Role.ASSISTANT, said)), (1,), "c") for asked, said in taught.items()
    ]
    made = Line.of(worn, tiny)
    made.teach(lessons, "1.0.0")
    return made


def test_the_command_opens_it_asks_the_adapter_and_keeps_what_came_of_it(
    window: Tell, line: Line, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    says |= {"When do you open?": "At nine.", "Where are you?": "At home."}
    change = Line.change

    def slowly(self: Line, check: Check) -> None:
        time.sleep(0.3)
        change(self, check)

    monkeypatch.setattr(Line, "change", slowly)  # asked before that is kept, what came of it would be taken away

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/check")
        await w.hear("No adapter is worn: write /check NAME.")
        await w.write("/check shop")
        await w.see("shop · 1 of 2 checks hold")
        await w.see("(shop 1) At home.")
        await w.until(lambda: len(line.proofs("1.0.0")) == 2)
        await w.press("down", "m")
        await w.type("home")
        await w.press("enter")
        await w.see("shop · 2 of 2 checks hold")
        assert line.checks()[1].must == ("home",)
        await w.until(lambda: len(line.proofs("1.0.0")) == 2)
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("hello")

    window(story)


def test_a_damaged_file_is_told_of_and_no_screen_opens(window: Tell, line: Line) -> None:
    (line.folder / "checks.jsonl").write_text("{}\n", "utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/check shop")
        await w.hear("checks.jsonl, line 1, is damaged")
        assert w.app.screen is w.app.chat

    window(story)


@pytest.mark.usefixtures("slow")
def test_the_chat_goes_on_when_it_is_closed_while_it_asks(window: Tell, line: Line, says: dict[str, str]) -> None:
    says["When do you open?"] = " ".join(["word"] * 20)

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/check shop")
        await w.see("asking 1 of 2…")
        await w.press("escape")
        await w.until(lambda: not any(thread.name == "checks" for thread in threading.enumerate()))
        assert line.proofs("1.0.0") == {}
        await w.answered("hello")

    window(story)
