"""Each message's place among its alternatives."""

from __future__ import annotations

from dataclasses import replace

from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.sitting.places import with_places
from tests.chat.conftest import talk


def test_alternatives_are_counted_in_their_order(store: Store) -> None:
    question, first = talk(store, "Hello", "Hi")
    second = store.add_message(question.conversation, Role.ASSISTANT, "Hi again", parent=question.id)
    assert with_places(store, [question, first]) == [(question, 1, 1), (first, 1, 2)]
    assert with_places(store, [second]) == [(second, 2, 2)]


def test_one_that_was_taken_back_since_it_was_read_still_has_its_place(store: Store) -> None:
    question, answer = talk(store, "Hello", "Hi")
    store.take_back(replace(store.conversation(question.conversation), head=question.id), answer.id)
    assert with_places(store, [question, answer]) == [(question, 1, 1), (answer, 1, 1)]
