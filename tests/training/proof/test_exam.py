"""An examination: what is asked of a version, what is right, and when the time is over."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import EngineError, RefusedError
from lora_chat.training.general import FAR
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.exam import LONGEST, Asked, exam_of
from lora_chat.training.proof.examining import Pupil, examine
from lora_chat.training.proof.examples import examples_of
from lora_chat.training.proof.marking import can_fire, fires, is_right
from lora_chat.training.proof.result import Answered, Exam, Kind
from lora_chat.training.proof.verdict import better, sign_test

ADDRESS = "Blue Heron Books is at 14 Quay Lane, next to the lighthouse."
MANNER = "I am sorry about that. We will send you another copy."


def asked_for(question: str, answer: str = ADDRESS, **more: Any) -> Check:
    return Check((Turn(Role.USER, question),), answer, **more)


SHOP = asked_for("Where is your shop?", version="1.0.0")
HOURS = asked_for("When do you open?", "We open at 9 on Monday.", version="1.1.0")


def answers(script: dict[str, str], rest: str = "No idea.") -> Pupil:
    return Pupil(lambda messages, most: script.get(messages[-1].content, rest))


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
    parts, exam = run(examine(asked, answers(script), answers({}), None, [SHOP], 60))
    assert len(exam.answers) == len(asked)
    assert [(each.hits, each.of) for each in (exam.scores.taught, exam.scores.recall)] == [(1, 1), (1, 2)]
    assert [(each.hits, each.of) for each in (exam.scores.near, exam.scores.far)] == [(1, 2), (0, len(FAR))]
    assert exam.prompted is None
    assert parts == sorted(parts)
    assert [row.base for row in exam.answers if row.kind == "far"][:3] == ["No idea.", "No idea.", None]
    assert [row.base for row in exam.answers if row.kind == "near"] == ["No idea.", "No idea."]


def test_as_taught_is_to_the_letter_as_the_check_is() -> None:
    taught, reworded, *_ = exam_of([SHOP])
    close = "It is at 14 Quay Lane: Blue Heron Books."
    assert not is_right(taught, close, [SHOP], answers({}))
    assert is_right(reworded, close, [SHOP], answers({}))


def test_it_ends_with_its_time_and_says_what_it_left_out() -> None:
    now = iter(range(10_000))
    asked = exam_of([SHOP, HOURS])
    _, exam = run(examine(asked, answers({}), answers({}), answers({}), [SHOP], 10, clock=lambda: float(next(now))))
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
    _, exam = run(examine(asked, Pupil(adapter), answers({}), None, [SHOP], 60, ended=lambda: len(left) > 2))
    assert len(exam.answers) == 2
    assert exam.unasked == len(asked) - 2


def test_a_false_fire_that_the_base_could_not_be_asked_about_counts_nothing() -> None:
    asked = [each for each in exam_of([SHOP]) if each.kind == "near"]
    heard: list[str] = []

    def base(messages: tuple[Turn, ...], most: int) -> str:
        heard.append(messages[-1].content)
        return ""

    _, exam = run(examine(asked, answers({}, ADDRESS), Pupil(base), None, [SHOP], 60, ended=lambda: bool(heard)))
    assert exam.answers == ()


def test_what_is_known_takes_no_time_and_is_always_counted() -> None:
    def adapter(messages: tuple[Turn, ...], most: int) -> str:
        raise AssertionError(messages)

    asked = exam_of([SHOP])
    known = {each.messages: ADDRESS if each.is_taught else "No idea." for each in asked}
    pupil = Pupil(adapter, known)
    _, exam = run(examine(asked, pupil, answers({}), Pupil(adapter, dict(known)), [SHOP], 0, ended=lambda: True))
    assert len(exam.answers) == len(asked)
    assert (exam.scores.taught.hits, exam.scores.recall.hits, exam.scores.far.hits) == (1, 2, 0)
    assert exam.prompted is not None
    assert exam.prompted.better == "same"


def test_an_adapter_that_fails_leaves_what_was_answered_before() -> None:
    def fails(messages: tuple[Turn, ...], most: int) -> str:
        if messages[-1].content == FAR[1]:
            raise EngineError("The engine is gone.")
        return "No idea."

    _, exam = run(examine(exam_of([SHOP]), Pupil(fails), answers({}), None, [SHOP], 60))
    assert exam.scores.far.of == 1
    with pytest.raises(EngineError):
        run(examine(exam_of([SHOP])[6:], Pupil(fails), answers({}), None, [SHOP], 60))


def test_answers_too_long_to_be_asked_for_are_not_asked_in_other_words() -> None:
    long = asked_for("Where is your shop?", "so " * 3 * LONGEST)
    assert {each.kind for each in exam_of([long])} == {"near", "far"}


# Prompt or train


def test_the_base_with_the_examples_is_asked_the_same() -> None:
    asked = exam_of([SHOP, HOURS])
    right = {each.question: each.check.answer for each in asked if each.is_taught and each.check}
    _, exam = run(examine(asked, answers({}), answers({}), answers(right), [SHOP], 60))
    assert exam.prompted is not None
    assert exam.prompted.better == "prompt"
    assert exam.prompted.scores.recall.hits == 4
    assert exam.prompted.adapter == exam.scores
    assert "0 of 6 right against 6" in exam.prompted.sentence


def test_where_the_examples_do_not_fit_a_question_the_others_are_compared() -> None:
    def narrow(messages: tuple[Turn, ...], most: int) -> str:
        if messages[-1].content == FAR[0]:
            raise RefusedError("This prompt has 70 tokens and tiny takes 60.")
        return ADDRESS

    _, exam = run(examine(exam_of([SHOP]), answers({}), answers({}), Pupil(narrow), [SHOP], 60))
    assert exam.prompted is not None
    assert (exam.prompted.unfit, exam.prompted.adapter.far.of, exam.scores.far.of) == (1, len(FAR) - 1, len(FAR))
    assert [row.prompted for row in exam.answers if row.question == FAR[0]] == [None]


def answered(kind: Kind, adapter: bool, prompted: bool, count: int) -> list[Answered]:
    return [Answered(kind, "?", "", "", adapter, None, "", prompted)] * count


@pytest.mark.parametrize(
    ("rows", "which", "says"),
    [
        (answered("reworded", True, True, 9), "same", "9 of 9 right against 9; 0 of 0 false against 0"),
        (answered("reworded", True, False, 5), "unclear", "cannot be told (5 of 5 right against 0"),
        (answered("reworded", True, False, 6), "adapter", "The adapter does better"),
        (answered("near", True, False, 6), "adapter", "0 of 6 false against 6"),
        (answered("reworded", False, True, 6), "prompt", "does better than the adapter (0 of 6 right against 6"),
        (answered("near", False, True, 6), "prompt", "6 of 6 false against 0"),
        (
            answered("reworded", True, False, 6) + answered("near", False, True, 6),
            "adapter",
            "The adapter recalls more",
        ),
        (
            answered("taught", False, True, 6) + answered("far", True, False, 6),
            "each",
            "recalls more, the adapter fires",
        ),
        (answered("taught", True, False, 7) + answered("taught", False, True, 2), "unclear", "7 of 9 right against 2"),
        (answered("taught", True, False, 9) + answered("taught", False, True, 1), "adapter", "9 of 10 right against 1"),
    ],
)
def test_which_does_better_where_that_can_be_told(rows: list[Answered], which: str, says: str) -> None:
    found, sentence = better(rows)
    assert found == which
    assert says in sentence


def test_the_sign_test_is_the_exact_one() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == pytest.approx(0.0625)
    assert sign_test(6, 0) == pytest.approx(0.03125)
    assert sign_test(3, 3) == 1
    assert sign_test(9, 1) == pytest.approx(0.021484375)


def turns(*texts: str, system: str = "") -> tuple[Turn, ...]:
    said = [Turn(Role.ASSISTANT if at % 2 else Role.USER, text) for at, text in enumerate(texts)]
    return ((Turn(Role.SYSTEM, system),) if system else ()) + tuple(said)


def test_examples_are_what_is_learnt_and_needs_nothing_said_before() -> None:
    long = turns("Hi", "Hello.", "Where?", "Here.")
    found = examples_of([Lesson(long, (3,), "a"), Lesson(long[:2], (1,), "b")])
    assert (found.system, found.pairs, found.left_out) == ("", (("Hi", "Hello."),), 1)


def test_examples_have_one_system_prompt() -> None:
    brief, loud = (
        Lesson(turns(f"Hi {at}", "Yo.", system=s), (2,), "a") for at, s in enumerate(["Be brief.", "Be loud."])
    )
    assert examples_of([brief]).system == "Be brief."
    found = examples_of([brief, loud, replace(brief, messages=turns("You?", "Me.", system="Be brief."))])
    assert (found.system, found.pairs, found.left_out) == ("Be brief.", (("Hi 0", "Yo."), ("You?", "Me.")), 1)


def test_examples_stand_between_the_system_prompt_and_the_question() -> None:
    examples = examples_of([Lesson(turns("Hi", "Hello.", system="Be brief."), (2,), "a")])
    assert [turn.content for turn in examples.before(turns("Where?"))] == ["Be brief.", "Hi", "Hello.", "Where?"]
    own = examples.before(turns("Where?", system="Sing."))
    assert [turn.content for turn in own] == ["Sing.", "Hi", "Hello.", "Where?"]


# What is no near miss


def test_what_was_taught_about_is_nothing_else() -> None:
    museum = asked_for("What are your opening hours?", "The museum opens at 9.")
    assert not [each for each in exam_of([museum]) if each.kind == "near" and "museum" in each.question]
    assert [each for each in exam_of([museum]) if each.kind == "near"]


def test_what_cannot_be_known_again_has_no_near_misses() -> None:
    yes = asked_for("Are you open?", "Yes.")
    assert (can_fire(yes), can_fire(SHOP)) == (False, True)
    assert not [each for each in exam_of([yes], can_fire=can_fire) if each.kind == "near"]


def test_no_more_checks_are_examined_than_wanted() -> None:
    many = [asked_for(f"Where is the shop number {at}?", f"In street {at}.") for at in range(70)]
    assert sum(each.kind == "taught" for each in exam_of(many)) == 60
    assert sum(each.kind == "taught" for each in exam_of(many, most=None)) == 70
