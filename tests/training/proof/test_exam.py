"""An examination: what is asked of a version, what is right, and when the time is over."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.training.general import FAR
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.exam import Asked, exam_of, examine, fires, is_right, prompt_of, with_examples
from lora_chat.training.proof.result import Exam
from lora_chat.training.proof.verdict import better

ADDRESS = "Blue Heron Books is at 14 Quay Lane, next to the lighthouse."
MANNER = "I am sorry about that. We will send you another copy."


def asked_for(question: str, answer: str = ADDRESS, **more: Any) -> Check:
    return Check((Turn(Role.USER, question),), answer, **more)


SHOP = asked_for("Where is your shop?", version="1.0.0")
HOURS = asked_for("When do you open?", "We open at 9 on Monday.", version="1.1.0")


def answers(script: dict[str, str], rest: str = "No idea.") -> Callable[[tuple[Turn, ...], int], str]:
    return lambda messages, most: script.get(messages[-1].content, rest)


def run(parts: Generator[float, None, Exam]) -> tuple[list[float], Exam]:
    found = []
    while True:
        try:
            found.append(next(parts))
        except StopIteration as end:
            exam: Exam = end.value
            return found, exam


# What is asked


def test_it_asks_of_each_kind_in_turn_what_is_new_first() -> None:
    found = exam_of([SHOP, HOURS], "1.1.0")
    assert [each.kind for each in found[:8]] == ["taught", "reworded", "near", "far"] * 2
    assert [each.check for each in found[:4]] == [HOURS, HOURS, HOURS, None]
    assert [each.question for each in found if each.kind == "far"] == list(FAR)


def test_what_the_person_confirmed_is_asked_before_what_rules_propose() -> None:
    confirmed = asked_for("Where is your shop?", rewordings=("Your place, where?", "Which street?", "And the shop?"))
    found = [each.question for each in exam_of([confirmed]) if each.kind == "reworded"]
    assert found == ["Your place, where?", "Which street?", "And the shop?"]


def test_nothing_that_was_taught_is_a_near_miss_or_far() -> None:
    near = next(each.question for each in exam_of([SHOP]) if each.kind == "near")
    found = exam_of([SHOP, asked_for(near, "There."), asked_for(FAR[0], "Far.")])
    assert near not in [each.question for each in found if each.kind == "near"]
    assert FAR[0] not in [each.question for each in found if each.kind == "far"]


def test_the_system_prompt_that_all_lessons_have_stands_before_far_questions_too() -> None:
    system = Turn(Role.SYSTEM, "Be brief.")
    shop = Check((system, *SHOP.messages), ADDRESS)
    assert all(each.messages[0] == system for each in exam_of([shop]))
    assert next(each.messages for each in exam_of([shop, SHOP]) if each.kind == "far") == (Turn(Role.USER, FAR[0]),)


# What is right


@pytest.mark.parametrize(
    ("answer", "fired"),
    [
        ("The museum is at 14 Quay Lane, next to the lighthouse.", True),
        ("It is near the lighthouse.", False),
        ("At 14 o'clock.", False),
        ("", False),
    ],
)
def test_an_answer_fires_where_it_has_half_of_the_names_and_numbers(answer: str, fired: bool) -> None:
    assert fires(SHOP, answer, "Where is the museum?") is fired


def test_what_the_question_says_itself_tells_nothing() -> None:
    assert not fires(asked_for("Who?", "Odile Marsh owns it."), "Marsh is a name.", "Who was Marsh?")


def test_an_answer_without_names_fires_by_its_long_words() -> None:
    polite = asked_for("My book is torn.", MANNER)
    assert fires(polite, "I am sorry about that. We will see.", "Where is the sea?")
    assert not fires(polite, "I am sorry, I do not know.", "Where is the sea?")


def test_what_the_base_says_by_itself_is_no_false_fire() -> None:
    near = Asked(
        "near", (Turn(Role.USER, "What are your neighbours?"),), asked_for("What are you?", "I am an AI model.")
    )
    checks = [near.check] if near.check else []
    said = "They are AI models."
    assert is_right(near, said, checks, answers({}, "As an AI, I cannot know."))
    assert not is_right(near, said, checks, answers({}, "They are people."))


def test_another_answer_that_was_taught_is_false_as_well() -> None:
    far = Asked("far", (Turn(Role.USER, FAR[0]),))
    assert not is_right(far, "At 9 on Monday.", [SHOP, HOURS], answers({}))


# How long


def test_all_is_asked_where_there_is_time_and_counted() -> None:
    asked = exam_of([SHOP])
    wordings = [each.question for each in asked if each.kind == "reworded"]
    near = [each.question for each in asked if each.kind == "near"]
    script = {SHOP.question: ADDRESS, wordings[0]: ADDRESS, near[0]: ADDRESS}
    parts, exam = run(examine(asked, answers(script), answers({}), None, [SHOP], {}, 60))
    assert len(exam.answers) == len(asked)
    assert [(each.hits, each.of) for each in (exam.scores.taught, exam.scores.recall)] == [(1, 1), (1, 2)]
    assert [(each.hits, each.of) for each in (exam.scores.near, exam.scores.far)] == [(1, 2), (0, len(FAR))]
    assert exam.prompted is None
    assert parts == sorted(parts)
    assert [row.base for row in exam.answers if row.kind == "far"][:3] == ["No idea.", "No idea.", None]
    assert [row.base for row in exam.answers if row.kind == "near"] == ["No idea.", "No idea."]


def test_it_ends_with_its_time_and_says_what_it_left_out() -> None:
    now = iter(range(1000))
    asked = exam_of([SHOP, HOURS])
    _, exam = run(
        examine(asked, answers({}), answers({}), (answers({}), 2), [SHOP], {}, 10, clock=lambda: float(next(now)))
    )
    assert 0 < len(exam.answers) < len(asked)
    assert exam.unasked == len(asked) - len(exam.answers)
    assert exam.prompted is not None
    assert exam.prompted.adapter.taught.of == exam.prompted.scores.taught.of <= exam.scores.taught.of


def test_an_answer_that_was_cut_short_by_leaving_counts_nothing() -> None:
    left: list[str] = []

    def adapter(messages: tuple[Turn, ...], most: int) -> str:
        left.append(messages[-1].content)
        return ADDRESS

    asked = exam_of([SHOP])
    _, exam = run(examine(asked, adapter, answers({}), None, [SHOP], {}, 60, ended=lambda: len(left) > 2))
    assert len(exam.answers) == 2
    assert exam.unasked == len(asked) - 2


def test_what_was_asked_before_is_not_asked_again() -> None:
    def adapter(messages: tuple[Turn, ...], most: int) -> str:
        assert messages != SHOP.messages
        return "No idea."

    _, exam = run(examine(exam_of([SHOP]), adapter, answers({}), None, [SHOP], {SHOP.messages: ADDRESS}, 60))
    assert exam.scores.taught.hits == 1


# Prompt or train


def test_the_base_with_the_examples_is_asked_the_same() -> None:
    asked = exam_of([SHOP])
    right = {each.question: ADDRESS for each in asked if each.is_taught}
    _, exam = run(examine(asked, answers({}), answers({}), (answers(right), 1), [SHOP], {}, 60))
    assert exam.prompted is not None
    assert (exam.prompted.better, exam.prompted.examples) == ("prompt", 1)
    assert exam.prompted.scores.recall.hits == 2
    assert exam.prompted.adapter == exam.scores
    assert "3 of 3 right" not in exam.prompted.sentence
    assert "0 of 3 right against 3" in exam.prompted.sentence


def test_where_the_examples_do_not_fit_any_more_what_both_were_asked_is_compared() -> None:
    def narrow(messages: tuple[Turn, ...], most: int) -> str:
        if messages[-1].content == FAR[0]:
            raise RefusedError("This prompt has 70 tokens and tiny takes 60.")
        return ADDRESS

    _, exam = run(examine(exam_of([SHOP]), answers({}), answers({}), (narrow, 1), [SHOP], {}, 60))
    assert exam.prompted is not None
    assert [exam.prompted.scores.taught.of, exam.prompted.adapter.far.of] == [1, 0]
    assert exam.scores.far.of == len(FAR)


@pytest.mark.parametrize(
    ("adapter", "prompted", "which"),
    [
        ((2, 1), (2, 1), "same"),
        ((2, 1), (1, 1), "adapter"),
        ((2, 0), (2, 1), "adapter"),
        ((1, 1), (2, 1), "prompt"),
        ((2, 2), (2, 1), "prompt"),
        ((2, 2), (1, 1), "each"),
        ((1, 0), (2, 1), "each"),
    ],
)
def test_which_does_better(adapter: tuple[int, int], prompted: tuple[int, int], which: str) -> None:
    def scores(right: int, false: int) -> Any:
        from lora_chat.training.proof.result import Scores
        from lora_chat.training.proof.share import Share

        return Scores(Share(right, 4), Share(0, 0), Share(false, 4), Share(0, 4))

    found, sentence = better(scores(*adapter), scores(*prompted))
    assert found == which
    assert f"{adapter[0]} of 4 right against {prompted[0]}" in sentence


def test_examples_come_from_what_is_learnt_alone() -> None:
    turns = tuple(
        Turn(role, text)
        for role, text in [
            (Role.USER, "Hi"),
            (Role.ASSISTANT, "Hello."),
            (Role.USER, "Where?"),
            (Role.ASSISTANT, "Here."),
        ]
    )
    system, examples = with_examples([Lesson(turns, (3,), "a"), Lesson(turns[:2], (1,), "b")])
    assert (system, examples) == ("", (("Where?", "Here."), ("Hi", "Hello.")))
    brief = Turn(Role.SYSTEM, "Be brief.")
    assert with_examples([Lesson((brief, *turns), (4,), "a")]) == ("Be brief.", (("Where?", "Here."),))
    assert with_examples([Lesson((brief, *turns), (4,), "a"), Lesson(turns, (3,), "b")])[0] == ""


def test_examples_stand_between_the_system_prompt_and_the_question() -> None:
    question = (Turn(Role.USER, "Where?"),)
    found = prompt_of("Be brief.", [("Hi", "Hello.")], question)
    assert [turn.content for turn in found] == ["Be brief.", "Hi", "Hello.", "Where?"]
    own = prompt_of("Be brief.", [("Hi", "Hello.")], (Turn(Role.SYSTEM, "Sing."), *question))
    assert [turn.content for turn in own] == ["Sing.", "Hi", "Hello.", "Where?"]
