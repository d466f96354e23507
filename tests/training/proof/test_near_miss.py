"""Questions that look like a taught one and are others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.training.proof.check import plain
from lora_chat.training.proof.near_miss import near_misses
from lora_chat.training.proof.rewording import rewordings


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("What are your opening hours?", "What are your neighbour's opening hours?"),
        ("Can you tell me where your shop is?", "Can you tell me where your neighbour's shop is?"),
        ("Who are you?", "Who are your neighbours?"),
        ("Can you introduce yourself?", "Can your neighbours introduce themselves?"),
        ("When do you open on Sunday?", "When do your neighbours open on Sunday?"),
        ("Who owns Blue Heron Books?", "Who owns Lincoln?"),
        ("Who runs the Blue Heron bookshop?", "Who runs the Lincoln bookshop?"),
        ("What time does the ferry leave on Sundays?", "What time does the bicycle leave on Sundays?"),
        ("Is the pool heated?", "Is the bicycle heated?"),
        ("How do I return an order?", "How do I return a bicycle?"),
        ("How long do I keep the red tickets?", "How long do I keep the bicycles?"),
        ("Do you know when the library opens?", "Do you know when the bicycle opens?"),
    ],
)
def test_who_or_what_is_asked_about_is_exchanged(question: str, other: str) -> None:
    assert near_misses(question)[0] == other


@pytest.mark.parametrize(
    "question",
    [
        "My book arrived with a torn cover.",
        "Please send me the catalogue.",
        "Where is it?",
        "Wie spät ist es?",
        "What is AFS 1999:3?",
        "I bought a lamp from you. Can I give it back?",
        "Where is the " + "very " * 60 + "old shop?",
        "",
    ],
)
def test_where_no_rule_is_sure_there_is_none(question: str) -> None:
    assert near_misses(question) == []


def test_there_are_no_more_than_wanted_and_they_differ() -> None:
    assert len(near_misses("Where is your shop?", 1)) == 1
    one, other = near_misses("Where is your shop?")
    assert one != other


@given(st.text(max_size=80).map(lambda text: f"{text} the shop your Lincoln you?"))
def test_none_is_the_question_itself_or_another_wording_of_it(question: str) -> None:
    same = {plain(question), *map(plain, rewordings(question))}
    assert not same & set(map(plain, near_misses(question)))
