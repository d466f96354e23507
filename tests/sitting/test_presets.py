"""What conversations begin with: chosen, read ahead, taken off, and made of what the person vouched for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from lora_chat.chat.conversation import Rating, Role, Turn
from lora_chat.chat.preset import Preset, keep_preset, read_preset, remove_preset
from lora_chat.config import Config
from lora_chat.engine.protocol import Worn
from lora_chat.errors import NotFoundError, RefusedError, UsageError
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.commands import take
from lora_chat.sitting.face import Face
from lora_chat.sitting.presets import SHOWN
from lora_chat.sitting.sitting import Sitting
from lora_chat.training.selection import HistoryFilter, select_from_history
from tests.sitting.test_columns import BASE, Engine, Heard

EXAMPLES = (("Where?", "At 12 Harbour Street."), ("When?", "From nine to five."))
SHOP = Preset("shop", "You sell shoes.", EXAMPLES, "A shop.")
PLAIN = Preset("plain", "", EXAMPLES[:1])


class Reader(Engine):
    """Remembers what it was to read ahead."""

    def __init__(self, base: Any) -> None:
        super().__init__(base)
        self.prepared: list[tuple[Turn, ...]] = []

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        self.prepared.append(messages)
        return super().prepare(messages, adapter, cancel)


class Shown(Heard):
    """Keeps the facts as well."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, list[tuple[str, str]]] = {}

    def details(self, title: str, rows: list[tuple[str, str]]) -> None:
        self.facts[title] = list(rows)


class Room:
    """A sitting in a home with the presets ``shop`` and ``plain``."""

    def __init__(self, services: Services) -> None:
        self.paths = services.paths
        self.heard = Shown()
        for preset in (SHOP, PLAIN):
            keep_preset(preset, services.paths)
        self.sitting = Sitting(services, BASE, cast(Face, self.heard))
        self.engine = cast(Reader, self.sitting.engine)

    def take(self, *lines: str) -> str:
        """Write them; the last thing that was told."""
        for line in lines:
            take(self.sitting, line)
        for thread in threading.enumerate():
            if thread.name == "prefill":
                thread.join(20)
        return self.heard.notes[-1] if self.heard.notes else ""

    def ask(self, text: str, rating: Rating | None = None) -> None:
        session, conversation = self.sitting.session, self.sitting._begun()
        list(session.send(conversation, text, None, self.sitting.sampling()))
        self.sitting.refresh()
        if rating:
            self.sitting.rate(self.sitting.last_answer(), rating)

    @property
    def asked(self) -> tuple[Turn, ...]:
        return self.engine.requests[-1].messages

    @property
    def begins(self) -> tuple[str, str, int]:
        """The open conversation's preset, its system prompt and how many examples it has."""
        assert self.sitting.conversation is not None
        kept = self.sitting.store.conversation(self.sitting.conversation.id)
        assert kept == self.sitting.conversation
        return kept.preset, kept.system, len(kept.examples)


@pytest.fixture
def room(home: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Reader(base))
    with Services(home, Config()) as services:
        yield Room(services)


def test_one_that_is_chosen_first_is_read_ahead_and_begins_each_prompt(room: Room) -> None:
    said = room.take("/preset use shop")
    assert said == "Each prompt begins with shop from the next answer on: a system prompt and 2 examples."
    opening = (Turn(Role.SYSTEM, "You sell shoes."), *SHOP.turns)
    assert room.engine.prepared[-1] == opening
    assert room.begins == ("shop", "You sell shoes.", 2)
    assert room.sitting.preset == "shop"
    room.ask("Open?")
    assert room.asked == (*opening, Turn(Role.USER, "Open?"))
    room.take("/new")
    assert room.sitting.preset == ""
    assert room.engine.prepared[-1] == ()


def test_one_that_is_chosen_later_holds_from_the_next_turn_on(room: Room) -> None:
    room.ask("Hello")
    room.take("/system Be brief.", "/preset use plain")
    room.ask("Open?")
    assert room.asked[:3] == (Turn(Role.SYSTEM, "Be brief."), *PLAIN.turns)
    assert [turn.content for turn in room.asked[3:]] == ["Hello", "Hello", "Open?"]
    assert room.begins == ("plain", "Be brief.", 1)
    said = room.take("/preset use shop")
    assert said.endswith("Its system prompt stands in the place of your own, which /preset off brings back.")
    assert room.begins == ("shop", "You sell shoes.", 2)


def test_a_conversation_stays_what_it_was_when_its_preset_is_changed_or_removed(room: Room) -> None:
    room.take("/preset use shop")
    keep_preset(Preset("shop", "You sell hats."), room.paths, replace=True)
    room.ask("Open?")
    assert room.asked[1:-1] == SHOP.turns
    remove_preset("shop", room.paths)
    first = room.sitting.conversation
    assert first is not None
    room.take("/new", f"/open {first.id}", "/preset info")
    assert room.heard.facts["Preset shop"][:2] == [
        ("system prompt", "You sell shoes."),
        ("example 1", "Where? → At 12 Harbour Street."),
    ]
    assert room.take("/preset off") == "The next prompt begins without shop."
    assert room.begins == ("", "", 0), "though its file is gone"


def test_off_takes_all_of_it_and_leaves_what_the_person_said(room: Room) -> None:
    room.take("/preset use shop")
    assert room.take("/preset off") == "The next prompt begins without shop."
    assert room.begins == ("", "", 0)
    assert room.engine.prepared[-1] == ()
    with pytest.raises(RefusedError, match="has no preset"):
        room.take("/preset off")


