"""How a conversation's answers are drawn: kept with it, shown, taken back. No model."""

from __future__ import annotations

import pytest

from lora_chat.chat.conversation import Conversation
from lora_chat.errors import RefusedError, UsageError
from lora_chat.sitting.sampling import differing, facts, wishes
from tests.sitting.test_turns import Room, room  # noqa: F401


def kept(room: Room) -> list[dict[str, float]]:  # noqa: F811
    """Of each conversation, the newest first."""
    return [each.wishes for each in room.store.conversations()]


def test_what_is_set_is_kept_with_the_conversation_and_with_no_other(room: Room) -> None:  # noqa: F811
    room.take("One", "/set temperature 0.7", "/set max_tokens 20")
    assert kept(room) == [{"temperature": 0.7, "max_tokens": 20}]
    assert (room.sitting.sampling().temperature, room.sitting.sampling().max_tokens) == (0.7, 20)
    assert room.heard.notes[-1] == "max_tokens is 20 from the next answer on."
    first = room.store.conversations()[0].id
    room.take("/new", "Two")
    assert kept(room) == [{}, {"temperature": 0.7, "max_tokens": 20}]
    assert room.sitting.sampling().temperature == 0.0
    room.take(f"/open {first}")
    assert room.sitting.sampling().temperature == 0.7


def test_before_the_first_message_it_waits_for_the_conversation_that_begins(room: Room) -> None:  # noqa: F811
    room.take("/set temperature 0.7")
    assert kept(room) == [], "nothing begins by it"
    assert room.sitting.sampling().temperature == 0.7
    room.take("One")
    assert kept(room) == [{"temperature": 0.7}]
    room.take("/new")
    assert wishes(room.sitting) == {}


def test_default_takes_one_back_or_all(room: Room) -> None:  # noqa: F811
    room.take("One", "/set temperature 0.7", "/set top_k 3", "/set seed 5", "/set temperature default")
    assert room.heard.notes[-1] == "temperature is here what it is elsewhere, 0, from the next answer on."
    assert kept(room) == [{"top_k": 3, "seed": 5}]
    room.take("/set seed default", "/set default")
    assert kept(room) == [{}]


def test_it_is_said_what_holds_whose_word_it_is_and_what_differs(room: Room) -> None:  # noqa: F811
    assert differing(room.sitting) == ""
    room.take("One", "/set top_p 0.5", "/set temperature 0.7", "/set max_tokens 512")
    assert differing(room.sitting) == "temperature 0.7, top_p 0.5", "512 is what holds elsewhere"
    assert dict(facts(room.sitting)) == {
        "temperature": "0.7 (this conversation; elsewhere 0)",
        "top_p": "0.5 (this conversation; elsewhere 0.9)",
        "top_k": "0 (the settings)",
        "repetition_penalty": "1 (the settings)",
        "max_tokens": "512 (this conversation; elsewhere 512)",
        "seed": "drawn anew (the settings)",
    }


@pytest.mark.parametrize("line", ["/set tone kind", "/set temperature", "/set temperature hot", "/set top_k 0.5"])
def test_what_is_no_setting_or_no_value_changes_nothing(room: Room, line: str) -> None:  # noqa: F811
    room.take("One", "/set top_p 0.5")
    with pytest.raises(UsageError):
        room.take(line)
    with pytest.raises(RefusedError):
        room.take("/set temperature 99")
    assert kept(room) == [{"top_p": 0.5}]


@pytest.mark.parametrize(
    ("damaged", "read"),
    [
        ("", {}), ("[1]", {}), ("null", {}), ("[" * 100_000, {}),
        ('{"temperature": "hot", "top_p": 0.5, "tone": 1, "top_k": true}', {"top_p": 0.5}),
    ],
)  # fmt: skip
def test_a_damaged_row_has_nothing_of_its_own(damaged: str, read: dict[str, float]) -> None:
    assert Conversation("a", "", 0.0, 0.0, sampling=damaged).wishes == read
