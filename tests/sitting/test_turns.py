"""Turns taken otherwise: a question in other words beside the old one, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from lora_chat.chat.conversation import Message
from lora_chat.config import Config
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.commands import take
from lora_chat.sitting.face import Face, Turn
from lora_chat.sitting.sitting import Sitting
from lora_chat.sitting.turns import ask_otherwise
from tests.sitting.test_columns import BASE, Engine, Heard


class Player(Heard):
    """A face that makes each answer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.wrote: list[Message] = []

    def play(self, turn: Turn) -> None:
        list(turn(threading.Event()))

    def write_question(self, question: Message) -> None:
        self.wrote.append(question)


class Room:
    """A sitting with the scripted engine."""

    def __init__(self, services: Services) -> None:
        self.heard = Player()
        self.sitting = Sitting(services, BASE, cast(Face, self.heard))
        self.store = self.sitting.store

    def take(self, *lines: str) -> None:
        for line in lines:
            take(self.sitting, line)
            self.sitting.refresh()

    @property
    def shown(self) -> list[str]:
        """Questions and answers, with their place among several."""
        self.sitting.refresh()
        marked = [(each.content, f" {place}/{of}" if of > 1 else "") for each, place, of in self.places]
        return [content + mark for content, mark in marked]

    @property
    def places(self) -> list[tuple[Message, int, int]]:
        return self.sitting.branch_with_places()

    def message(self, place: int) -> Message:
        """Of the visible branch."""
        self.sitting.refresh()
        return self.sitting.branch()[place]


@pytest.fixture
def room(home: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Engine(base))
    with Services(home, Config()) as services:
        yield Room(services)


def test_a_question_in_other_words_stands_beside_the_old_one_which_keeps_what_followed(room: Room) -> None:
    room.take("One", "Two", "Three")
    ask_otherwise(room.sitting, room.message(2), "Two, please")
    assert room.shown == ["One", "One", "Two, please 2/2", "Two, please"]
    room.sitting.show_sibling(room.message(2), -1)
    assert room.shown == ["One", "One", "Two 1/2", "Two", "Three", "Three"]
    room.sitting.show_sibling(room.message(2), 1)
    room.take("Four")
    assert room.shown == ["One", "One", "Two, please 2/2", "Two, please", "Four", "Four"]


def test_the_first_question_too_and_the_title_stays(room: Room) -> None:
    room.take("One", "/branch Another")
    assert room.shown == ["Another 2/2", "Another"]
    assert room.sitting.conversation is not None
    assert room.sitting.conversation.title == "One"
    room.sitting.show_sibling(room.message(0), -1)
    assert room.shown == ["One 1/2", "One"]


def test_the_new_question_reads_what_stood_before_it_and_nothing_of_the_old_one(room: Room) -> None:
    room.take("One", "Two", "Three", "/branch Four")
    engine = cast(Engine, room.sitting.engine)
    assert [turn.content for turn in engine.requests[-1].messages] == ["One", "One", "Two", "Two", "Four"]


def test_without_a_text_the_last_question_is_written_by_the_person(room: Room) -> None:
    with pytest.raises(RefusedError, match="no question yet"):
        room.take("/branch")
    room.take("One", "Two", "/branch")
    assert [each.content for each in room.heard.wrote] == ["Two"]
    assert room.shown == ["One", "One", "Two", "Two"]


def test_one_that_is_too_long_leaves_the_old_branch_in_sight(room: Room) -> None:
    room.take("One", "Two")
    before = room.shown
    with pytest.raises(RefusedError, match="tokens"):
        ask_otherwise(room.sitting, room.message(0), "word " * 600)
    assert room.shown == before
    assert len(room.store.messages(room.message(0).conversation)) == 4


def test_what_cannot_be_asked_otherwise_is_refused_and_nothing_changes(room: Room) -> None:
    room.take("One")
    question, answer = room.sitting.branch()
    with pytest.raises(RefusedError, match="not a question"):
        ask_otherwise(room.sitting, answer, "x")
    for empty in ("", " \n", "\x1b\u202e"):
        with pytest.raises(RefusedError, match="nothing to answer"):
            ask_otherwise(room.sitting, question, empty)
    assert room.shown == ["One", "One"]
    room.take("/new", "Elsewhere")
    with pytest.raises(RefusedError, match="Another conversation is open"):
        ask_otherwise(room.sitting, question, "x")
    room.store.delete_conversation(question.conversation)
    with pytest.raises(NotFoundError):
        ask_otherwise(room.sitting, question, "x")
    assert room.shown == ["Elsewhere", "Elsewhere"]
