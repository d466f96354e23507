"""Where conversations stand in the list: pinned, archived, and what is said of it. No model."""

from __future__ import annotations

import pytest

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.sitting.listing import turn_archive, turn_pin
from tests.sitting.test_turns import Room, room  # noqa: F401


def titles(room: Room, *, archived: bool = False) -> list[str]:  # noqa: F811
    return [each.title for each in room.store.listed(archived=archived)]


def test_pin_keeps_the_open_one_at_the_top_and_again_lets_it_go(room: Room) -> None:  # noqa: F811
    room.take("First", "/pin", "/new", "Second")
    assert titles(room) == ["First", "Second"]
    assert room.heard.notes[-1] == "“First” stands at the top of the list: /pin again lets it go."
    turn_pin(room.sitting, room.store.listed(1)[0].id)
    assert titles(room) == ["Second", "First"]
    assert room.heard.notes[-1] == "“First” is no longer pinned."
    assert room.sitting.conversation is not None
    assert room.sitting.conversation.title == "Second", "what is open stays open"


def test_archive_puts_the_open_one_away_and_a_new_one_begins(room: Room) -> None:  # noqa: F811
    room.take("First", "/archive")
    assert room.sitting.conversation is None
    assert (titles(room), titles(room, archived=True)) == ([], ["First"])
    assert "/archived lists it" in room.heard.notes[-1]
    room.take("Second")
    assert titles(room) == ["Second"]


def test_again_lists_it_and_so_does_a_message(room: Room) -> None:  # noqa: F811
    room.take("First", "/archive")
    id = room.store.listed(archived=True)[0].id
    room.take(f"/open {id}", "/archive")
    assert room.heard.notes[-1] == "“First” is listed again."
    assert room.sitting.is_open(id)
    assert titles(room) == ["First"]
    room.take("/archive", f"/open {id}", "And then?")
    assert room.sitting.conversation is not None
    assert not room.sitting.conversation.archived
    assert titles(room) == ["First"]


def test_another_than_the_open_one_is_put_away_beside_it(room: Room) -> None:  # noqa: F811
    room.take("First", "/new", "Second")
    turn_archive(room.sitting, room.store.listed()[1].id)
    assert room.shown == ["Second", "Second"]
    assert titles(room, archived=True) == ["First"]


def test_what_is_not_there_is_refused(room: Room) -> None:  # noqa: F811
    for line in ("/pin", "/archive"):
        with pytest.raises(RefusedError, match="No conversation is open yet"):
            room.take(line)
    with pytest.raises(RefusedError, match="Nothing is archived"):
        room.take("/archived")
    room.take("Gone")
    assert room.sitting.conversation is not None
    id = room.sitting.conversation.id
    room.store.delete_conversation(id)
    for turn in (turn_pin, turn_archive):
        with pytest.raises(NotFoundError):
            turn(room.sitting, id)