def test_the_persons_own_system_prompt_comes_back_however_often_a_preset_took_its_place(room: Room) -> None:
    room.take("/system Mine.", "/preset use shop")
    keep_preset(Preset("shop", "You sell hats."), room.paths, replace=True)
    room.take("/preset use shop")
    assert room.begins == ("shop", "You sell hats.", 0)
    remove_preset("shop", room.paths)
    assert not room.take("/preset use plain").endswith("brings back.")
    assert room.begins == ("plain", "Mine.", 1)
    keep_preset(SHOP, room.paths)
    assert room.take("/preset use shop", "/preset off") == (
        "The next prompt begins without shop. Your own system prompt holds again: /system none takes it away."
    )
    assert room.begins == ("", "Mine.", 0)
    assert room.take("/preset use plain", "/preset off").endswith("Your own system prompt stays: "
                                                                  "/system none takes it away.")  # fmt: skip


def test_the_newest_word_of_the_person_takes_the_place_of_a_presets(room: Room) -> None:
    room.take("/system Old.", "/preset use shop")
    assert room.take("/system New.") == "The system prompt is set, and that of shop no longer holds."
    assert room.begins == ("shop", "New.", 2)
    room.ask("Open?")
    assert room.asked[0] == Turn(Role.SYSTEM, "New.")
    assert room.take("/system Newer.") == "The system prompt is set."
    room.take("/preset off")
    assert room.begins == ("", "Newer.", 0)
    room.take("/preset use shop")
    assert room.take("/system none") == (
        "The system prompt is left to the adapter and the settings, and that of shop no longer holds."
    )
    assert room.begins == ("shop", "", 2)
    room.take("/preset off")
    assert room.begins == ("", "", 0)


def test_whose_a_system_prompt_is_is_said(room: Room) -> None:
    room.take("/system Mine.", "/preset use shop", "/system", "/preset info")
    assert room.heard.facts["System prompt"] == [("preset shop", "You sell shoes."), ("conversation", "Mine.")]
    assert ("system prompt", "You sell shoes.") in room.heard.facts["Preset shop"]
    room.take("/preset use plain", "/system", "/preset info")
    assert room.heard.facts["System prompt"] == [("conversation", "Mine.")]
    assert [name for name, _ in room.heard.facts["Preset plain"]] == ["example 1"]


def test_damaged_examples_leave_a_way_back_to_the_persons_own_system_prompt(room: Room) -> None:
    room.take("/system Mine.", "/preset use shop")
    with room.sitting.store.database.writing() as connection:
        connection.execute("UPDATE conversations SET examples = '['")
    assert room.take("/preset off").startswith("The next prompt begins without examples. Your own system prompt holds")
    assert room.begins == ("", "Mine.", 0)


def test_the_context_counts_its_examples_apart_from_the_messages(room: Room) -> None:
    room.take("/preset use shop")
    room.ask("Open?")
    room.take("/context")
    facts = dict(room.heard.facts["Context"])
    assert (facts["preset"], facts["messages"]) == ("shop, 2 examples before them", "2 are read")
    room.take("/preset off", "/context")
    assert "preset" not in dict(room.heard.facts["Context"])


def test_all_are_listed_and_a_broken_one_with_its_reason(room: Room) -> None:
    (room.paths.presets / "bad.toml").write_text("x = 1")
    room.take("/preset")
    rows = dict(room.heard.facts["Presets"])
    assert rows["shop"] == "a system prompt and 2 examples. A shop."
    assert "no key of a preset" in rows["bad.toml"]
    for file in room.paths.presets.iterdir():
        file.unlink()
    assert "There are no presets yet" in room.take("/preset list")


def test_a_look_at_a_long_one_shows_its_beginning(room: Room) -> None:
    keep_preset(Preset("long", "", (("q", "a"),) * (SHOWN + 3)), room.paths)
    room.take("/preset info long")
    rows = room.heard.facts["Preset long"]
    assert len(rows) == SHOWN + 1
    assert rows[-1] == ("more", "3: `lora-chat preset show long` prints them all")


def test_what_is_not_there_is_said(room: Room) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean shop\?"):
        room.take("/preset use shpo")
    with pytest.raises(UsageError, match="/preset info NAME"):
        room.take("/preset info")
    assert room.sitting.conversation is None, "nothing was begun"


def test_one_is_made_of_what_the_person_vouched_for(room: Room) -> None:
    for lines in (("/preset save mine",), ("/system Be brief.", "/preset save mine")):
        with pytest.raises(RefusedError, match="No answer of this conversation is vouched for"):
            room.take(*lines)
    room.ask("good", Rating.GOOD)
    room.ask("unrated")
    room.ask("bad", Rating.BAD)
    room.ask("edited")
    room.sitting.edit(room.sitting.last_answer(), "As it should be.")
    assert room.take("/preset save mine").startswith("mine is kept with a system prompt and 2 examples")
    kept = read_preset("mine", room.paths)
    assert (kept.system, kept.description) == ("Be brief.", "good")
    assert kept.examples == (("good", "good"), ("edited", "As it should be."))
    with pytest.raises(RefusedError, match="called mine already"):
        room.take("/preset save mine")
    with pytest.raises(RefusedError, match="cannot be the name of a preset"):
        room.take("/preset save my own")


def test_what_a_conversation_begins_with_is_no_lesson(room: Room) -> None:
    room.take("/preset use shop")
    room.ask("Open?", Rating.GOOD)
    (lesson,) = select_from_history(room.sitting.store, HistoryFilter(unrated=True)).lessons
    assert [turn.content for turn in lesson.messages] == ["You sell shoes.", "Open?", "Open?"]
    assert lesson.learn == (2,)
