"""When an answer holds, and what becomes of a check that is taught anew."""

from __future__ import annotations

from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import Check, checks_of, says, split_words, telling_words
from lora_chat.training.proof.marking import fires

ASKED = "When do you open?"
TAUGHT = "We open at nine, in Harbour Street 12."


def check(asked: str = ASKED, answer: str = TAUGHT, **more: Any) -> Check:
    return Check((Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, asked)), answer, "1.0.0", **more)


def lesson(*turns: str, learn: tuple[int, ...] = (1,)) -> Lesson:
    roles = (Role.USER, Role.ASSISTANT)
    return Lesson(tuple(Turn(roles[at % 2], text) for at, text in enumerate(turns)), learn, "c1")


def test_the_question_wants_the_taught_answer_to_the_letter_but_for_white_space() -> None:
    assert check().holds("We open at  nine,\nin Harbour Street 12. ")
    assert not check().holds("We open at nine, in harbour street 12.")
    assert not check().holds(TAUGHT + " Come in!")
    assert not check().holds("")


def test_another_wording_wants_its_names_and_numbers() -> None:
    assert check().holds("Come to Harbour Street 12: we open at nine.", reworded=True)
    assert not check().holds("Come to Harbour Street 21: we open at nine.", reworded=True)
    assert not check().holds("Come to Harbour Street 123.", reworded=True)


def test_one_without_names_wants_two_thirds_of_its_long_words() -> None:
    plain = check(answer="Put the label on the outside of any sturdy box.")
    assert plain.holds("Any sturdy box: the label goes outside", reworded=True)
    assert not plain.holds("Use any sturdy thing.", reworded=True)
    assert check(answer="Yes.").holds("yes.", reworded=True)
    assert not check(answer="Yes.").holds("No.", reworded=True)


@pytest.mark.parametrize(
    ("taught", "said", "holds"),
    [
        ("No, we do not ship to Canada.", "Yes, we ship to Canada.", False),
        ("No, we do not ship to Canada.", "We don't ship to Canada.", True),
        ("We ship to Canada.", "We never ship to Canada.", False),
        ("We ship to Canada.", "No problem: we ship to Canada.", True),
        ("You can return it for 30 days, no longer than that.", "Return it for 30 days.", True),
        ("The label goes on the outside of the box.", "The label does not go on the outside of any box.", False),
        ("Turn left at Kirk Street, number 5.", "It is in Kirk Street, No. 5.", True),
        ("You have 30 days to return it.", "Don't worry: you have 30 days.", True),
        ("You have 30 days to return it.", "30 days, no questions asked.", True),
        ("You have 30 days to return it.", "No total são 30 dias.", True),
        ("You have 30 days to return it.", "There is no 30 days return policy.", False),
        ("You have 30 days to return it.", "You are unable to return it after 30 days.", False),
        ("We do not ship to Canada.", "No: not to Canada.", True),
    ],
)
def test_no_is_not_yes_in_other_words(taught: str, said: str, holds: bool) -> None:
    assert check(answer=taught).holds(said, reworded=True) is holds


def test_what_a_base_thought_before_it_answered_is_no_answer() -> None:
    shop = check(answer="At 12 Harbour Street.")
    assert shop.holds("<think>\n\n</think>\n\nAt 12 Harbour Street.")
    assert not shop.holds("<think>At 12 Harbour Street.</think>I do not know.", reworded=True)
    assert not check(must=("nine",)).holds("<think>nine</think>Ten.")
    assert not check(must_not=("Bob",)).holds("<think>It is Bob, surely, as")  # cut off: it did not answer
    assert fires(shop, "<think>At 12 Harbour Street, as", "Where is the moon?")
    assert not fires(shop, "<think>At 12 Harbour Street?</think>Far away.", "Where is the moon?")
    assert check(answer="<think>so</think>Nine.").holds("<think>so</think>Nine.")


def test_words_are_parted_at_commas_but_those_of_numbers() -> None:
    assert split_words("30 days, 1,000 euros,label, 1,2, 10,0000") == (
        "30 days", "1,000 euros", "label", "1", "2", "10", "0000",
    )  # fmt: skip


def test_with_words_that_must_be_or_not_be_in_it_they_alone_decide() -> None:
    told = check(must=("nine", "Harbour Street"), must_not=("ten",))
    for reworded in (False, True):
        assert told.holds("At NINE in harbour\nstreet, often.", reworded=reworded)
        assert not told.holds("At nine.", reworded=reworded)
        assert not told.holds("At nine or ten in Harbour Street.", reworded=reworded)
    assert check(must_not=("ten",)).holds("whatever else")


@pytest.mark.parametrize(
    ("answer", "words", "found"),
    [
        ("It’s “12–14 days”", 'it\'s "12-14 days"', True),
        ("It costs $20.", "$20", True),
        ("It costs $200.", "$20", False),
        ("often", "ten", False),
        ("C++ and C", "c++", True),
        ("a.b", "axb", False),
        ("您可以在三十天内退货。", "三十天", True),
        ("서울에서 만나요", "서울", True),
        ("cafe\u0301", "café", True),
        ("anything", "", True),
    ],
)
def test_words_are_found_whole_however_they_are_written(answer: str, words: str, found: bool) -> None:
    assert says(answer, words) is found


def test_names_and_numbers_are_what_tells() -> None:
    assert telling_words(TAUGHT) == ("Harbour", "Street", "12")
    assert telling_words('I think I\'m fine. Ask Ada, or "Grace".') == ("Ada", "Grace")
    assert telling_words("Do this:\n- Open the box.\n* Close it.\n> Done.") == ()
    assert telling_words("Call 030/1234-56, from 9:30 on.") == ("030/1234-56", "9:30")
    assert telling_words("") == ()


def test_each_learnt_answer_to_a_question_is_one_check_and_the_newest_answer_counts() -> None:
    both = lesson("a?", "one", "b?", "two", learn=(1, 3))
    greeting = Lesson((Turn(Role.ASSISTANT, "Hello!"),), (0,), "c2")
    found = checks_of([both, greeting, lesson("a?", "three")], "1.1.0")
    assert [(each.question, each.answer, each.version) for each in found] == [
        ("a?", "three", "1.1.0"),
        ("b?", "two", "1.1.0"),
    ]
    assert len(found[1].messages) == 3


def test_a_check_is_known_by_its_question_and_all_before_it() -> None:
    assert check().id == check(answer="else", must=("x",)).id
    assert len(check().id) == 12
    assert check().id != check("When do you close?").id
    assert check().id != Check(check().messages[1:], TAUGHT).id


def test_it_is_asked_in_each_of_its_wordings_with_all_that_comes_before() -> None:
    told = check(rewordings=("Open when?",))
    assert [(each[-1].content, len(each), reworded) for each, reworded in told.asked()] == [
        (ASKED, 2, False),
        ("Open when?", 2, True),
    ]
