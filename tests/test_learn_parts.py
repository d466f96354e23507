"""The parts of ``benchmarks/learn.py`` that teach more: what is held out, how growth is counted, how a way is read."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from difflib import SequenceMatcher
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lora_chat.training.general import MEASURED, REHEARSED
from lora_chat.training.growth import FEW
from lora_chat.training.overrides import override
from lora_chat.training.proof.check import Check
from lora_chat.training.recipe import choose_recipe

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")


def load(name: str) -> ModuleType:
    """A module of the benchmark; benchmarks are scripts, no package."""
    sys.path.insert(0, BENCHMARKS)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(BENCHMARKS)


SETS, WAYS, FAQ, GROW = map(load, ("learn_sets", "learn_ways", "learn_faq", "learn_grow"))
GROWTH: list[dict[str, Any]] = SETS.read("growth")
OTHERS: list[str] = [row["prompt"] for name in ("taught", *SETS.ASKED) for row in SETS.read(name)]


def alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).ratio() >= 0.9


def test_five_rounds_teach_five_facts_each_in_two_wordings() -> None:
    for number in range(1, 6):
        rows = [row for row in GROWTH if row["round"] == number]
        abouts = [row["about"] for row in rows]
        assert {about: abouts.count(about) for about in abouts} == dict.fromkeys(abouts, 2)
        assert len(set(abouts)) == len({row["response"] for row in rows}) == 5
    assert len(GROWTH) == 50 >= FEW


def test_growth_is_apart_from_every_other_set_and_from_what_is_rehearsed() -> None:
    prompts = [row["prompt"] for row in GROWTH]
    assert [(one, other) for one in prompts for other in (*OTHERS, *REHEARSED, *MEASURED) if alike(one, other)] == []
    assert [(a, b) for place, a in enumerate(prompts) for b in prompts[:place] if alike(a, b)] == []


def test_what_an_answer_must_hold_is_in_it_and_in_no_question_nor_in_an_answer_to_anything_else() -> None:
    for row in GROWTH:
        assert SETS.hit(row, row["response"])
        for other in GROWTH:
            assert not SETS.hit(row, other["prompt"])
            assert other["about"] == row["about"] or not SETS.hit(row, other["response"]), (row, other)


def test_what_holds_is_counted_round_by_round_as_the_product_counts_it() -> None:
    rows = [GROWTH[0], GROWTH[1], GROWTH[10]]
    said = [f"{rows[0]['response']}\n", f"Well: {rows[1]['response']}", "No idea."]
    found = GROW.judged(rows, said)
    assert (found["rounds"], found["say"]) == ([[1, 2], [0, 1]], [[2, 2], [0, 1]])
    assert (found["held"], found["of"], len(found["wrong"])) == (1, 3, 2)
    checks = [Check((), row["response"]).holds(answer) for row, answer in zip(rows, said, strict=True)]
    assert sum(checks) == found["held"]


class Bench:
    """Answers as lora-chat would, whose version 1.1.0 is kept beside the one before; the base answers nothing right."""

    def __init__(self, work: Path, *, wears_all: bool) -> None:
        self.options = argparse.Namespace(grow_wear=wears_all, grow_sets="rank=2", sample=2, runs=1)
        self.work, self.words = work, list[tuple[Any, ...]]()
        self.versions: dict[str, list[str]] = {}
        self.worn = ""

    def lora_chat(self, *words: Any) -> dict[str, Any]:
        self.words.append(words)
        lines = getattr(self, f"_{words[0]}")(*words[1:])
        return {"wall_s": 1.0, "lines": lines}

    def _train(self, data: Path, *words: Any) -> list[dict[str, Any]]:
        assert words[-2:] == ("--set", "rank=2")
        made = f"1.{len(self.versions)}.0"
        rows = [json.loads(line) for line in data.read_text().splitlines()]
        again = len(self.versions.get(self.worn, []))
        self.versions[made] = [row["prompt"] for row in rows]
        kept = "it lost a check." if made == "1.1.0" else ""
        self.worn = self.worn if kept else made
        report = {"seconds": 1.0, "steps": 2, "stopped_because": "it is enough"}
        recipe = {"heldout": 0, "rehearsal_weight": 30.0}
        return [
            {"event": "dataset", "conversations": len(rows), "replayed": again, "recipe": recipe},
            {"event": "finished", "version": made, "kept": kept, "checks": None, "report": report, "path": ""},
        ]

    def _adapter(self, *words: str) -> list[dict[str, Any]]:
        self.worn = words[words.index("--to") + 1]
        return []

    def _ask(self, _: str, asked: Path, *__: Any) -> list[dict[str, Any]]:
        said = {row["prompt"]: row["response"] for row in GROWTH}
        prompts = [json.loads(line)["messages"][-1]["content"] for line in asked.read_text().splitlines()]
        return [{"text": said[each] if each in self.versions[self.worn] else "No idea."} for each in prompts]


@pytest.mark.parametrize("wears_all", [False, True])
def test_growth_goes_on_from_the_version_that_is_worn_and_shows_what_was_rejected(
    tmp_path: Path, *, wears_all: bool
) -> None:
    bench = Bench(tmp_path, wears_all=wears_all)
    found = GROW.grow(bench)
    second, third = found["rows"][1:3]
    assert second["rejected"]["held"] == 4
    assert (second["worn_version"], second["worn"]["held"]) == (("1.1.0", 4) if wears_all else ("1.0.0", 2))
    assert third["from"] == second["worn_version"]
    assert (third["new"], third["replayed"]) == ((2, 4) if wears_all else (4, 2))  # what was rejected is learnt again
    assert bench.worn == "1.4.0"
    assert (found["first_held"], found["first_of"]) == (2, 2)
    shown = "\n".join(GROW.table(found))
    assert "1.1.0 was not worn by itself: it lost a check." in shown
    assert "2/2 hold at the end, 100%" in shown


def test_a_few_of_each_round_are_the_first() -> None:
    assert [row["round"] for row in GROW.few(GROWTH, 2)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_same_questions_are_held_out_each_time_and_none_of_them_is_taught() -> None:
    pairs = [(f"question {number % 500}", f"answer {number}") for number in range(503)]
    taught, heldout = FAQ.divided(pairs)
    assert (len(taught), len(heldout)) == (400, 103)
    assert FAQ.divided(pairs) == (taught, heldout)
    assert not {asked for asked, _ in taught} & {asked for asked, _ in heldout}
    assert sorted(taught + heldout) == sorted(pairs)
    assert taught == sorted(taught, key=pairs.index)


def test_the_least_loss_of_trl_is_taken_of_all_its_rates_and_moments() -> None:
    rows = [
        {"way": "base", "loss": 3.0},
        {"way": "lora-chat, as it is", "seed": 0, "loss": 2.0},
        {"way": "lora-chat, other", "seed": 0, "loss": 1.0},
        {"way": "TRL 0.0002", "seed": 0, "loss": 2.6},
        {"way": "TRL 0.001", "seed": 0, "loss": 2.5},
    ]
    assert FAQ.best(rows, "as it is") == {"ours": [2.0], "trl_best": [2.5], "loss_ratio": 0.8}
    assert FAQ.best(rows[:3], "as it is")["loss_ratio"] is None


def test_a_way_is_a_name_with_values_and_how_much_is_taught() -> None:
    assert WAYS.parse_ways("as it is: ; six: data=6 rank=2") == {"as it is": [], "six": ["data=6", "rank=2"]}
    assert WAYS.told_apart(["data=6", "rank=2"]) == (["rank=2"], 6)
    assert WAYS.told_apart([]) == ([], 0)


@pytest.mark.parametrize("text", ["", "six", "six: rank", "six: data=0", "six: data=some"])
def test_what_is_no_way_is_said_before_anything_runs(text: str) -> None:
    with pytest.raises(SystemExit, match="--ways"):
        WAYS.parse_ways(text)


def test_every_way_of_the_curve_is_one_that_a_training_takes() -> None:
    ways = WAYS.parse_ways(WAYS.CURVE)
    assert len(ways) >= 10
    for values in ways.values():
        sets, count = WAYS.told_apart(values)
        override(choose_recipe(count or 24, 135_000_000), sets, count or 24)


@pytest.mark.parametrize("count", [6, 12, 18])
def test_less_data_is_taken_in_turns_from_all_that_it_is_about(count: int) -> None:
    taught = SETS.read("taught")
    abouts = [row["about"] for row in WAYS.chosen(taught, count)]
    assert {about: abouts.count(about) for about in abouts} == dict.fromkeys(
        {row["about"] for row in taught}, count // 6
    )


def test_all_data_is_what_it_is() -> None:
    taught = SETS.read("taught")
    assert WAYS.chosen(taught, 0) == WAYS.chosen(taught, 99) == taught


def test_less_of_a_collection_is_spread_over_it() -> None:
    pairs = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]
    assert FAQ.spread(pairs, 2) == [("a", "1"), ("c", "3")]
    assert FAQ.spread(pairs, 4) == FAQ.spread(pairs, 9) == pairs
