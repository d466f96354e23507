"""A lesson's question written otherwise: readable, the same question, and only where nothing depends on its letters."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.chat.conversation import Role, Turn
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.rewording import rewordings, to_ask, to_learn
from lora_chat.training.variant import LONG, otherwise, variants

QUESTIONS = st.text(st.sampled_from("abcdefgh ABC äöü ß 0123 ?.,!:'’\"\n-é"), max_size=60) | st.sampled_from(
    [
        "Where is Blue Heron Books?",
        "Can I return a book that I bought from you?",
        "Wann habt ihr geöffnet?",
        "I have been waiting for 3 weeks!",
        "Don't you have any tea?",
    ]
)


def letters(text: str) -> Counter[str]:
    return Counter(char for char in text.casefold() if char.isalnum())


@given(QUESTIONS, st.integers(0, 12), st.integers(0, 3))
def test_ways_are_distinct_others_and_the_same_for_the_same_seed(question: str, most: int, seed: int) -> None:
    ways = otherwise(question, most, seed)
    assert len(ways) == len(set(ways)) <= most
    assert question.strip() not in ways
    assert all(way.strip() == way and way for way in ways)
    assert ways == otherwise(question, most, seed)


@given(QUESTIONS)
def test_digits_and_denials_are_never_changed(question: str) -> None:
    for way in otherwise(question, 12):
        assert re.findall(r"\d", way) == re.findall(r"\d", question)
        assert "don't" in way.casefold() or "don't" not in question.casefold()


@given(QUESTIONS.filter(lambda question: not rewordings(question, 99)))
def test_a_way_without_other_words_loses_one_letter_or_one_small_word(question: str) -> None:
    for way in otherwise(question, 12):
        lost = letters(question) - letters(way)
        assert sum(lost.values()) <= len("please")
        assert not letters(way) - letters(question)


@pytest.mark.parametrize(
    ("question", "way"),
    [
        ("Where is Blue Heron Books?", "where is blue heron books"),
        ("Where is Blue Heron Books?", "Do you know where Blue Heron Books is?"),
        ("Wann habt ihr geöffnet?", "wann habt ihr geöffnet"),
        ("What's the dog's name?", "what's the dog's name"),
    ],
)
def test_haste_and_other_words(question: str, way: str) -> None:
    assert way in otherwise(question, 3)


@pytest.mark.parametrize(
    "question",
    [
        "Translate: good morning",
        'What does "harbour" mean?',
        "What does 'harbour' mean?",
        "What is 3*4?",
        "Fix this:\nfor i in x",
        "What is f(x) = 2?",
        "Sort [3, 1]",
        "",
        "   ",
        "?",
        "Please tell me all about it. " * (LONG // 20),
    ],
)
def test_what_an_answer_works_on_is_left_as_it_is(question: str) -> None:
    assert otherwise(question, 5) == []


def test_nothing_that_checks_propose_is_learnt() -> None:
    """What is asked after a training as another wording must not be what it was trained on."""
    for question in ("Where is Blue Heron Books?", "How do I order a book from you?", "What are your opening hours?"):
        ways = {way.casefold() for way in otherwise(question, 60)}
        assert not ways & {words.casefold() for words in to_ask(question)}
        assert ways & {words.casefold() for words in to_learn(question)}


def test_the_words_of_each_slip_keep_their_ends() -> None:
    known = "welche strasse führt dorthin"
    for way in otherwise(known, 12):
        for one, other in zip(known.split(), way.split(), strict=True):
            assert (one[0], one[-1]) == (other[0], other[-1])


LESSON = Lesson(
    (
        Turn(Role.SYSTEM, "You are kind."),
        Turn(Role.USER, "Hello there, my friend."),
        Turn(Role.ASSISTANT, "Hello."),
        Turn(Role.USER, "Where is the museum?"),
        Turn(Role.ASSISTANT, "In Main Street."),
    ),
    (4,),
    "line 1",
)


def test_only_the_question_of_a_learnt_answer_is_written_otherwise() -> None:
    found = variants(LESSON, 4, 0)
    assert [each.messages[3].content for each in found] == otherwise("Where is the museum?", 4)
    for each in found:
        assert [*each.messages[:3], each.messages[4]] == [*LESSON.messages[:3], LESSON.messages[4]]
        assert (each.learn, each.source) == (LESSON.learn, LESSON.source)


def test_each_question_of_several_learnt_answers_is() -> None:
    both = Lesson(LESSON.messages, (2, 4), "line 1")
    for each in variants(both, 3, 0):
        assert each.messages[1] != LESSON.messages[1]
        assert each.messages[3] != LESSON.messages[3]


def test_a_question_that_may_not_be_touched_stays_beside_one_that_may() -> None:
    turns = (LESSON.messages[0], Turn(Role.USER, "Translate: dog"), *LESSON.messages[2:])
    found = variants(Lesson(turns, (2, 4), "line 1"), 3, 0)
    assert found
    assert {each.messages[1].content for each in found} == {"Translate: dog"}


def test_an_answer_to_nothing_has_none() -> None:
    assert variants(Lesson((Turn(Role.ASSISTANT, "Hello."),), (0,), "line 1"), 3, 0) == []
    assert variants(LESSON, 0, 0) == []
