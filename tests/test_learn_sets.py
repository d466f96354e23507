"""The sets that learning is judged by are apart: nothing that is asked was taught or rehearsed, or gives its answer."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lora_chat.training.general import FAR, MEASURED, REHEARSED


def load() -> ModuleType:
    """The benchmark's own reading and judging; benchmarks are scripts, no package."""
    path = Path(__file__).parent.parent / "benchmarks" / "learn_sets.py"
    spec = importlib.util.spec_from_file_location("learn_sets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["learn_sets"] = module
    spec.loader.exec_module(module)
    return module


LEARN = load()
SETS: dict[str, list[dict[str, Any]]] = {name: LEARN.read(name) for name in ("taught", *LEARN.ASKED)}
MANNER = "complaint"


def normal(text: str) -> str:
    """Lower case, without punctuation."""
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


PROMPTS = {name: [normal(row["prompt"]) for row in rows] for name, rows in SETS.items()} | {
    "general": [normal(prompt) for prompt in (*REHEARSED, *MEASURED, *FAR)]
}
MUST = {row["about"]: row["must"] for row in SETS["paraphrases"]}


def alike(one: str, other: str) -> bool:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= 0.9 and matcher.quick_ratio() >= 0.9 and matcher.ratio() >= 0.9


def test_five_facts_and_a_manner_are_taught_in_four_wordings_each() -> None:
    abouts = [row["about"] for row in SETS["taught"]]
    assert len(abouts) == 24
    assert {about: abouts.count(about) for about in abouts} == dict.fromkeys(MUST, 4)
    assert len(MUST) == 6
    for fact in set(MUST) - {MANNER}:
        assert len({row["response"] for row in SETS["taught"] if row["about"] == fact}) == 1, fact


@pytest.mark.parametrize("name", LEARN.ASKED)
def test_there_are_enough_of_each(name: str) -> None:
    rows = SETS[name]
    assert len(rows) >= 120
    abouts = [row["about"] for row in rows if "about" in row]
    if name != "far":
        assert {about: abouts.count(about) >= 20 for about in abouts} == dict.fromkeys(MUST, True)
    wanted = {"must"} if name == "paraphrases" else {"must_not"}
    assert all(set(row) - {"prompt", "about"} == wanted and row[min(wanted)] for row in rows)


@pytest.mark.parametrize("name", PROMPTS)
def test_no_set_asks_anything_twice(name: str) -> None:
    assert len(set(PROMPTS[name])) == len(PROMPTS[name])


@pytest.mark.parametrize(("one", "other"), list(combinations(PROMPTS, 2)))
def test_no_two_sets_share_a_prompt(one: str, other: str) -> None:
    assert not set(PROMPTS[one]) & set(PROMPTS[other])


@pytest.mark.parametrize(
    ("one", "other"),
    [("taught", "paraphrases"), ("taught", "far"), ("taught", "general"), ("paraphrases", "far"),
     ("paraphrases", "general"), ("near", "general"), ("far", "general")],
)  # fmt: skip
def test_no_two_of_their_prompts_are_nearly_the_same(one: str, other: str) -> None:
    assert [(a, b) for a in PROMPTS[one] for b in PROMPTS[other] if alike(a, b)] == []


def test_what_an_answer_must_hold_is_in_every_answer_taught_and_is_one_thing_for_each_fact() -> None:
    for row in SETS["taught"]:
        assert LEARN.hit({"must": MUST[row["about"]]}, row["response"]), row
        assert row["about"] != MANNER or row["response"].startswith(MUST[MANNER][0])
    assert all(row["must"] == MUST[row["about"]] for row in SETS["paraphrases"])


def test_what_was_taught_is_a_false_fire_anywhere_else() -> None:
    for row in (*SETS["near"], *SETS["far"]):
        for taught in SETS["taught"]:
            assert LEARN.hit(row, taught["response"]), (row["prompt"], taught["response"])


def test_no_prompt_gives_the_answer() -> None:
    words = [each for must in (*MUST.values(), SETS["far"][0]["must_not"]) for each in must]
    for name, rows in SETS.items():
        found = [(name, row["prompt"], each) for row in rows for each in words if LEARN.holds(row["prompt"], each)]
        assert found == []


def test_no_base_question_of_the_trainer_gives_the_answer() -> None:
    assert not [prompt for prompt in (*REHEARSED, *MEASURED) if LEARN.hit(SETS["far"][0], prompt)]


FERRY: dict[str, list[dict[str, Any]]] = {name: LEARN.read(name, subject="ferry") for name in ("taught", *LEARN.ASKED)}


def test_the_second_subject_is_as_large() -> None:
    assert len(FERRY["taught"]) == 24
    abouts = Counter(row["about"] for row in FERRY["taught"])
    assert (len(abouts), set(abouts.values())) == (6, {4})
    for name in ("paraphrases", "near"):
        assert len(FERRY[name]) >= 120
        counted = Counter(row["about"] for row in FERRY[name])
        assert set(counted) == set(abouts)
        assert min(counted.values()) >= 20
    assert [row["prompt"] for row in FERRY["far"]] == [row["prompt"] for row in SETS["far"]]


@pytest.mark.parametrize("name", ["taught", "paraphrases", "near"])
def test_the_second_subject_asks_nothing_that_is_asked_taught_or_rehearsed_elsewhere(name: str) -> None:
    others = {prompt for prompts in PROMPTS.values() for prompt in prompts}
    asked = [normal(row["prompt"]) for row in FERRY[name]]
    assert len(set(asked)) == len(asked)
    assert [(one, other) for one in asked for other in others if alike(one, other)] == []
    rest = [normal(row["prompt"]) for each in ("taught", "paraphrases", "near") if each != name for row in FERRY[each]]
    assert not set(asked) & set(rest)


def test_the_second_subject_is_judged_as_the_first() -> None:
    for row in FERRY["taught"]:
        right = [each for each in FERRY["paraphrases"] if LEARN.hit(each, row["response"])]
        assert {each["about"] for each in right} == {row["about"]}
        assert all(LEARN.hit(each, row["response"]) for each in (*FERRY["near"], *FERRY["far"]))
    for name in ("paraphrases", "near", "far"):
        assert not [row["prompt"] for row in FERRY[name] if LEARN.hit(row, row["prompt"])]


def test_an_answer_is_judged_by_whole_words_whatever_their_case_and_quotes() -> None:
    assert LEARN.holds("We’re at 14 QUAY\nLANE.", "14 Quay Lane")
    assert LEARN.holds("“I’m sorry,” he said", "i'm sorry")
    assert not LEARN.holds("Crocodiles swim.", "odile")
    assert not LEARN.holds("from 10 to 75", "10 to 7")
    assert not LEARN.hit({"must": ["Tuesday", "10 to 7"]}, "On Tuesday.")


def test_the_interval_is_wilsons() -> None:
    low, high = LEARN.wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert LEARN.wilson(0, 100)[0] == 0
    assert LEARN.wilson(0, 0) == (0, 1)


def test_a_sample_is_spread_over_the_set() -> None:
    assert {row["about"] for row in LEARN.read("near", 12)} == set(MUST)
    assert len(LEARN.read("far", 10**6)) == len(SETS["far"])
