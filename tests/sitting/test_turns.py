"""Turns taken otherwise: a question in other words, a turn deleted and brought back, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from lora_chat.chat.conversation import Message
from lora_chat.config import Config
from lora_chat.errors import NotFoundError, RefusedError, UsageError
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.commands import take
from lora_chat.sitting.face import Face, Turn
from lora_chat.sitting.sitting import Sitting
from lora_chat.sitting.turns import ask_otherwise, delete_turn
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
    with Services(home, Config(temperature=0.0)) as services:
        yield Room(services)


def test_a_question_in_other_words_stands_beside_the_old_one_which_keeps_what_followed(room: Room) -> None:
    room.take("One", "Two", "Three")
    ask_otherwise(room.sitting, room.message(2), "Twice")
    assert room.shown == ["One", "One", "Twice 2/2", "Twice"]
    room.sitting.show_sibling(room.message(2), -1)
    assert room.shown == ["One", "One", "Two 1/2", "Two", "Three", "Three"]
    room.sitting.show_sibling(room.message(2), 1)
    room.take("Four")
    assert room.shown == ["One", "One", "Twice 2/2", "Twice", "Four", "Four"]


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


def test_corrections_that_go_out_of_sight_are_told(room: Room) -> None:
    room.take("One", "Two", "/rate good", "Three", "/edit Third", "Four", "/rate bad")
    ask_otherwise(room.sitting, room.message(2), "Twice")
    said = "2 answers that you vouched for stay with the old question: a training learns from what is shown, "
    assert room.heard.notes[-1] == said + "← shows it again."
    before = len(room.heard.notes)
    ask_otherwise(room.sitting, room.message(2), "Thrice")
    assert len(room.heard.notes) == before, "there is nothing to tell"


# Deleting


def test_a_turn_is_deleted_and_comes_back_the_last_one_first(room: Room) -> None:
    room.take("One", "Two", "Three", "/delete turn")
    assert room.heard.notes[-1] == "2 messages are deleted: /undo brings them back, until you leave."
    assert room.shown == ["One", "One", "Two", "Two"]
    delete_turn(room.sitting, room.message(1))
    assert room.heard.notes[-1].startswith("3 messages are deleted")
    assert room.shown == ["One"]
    room.take("/undo")
    assert room.heard.notes[-1] == "3 messages are back."
    assert room.shown == ["One", "One", "Two", "Two"]
    room.take("/undo")
    assert room.shown == ["One", "One", "Two", "Two", "Three", "Three"]
    with pytest.raises(RefusedError, match="Nothing was deleted"):
        room.take("/undo")


def test_what_is_said_after_a_deletion_stands_beside_what_comes_back(room: Room) -> None:
    room.take("One", "Two", "/delete turn", "Three", "/undo")
    assert room.shown == ["One", "One", "Two 1/2", "Two"]
    room.sitting.show_sibling(room.message(2), 1)
    assert room.shown == ["One", "One", "Three 2/2", "Three"]


def test_what_is_deleted_is_no_longer_read(room: Room) -> None:
    room.take("One", "Two", "/delete turn", "Three")
    engine = cast(Engine, room.sitting.engine)
    assert [turn.content for turn in engine.requests[-1].messages] == ["One", "One", "Three"]


def test_undo_goes_back_to_the_conversation_it_was_deleted_in(room: Room) -> None:
    room.take("One", "/delete turn", "/new", "Elsewhere", "/undo")
    assert room.shown == ["One", "One"]
    assert room.heard.notes[-1] == "2 messages are back."


def test_what_can_no_longer_come_back_stands_in_nobodys_way(room: Room) -> None:
    room.take("One", "/delete turn", "/new", "Two", "/delete turn")
    assert room.sitting.conversation is not None
    room.store.delete_conversation(room.sitting.conversation.id)
    with pytest.raises(NotFoundError):
        room.take("/undo")
    room.take("/undo")
    assert room.shown == ["One", "One"]


def test_delete_alone_is_still_the_conversation(room: Room) -> None:
    with pytest.raises(RefusedError, match="No conversation is open"):
        room.take("/delete")
    with pytest.raises(RefusedError, match="no question yet"):
        room.take("/delete turn")
    room.take("One")
    with pytest.raises(UsageError, match="/delete turn"):
        room.take("/delete all")
    room.take("/delete")
    assert room.heard.asked == []
    assert room.heard.notes[-1] == "“One” is deleted: /undo brings it back, until you leave."
    assert room.sitting.conversation is None
    assert room.store.conversations() == []


def test_a_deleted_conversation_comes_back_and_is_opened_where_none_is(room: Room) -> None:
    room.take("One", "/rename Mine", "/edit First", "/pin", "/delete", "/undo")
    assert room.heard.notes[-1] == "“Mine” is back."
    assert room.shown == ["One", "First 2/2"]
    assert [(each.title, each.pinned) for each in room.store.listed()] == [("Mine", True)]
    room.take("Two", "/delete", "Another", "/undo")
    assert room.shown == ["Another", "Another"], "what is open stays"
    assert [each.title for each in room.store.listed()] == ["Mine", "Another"]


def test_what_was_deleted_comes_back_the_last_first_also_a_turn_of_a_conversation_that_went(room: Room) -> None:
    room.take("One", "Two", "/delete turn", "/delete", "/undo", "/undo")
    assert room.shown == ["One", "One", "Two", "Two"]
    with pytest.raises(RefusedError, match="Nothing was deleted"):
        room.take("/undo")


def test_corrections_that_go_with_a_turn_are_told(room: Room) -> None:
    room.take("One", "/edit First", "Two", "/rate good")
    delete_turn(room.sitting, room.message(1))
    said = "3 messages are deleted, 2 answers that you vouched for among them: /undo brings them back, until you leave."
    assert room.heard.notes[-1] == said
