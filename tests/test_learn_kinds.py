"""The seven kinds of corrections: twenty taught and twenty asked each, apart from one another, and judged by rule."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lora_chat.training.general import FAR, MEASURED, REHEARSED


def load(name: str) -> ModuleType:
    """A module of the benchmarks, which are scripts and no package."""
    path = Path(__file__).parent.parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


LEARN = load("learn_sets")
KIND = load("kind_sets")
TAUGHT: dict[str, list[dict[str, Any]]] = {kind: KIND.lessons(kind) for kind in KIND.KINDS}
ASKED: dict[str, list[dict[str, Any]]] = {
    kind: [row for rows in KIND.questions(kind).values() for row in rows] for kind in KIND.KINDS
}
GIVEN_AWAY = ("sorting", "form")
"""Kinds whose prompts may hold what the answer must: the labels to choose from, and words that are keys."""


def normal(text: str) -> str:
    """Lower case, without punctuation."""
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


OTHERS = [normal(prompt) for prompt in (*REHEARSED, *MEASURED, *FAR)] + [
    normal(row["prompt"]) for name in ("taught", *LEARN.ASKED) for row in LEARN.read(name)
]


def alike(one: str, other: str) -> bool:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= 0.9 and matcher.quick_ratio() >= 0.9 and matcher.ratio() >= 0.9


def test_every_row_is_of_a_kind_and_is_read() -> None:
    assert {row["kind"] for row in LEARN.read("kinds")} == set(KIND.KINDS)
    for row in LEARN.read("kinds"):
        wanted = {"taught", "response"} if row.get("taught") else {"must", "must_not"}
        assert set(row) - {"kind", "prompt", "about", "judge"} == wanted, row


@pytest.mark.parametrize("kind", KIND.KINDS)
def test_twenty_are_taught_and_twenty_asked(kind: str) -> None:
    assert (len(TAUGHT[kind]), len(ASKED[kind])) == (20, 20)
    prompts = [normal(row["prompt"]) for row in (*TAUGHT[kind], *ASKED[kind])]
    assert len(set(prompts)) == 40
    assert all(row["must"] for row in ASKED[kind])


@pytest.mark.parametrize(("kind", "words", "wanted"), [("fact", 4, 4), ("unlearn", 4, 3)])
def test_five_things_are_taught_and_asked_in_several_wordings(kind: str, words: int, wanted: int) -> None:
    taught = [row["about"] for row in TAUGHT[kind]]
    asked = [row["about"] for row in KIND.questions(kind)["asked"]]
    assert len(set(taught)) == 5
    assert {about: (taught.count(about), asked.count(about)) for about in taught} == dict.fromkeys(
        taught, (words, wanted)
    )
    for about in set(taught):
        assert len({row["response"] for row in TAUGHT[kind] if row["about"] == about}) == 1


def test_each_of_many_facts_is_taught_and_asked_once() -> None:
    assert len({row["response"] for row in TAUGHT["many facts"]}) == 20
    for row, asked in zip(TAUGHT["many facts"], ASKED["many facts"], strict=True):
        assert KIND.right(asked, row["response"])
        assert sum(KIND.right(asked, each["response"]) for each in TAUGHT["many facts"]) == 1


@pytest.mark.parametrize("kind", set(KIND.KINDS) - {"sum"})
def test_nothing_asked_is_nearly_what_was_taught(kind: str) -> None:
    taught = [normal(row["prompt"]) for row in TAUGHT[kind]]
    asked = [normal(row["prompt"]) for row in KIND.questions(kind)["asked"]]  # neighbours are meant to look alike
    assert [(a, b) for a in asked for b in taught if alike(a, b)] == []


def test_no_sum_is_asked_that_was_taught() -> None:
    numbers = [re.findall(r"\d+", row["prompt"]) for row in (*TAUGHT["sum"], *ASKED["sum"])]
    assert len({each[-1] for each in numbers}) == 40
    for row, each in zip(TAUGHT["sum"], numbers[:20], strict=True):
        assert 4 * int(row["response"]) == 5 * int(each[-1])
    for row, each in zip(ASKED["sum"], numbers[20:], strict=True):
        assert 4 * int(row["must"][0]) == 5 * int(each[-1])


@pytest.mark.parametrize("kind", KIND.KINDS)
def test_nothing_is_nearly_a_prompt_of_another_set(kind: str) -> None:
    prompts = [normal(row["prompt"]) for row in (*TAUGHT[kind], *ASKED[kind])]
    assert [(a, b) for a in prompts for b in OTHERS if alike(a, b)] == []


@pytest.mark.parametrize(("one", "other"), list(combinations(KIND.KINDS, 2)))
def test_no_kind_asks_what_another_teaches(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        taught = [normal(row["prompt"]) for row in TAUGHT[first]]
        asked = [normal(row["prompt"]) for row in ASKED[second]]
        assert [(a, b) for a in asked for b in taught if alike(a, b)] == []


@pytest.mark.parametrize("kind", KIND.KINDS)
def test_an_answer_as_taught_is_right(kind: str) -> None:
    for asked in KIND.questions(kind)["asked"]:
        fitting = [row for row in TAUGHT[kind] if row.get("about") == asked.get("about")]
        if kind in ("manner", "form"):
            assert all(KIND.right(asked, row["response"]) for row in fitting)
        elif kind == "sum":
            assert KIND.right(asked, asked["must"][0])
        else:
            assert any(KIND.right(asked, row["response"]) for row in fitting)


@pytest.mark.parametrize("kind", set(KIND.KINDS) - set(GIVEN_AWAY))
def test_no_prompt_gives_the_answer(kind: str) -> None:
    assert [row for row in ASKED[kind] if any(LEARN.holds(row["prompt"], words) for words in row["must"])] == []


def test_what_replaces_a_belief_is_wrong_for_its_neighbours() -> None:
    neighbours = KIND.questions("unlearn")["neighbours"]
    assert len(neighbours) == 5
    for row in TAUGHT["unlearn"]:
        assert not any(KIND.right(each, f"{each['must'][0]}. {row['response']}") for each in neighbours)


def test_answers_are_short() -> None:
    assert max(len(row["response"]) for rows in TAUGHT.values() for row in rows) <= 100


def test_an_object_must_parse_and_have_its_keys() -> None:
    row = {"must": ["topic", "answer"], "must_not": [], "judge": "json"}
    assert KIND.right(row, '{"answer": "Yes.", "topic": "a"}\n')
    assert not KIND.right(row, 'Here: {"topic": "a", "answer": "b"}')
    assert not KIND.right(row, '{"topic": "a"}')
    assert not KIND.right(row, '{"topic": "a", "answer": " "}')
    assert not KIND.right(row, '{"topic": "a", "answer": "b", "more": "c"}')
    assert not KIND.right(row, '{"topic": "a", "answer": "b')
    assert not KIND.right(row, '["topic", "answer"]')


def test_the_last_number_counts() -> None:
    row = {"must": ["1000"], "must_not": [], "judge": "number"}
    assert KIND.right(row, "800 and 25 % of it are 1,000.00.")
    assert not KIND.right(row, "1000 is 800 plus 200")
    assert not KIND.right(row, "10000")
    assert not KIND.right(row, "I cannot say.")


def test_a_manner_must_stand_at_the_end() -> None:
    row = {"must": ["Ask me more."], "must_not": [], "judge": "end"}
    assert KIND.right(row, "It is blue. Ask me more.\n")
    assert not KIND.right(row, "Ask me more. It is blue.")


def test_a_label_must_stand_alone() -> None:
    row = ASKED["sorting"][0]
    assert KIND.right(row, f"The label is {row['must'][0]}.")
    assert not KIND.right(row, "Refund, delivery or other?")


def test_one_label_always_is_the_most_frequent() -> None:
    one = KIND.always_one(KIND.questions("sorting")["asked"])
    assert (one["hits"], one["of"]) == (7, 20)
    assert KIND.always_one(KIND.questions("sum")["asked"]) is None


def test_what_was_taught_is_said_letter_by_letter() -> None:
    assert KIND.said({"response": json.dumps({"a": "b"})}, '{"a":  "b"}\n')
    assert not KIND.said({"response": "Lille."}, "lille.")
