"""Going to where something was said: the conversation, the branch and the message. No model."""

from __future__ import annotations

import pytest

from lora_chat.chat.conversation import Message
from lora_chat.chat.search import search
from lora_chat.errors import NotFoundError
from lora_chat.sitting.finding import go_to
from lora_chat.sitting.turns import ask_otherwise
from tests.sitting.test_turns import Player, Room, room  # noqa: F401


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(text of the message, what was searched) of each look."""
    looks: list[tuple[str, str]] = []

    def look_at(self: Player, message: Message, text: str) -> None:
        looks.append((message.content, text))

    monkeypatch.setattr(Player, "look_at", look_at, raising=False)
    return looks


def go(room: Room, text: str) -> None:  # noqa: F811
    go_to(room.sitting, search(room.store, text)[0], text)


def test_the_conversation_is_opened_and_the_message_looked_at(room: Room, looked: list[tuple[str, str]]) -> None:  # noqa: F811
    room.take("About parrots", "More", "/new", "Another")
    go(room, "parr")
    assert room.shown == ["About parrots", "About parrots", "More", "More"]
    assert looked == [("About parrots", "parr")]


def test_the_branch_with_it_comes_into_sight_to_its_end(room: Room, looked: list[tuple[str, str]]) -> None:  # noqa: F811
    room.take("One", "A parrot", "And then")
    ask_otherwise(room.sitting, room.message(2), "A crow")
    assert room.shown[-2:] == ["A crow 2/2", "A crow"]
    go(room, "parrot")
    assert room.shown[2:] == ["A parrot 1/2", "A parrot", "And then", "And then"]
    assert "another branch, which is shown now" in room.heard.notes[-1]
    assert looked[-1] == ("A parrot", "parrot")
    assert room.sitting.conversation is not None
    assert room.store.conversation(room.sitting.conversation.id).head == room.sitting.branch()[-1].id


def test_a_title_opens_the_conversation_and_looks_at_no_message(room: Room, looked: list[tuple[str, str]]) -> None:  # noqa: F811
    room.take("One", "/rename My parrot", "/new", "Two")
    go(room, "my parrot")
    assert room.shown == ["One", "One"]
    assert looked == []


def test_what_was_deleted_meanwhile_is_said(room: Room) -> None:  # noqa: F811
    room.take("One parrot")
    (hit, *_) = search(room.store, "parrot")
    room.take("/delete")
    with pytest.raises(NotFoundError):
        go_to(room.sitting, hit, "parrot")
