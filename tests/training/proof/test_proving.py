"""Asking checks, counting what came of them, and choosing among many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lora_chat.chat.conversation import Role, Turn
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Proved
from lora_chat.training.proof.proving import in_order, longest, outcome, prove

HELD = Proved(True)


def check(at: int, version: str = "1.0.0", **more: Any) -> Check:
    return Check((Turn(Role.USER, f"Question {at}?"),), f"Answer {at}.", version, **more)


def says(*answers: tuple[str, str]) -> Callable[[tuple[Turn, ...], int], str]:
    script = dict(answers)
    return lambda messages, longest: script[messages[-1].content]


def wrong(check: Check, answer: str = "No.") -> Proved:
    return Proved(False, ((check.question, answer),))


def test_each_wording_is_asked_and_what_is_wrong_is_kept_with_what_was_said() -> None:
    first = check(1, rewordings=("One, please?", "Which one?"))
    ask = says(
        ("Question 1?", "Answer 1."), ("One, please?", "It is 1."), ("Which one?", "Two."), ("Question 2?", "Answer 2.")
    )
    found = list(prove([first, check(2)], ask))
    assert found == [(first, Proved(False, (("Which one?", "Two."),))), (check(2), HELD)]


def test_what_is_interrupted_is_left_out() -> None:
    cancel = threading.Event()
    asked = []

    def ask(messages: tuple[Turn, ...], longest: int) -> str:
        asked.append(messages[-1].content)
        if len(asked) == 2:
            cancel.set()
        return messages[-1].content.replace("Question", "Answer").replace("?", ".")

    assert list(prove([check(at) for at in range(4)], ask, cancel)) == [(check(0), HELD)]
    assert len(asked) == 2


def test_the_taught_answer_fits_whatever_its_script() -> None:
    assert longest(check(1)) == 24
    assert longest(replace(check(1), answer="word " * 40)) == 108
    assert longest(replace(check(1), answer="1234567890" * 5)) == 58
    assert longest(replace(check(1), answer="三十天内退货")) == 6 * 3 + 8
    assert longest(check(1, must=("x",))) == 48


def test_it_is_said_in_one_sentence() -> None:
    checks = [check(at) for at in range(42)] + [check(at, "1.1.0") for at in range(42, 45)]
    before = {each.id: HELD for each in checks[:42]} | {checks[3].id: wrong(checks[3])}
    after = {each.id: HELD for each in checks} | {
        checks[at].id: wrong(checks[at], "Something\nelse, and at such a length that nobody would read all of it here.")
        for at in (0, 3, 44)
    }
    found = outcome(checks, after, before, "1.1.0")
    assert (found.of, found.held, found.new, len(found.lost), len(found.wrong)) == (45, 42, 3, 1, 3)
    assert found.sentence == (
        "42 of 45 checks hold; 3 new; 1 lost: “Question 0?” now answers “Something else, and at such a length that "
        "nobody would read…”."
    )


def test_at_most_three_lost_ones_are_named_and_foreign_text_is_harmless() -> None:
    checks = [check(at) for at in range(5)]
    before = {each.id: HELD for each in checks}
    found = outcome(checks, {each.id: wrong(each, "\x1b[31m") for each in checks}, before, "1.1.0")
    assert found.sentence.startswith("0 of 5 checks hold; 5 lost: “Question 0?” now answers “[31m”, “Question 1?”")
    assert found.sentence.endswith("“Question 2?” now answers “[31m” and 2 more.")
    silent = outcome(checks[:1], {checks[0].id: wrong(checks[0], "\x1b")}, before, "1.1.0")
    assert silent.sentence == "0 of 1 check holds; 1 lost: “Question 0?” now answers nothing."


def test_a_lost_wording_is_named_as_it_was_asked() -> None:
    told = check(1, rewordings=("One?",))
    found = outcome([told], {told.id: Proved(False, (("One?", "Two."),))}, {told.id: HELD}, "1.1.0")
    assert "1 lost: “One?” now answers “Two.”." in found.sentence


def test_the_first_version_has_nothing_to_compare_with() -> None:
    checks = [check(at) for at in range(3)]
    assert outcome(checks, {each.id: HELD for each in checks}, {}, "1.0.0").sentence == "3 of 3 checks hold."
    assert outcome([], {}, {}, "1.0.0").sentence == "There are no checks yet."
    assert outcome(checks, {}, {}, "1.0.0").sentence == "No check was asked of 3."


def test_what_was_not_asked_is_said_and_is_neither_new_nor_lost() -> None:
    checks = [check(at) for at in range(3)]
    found = outcome(checks, {checks[0].id: HELD}, {each.id: HELD for each in checks}, "1.1.0")
    assert (found.of, found.left, found.new, found.lost) == (1, 2, 0, ())
    assert found.sentence == "1 of 1 check holds; 2 not asked."
    assert outcome(checks, {checks[0].id: HELD}, {}, "1.1.0").new == 0, "it was taught to the version before"


def test_all_are_asked_the_wrong_ones_first_then_those_nobody_asked_yet() -> None:
    checks = [check(at) for at in range(200)]
    last = {each.id: HELD for each in checks[:190]} | {checks[at].id: wrong(checks[at]) for at in (7, 150)}
    found = in_order(checks, last)
    assert found[:2] == [checks[7], checks[150]]
    assert found[2:12] == checks[190:]
    assert found[12:] == [each for at, each in enumerate(checks[:190]) if at not in (7, 150)]
    assert in_order(checks, {}) == checks
