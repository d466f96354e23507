"""What is taught and asked in one home. Owns one lesson and one exam of lora-chat; knows no peer and draws nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bench import Bench
from learn_sets import ASKED, Rows, examples_before, judge, read
from learn_ways import chosen, told_apart
from lessons import write_pairs

ANSWER_TOKENS = 48


def answers(bench: Bench, adapter: str, rows: Rows, before: Rows | None = None) -> list[str]:
    """What is answered to each prompt, greedily, with ``adapter`` on (or none: "") and perhaps with examples before."""
    asked = bench.work / "asked.jsonl"
    lines = [json.dumps({"messages": examples_before(before or [], row["prompt"])}) for row in rows]
    asked.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    done = bench.lora_chat(
        "ask", "--batch", asked, "-a", adapter, "-t", "0", "--max-tokens", ANSWER_TOKENS, "--no-save", "--json"
    )  # fmt: skip
    return [line["text"] for line in done["lines"]]


def train(bench: Bench, data: Path, seed: int, *words: str) -> dict[str, Any]:
    """One training from outside: its wall clock, its figures, and all that it said as ``lines``."""
    done = bench.lora_chat("train", data, "--seed", seed, "--json", "--yes", *words)
    end = done["lines"][-1]
    report = end["report"]
    return {
        "wall_s": done["wall_s"], "train_s": round(report["seconds"], 2), "steps": report["steps"],
        "general_kl": report.get("general_kl_after"), "end": end, "lines": done["lines"],
    }  # fmt: skip


class Classroom:
    """What is taught and asked, and how it is done in one home."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        subject = bench.options.subject
        self.taught = read("taught", subject=subject)
        self.sets = {name: read(name, bench.options.sample, subject) for name in ASKED}
        self.data = write_pairs(bench.work / "taught.jsonl", asked_and_said(self.taught))
        self._answers = ""

    def lesson(self, way: str, seed: int, *values: str) -> dict[str, Any]:
        """One row of lora-chat; ``values`` are of the recipe, and ``data=12`` teaches so many of the corrections."""
        sets, count = told_apart(values)
        rows = chosen(self.taught, count)
        data = write_pairs(self.bench.work / f"taught-{len(rows)}.jsonl", asked_and_said(rows)) if count else self.data
        name = f"learn-{seed}-{time.time_ns()}"
        done = train(self.bench, data, seed, "--name", name, *(word for each in sets for word in ("--set", each)))
        return {
            "way": way, "seed": seed, "taught": len(rows),
            **{key: done[key] for key in ("wall_s", "train_s", "steps", "general_kl")},
            "kl": self.distance(adapter=done["end"]["path"]), **self.exam(name, *ASKED),
        }  # fmt: skip

    def exam(self, adapter: str, *names: str, before: Rows | None = None) -> dict[str, Any]:
        """The sets ``names``, asked with ``adapter`` on (or none: "") and perhaps with examples before, judged."""
        said = answers(self.bench, adapter, [row for name in names for row in self.sets[name]], before)
        found = {}
        for name in names:
            mine, said = said[: len(self.sets[name])], said[len(self.sets[name]) :]
            found[name] = judge(self.sets[name], mine)
        return found

    def distance(self, adapter: str = "", before: Rows | None = None) -> float:
        """Mean KL per token on the far prompts of the base with that adapter on, or with examples before."""
        settings = {"folder": self.bench.folder, "asked": self._far("asked"), "answers": self._base_answers()}
        instead = self._far("instead", before) if before else ""
        found = self.bench.worker("divergence", settings | {"adapter": adapter, "instead": instead})
        return round(float(found["kl"]), 5)

    def _far(self, name: str, before: Rows | None = None) -> str:
        into = self.bench.work / f"far-{name}.json"
        conversations = [examples_before(before or [], row["prompt"]) for row in self.sets["far"]]
        into.write_text(json.dumps(conversations), encoding="utf-8")
        return str(into)

    def _base_answers(self) -> str:
        """Asked for once."""
        if not self._answers:
            self._answers = str(self.bench.work / "far-answers.json")
            settings = {"folder": self.bench.folder, "asked": self._far("asked"), "answers": self._answers}
            self.bench.worker("base_answers", settings)
        return self._answers


def asked_and_said(rows: Rows) -> list[tuple[str, str]]:
    """As ``write_pairs`` takes them."""
    return [(row["prompt"], row["response"]) for row in rows]
