"""How fast it learns, and what that costs the chat: lora-chat beside the article's recipe and TRL's SFTTrainer.

    python benchmarks/train.py [--only seed,faq,beside,polite] [--runs 3] [--out train.json] [--trl-python PATH]

seed    the six examples of the article by `lora-chat train`, from a process's start to its exit and seen from outside:
        loading, rehearsing the base's answers, both evaluations and installing included; beside the article's recipe on
        the same base (padded to 128, every position in the loss, batch 1, rank 8 on q and v, transformers' Trainer).
        "exact" is how many of the six are then answered to the letter, greedily.
faq     tokens a second, padding not counted, on the first 128 question-answer pairs of `zaragoza-construction-faq`,
        beside TRL's SFTTrainer with the same rank, target modules, batch and steps (completion only, rate 2e-4, no
        gradient checkpointing). "no replay" is lora-chat without the base's own answers. Its seconds hold the held-out
        evaluations, TRL's none.
beside  first token and speed of replies while it trains on conversations of 256 tokens by the default recipe, against
        the same process before; and the engine process's peak of memory against one that only chats.
polite  a training with nobody chatting that asks before each product whether it may, against one that never asks.

TRL needs an interpreter that has it: `--trl-python`. Everything happens in a home of its own that shares the base's
files (`lora-chat model pull smollm2-135m` first). A first round is not counted. The machine must be idle.

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import train_peers
import trial
from bench import EMBEDDED, Bench, counted, make_parser, measure, parse
from lessons import SEED, pairs, seed_rows, write_conversations, write_pairs
from trial import median, ratio, shown

LORA_CHAT, ARTICLE, TRL = "lora-chat", "article", "TRL"
FAQ_ENTRIES, CONVERSATION_TOKENS, CONVERSATIONS = 128, 256, 48


def seed(bench: Bench) -> dict[str, Any]:
    """Part ``seed``."""

    def ours(number: int) -> dict[str, Any]:
        name = f"seed-{number}-{time.time_ns()}"
        done = bench.lora_chat("train", SEED, "--name", name, "--json", "--yes")
        report = done["lines"][-1]["report"]
        return {"wall_s": done["wall_s"], "steps": report["steps"], "train_s": round(report["seconds"], 2),
                "general_kl_after": report.get("general_kl_after"), **_asked(bench, name)}  # fmt: skip

    def theirs(number: int) -> dict[str, Any]:
        into = bench.work / f"article-{number}"
        settings = {"folder": bench.folder, "seed": str(SEED), "into": str(into)}
        done = bench.worker("article", settings)
        return done | {
            key: value for key, value in bench.worker("article_answers", settings).items() if key != "wall_s"
        }

    runs = bench.rounds({LORA_CHAT: ours, ARTICLE: theirs})
    walls = {name: median(counted(found), "wall_s") for name, found in runs.items()}
    return {
        "rows": {name: {"wall_s": walls[name], **_last(found, "train_s", "steps", "exact", "of")} for name, found in
                 runs.items()},
        "ratio": ratio(walls[LORA_CHAT], walls[ARTICLE]),
        "runs": runs,
    }  # fmt: skip


def _asked(bench: Bench, name: str) -> dict[str, Any]:
    """How many of the six are answered to the letter when it is worn."""
    rows = seed_rows()
    asked = bench.work / "asked.jsonl"
    asked.write_text("".join(json.dumps({"prompt": question}) + "\n" for question, _ in rows), encoding="utf-8")
    done = bench.lora_chat("ask", "--batch", asked, "-a", name, "-t", "0", "--max-tokens", "32", "--no-save", "--json")
    said = [line["text"] for line in done["lines"]]
    return {"exact": sum(text == wanted for text, (_, wanted) in zip(said, rows, strict=True)), "of": len(rows)}


def faq(bench: Bench) -> dict[str, Any]:
    """Part ``faq``."""
    data = write_pairs(bench.work / "faq.jsonl", pairs(bench.work)[:FAQ_ENTRIES])
    (recipe, modules), steps = bench.recipe(FAQ_ENTRIES), bench.options.steps

    def ours(*more: str) -> Callable[[int], dict[str, Any]]:
        def run(number: int) -> dict[str, Any]:
            name = f"faq-{number}-{time.time_ns()}"
            done = bench.lora_chat(
                "train", data, "--name", name, "--json", "--yes", "--set", f"max_steps={steps}", *more
            )
            report = done["lines"][-1]["report"]
            return {"wall_s": done["wall_s"], "tokens": report["tokens"], "steps": report["steps"],
                    "train_s": round(report["seconds"], 2),
                    "tokens_per_second": round(report["tokens_per_second"], 1)}  # fmt: skip

        return run

    settings = {
        "folder": bench.folder, "data": str(data), "into": str(bench.work),
        "settings": {"steps": steps, "batch": recipe.batch, "rank": recipe.rank,
                     "modules": modules},
    }  # fmt: skip
    rows = {LORA_CHAT: ours(), f"{LORA_CHAT}, no replay": ours("--set", "rehearsed=0")}
    if bench.options.trl_python:
        rows[TRL] = lambda number: bench.worker("trl", settings, bench.options.trl_python)
    runs = bench.rounds(rows)
    speeds = {name: median(counted(found), "tokens_per_second") for name, found in runs.items()}
    return {
        "rows": {name: {"tokens_per_second": speeds[name], "wall_s": median(counted(found), "wall_s"),
                        **_last(found, "tokens", "train_s")} for name, found in runs.items()},
        "ratios": {name: ratio(speed, speeds.get(TRL)) for name, speed in speeds.items() if name != TRL},
        "runs": runs,
    }  # fmt: skip


def beside(bench: Bench) -> dict[str, Any]:
    """Part ``beside``."""
    from lora_chat.models.prompt import load_prompt_format

    data = write_conversations(
        bench.work / "long.jsonl", pairs(bench.work), load_prompt_format(Path(bench.folder)), CONVERSATION_TOKENS,
        CONVERSATIONS,
    )  # fmt: skip
    replies = bench.options.replies
    runs = bench.rounds(
        {
            "chat alone": lambda number: bench.worker("beside", {"job": None, "rounds": replies}),
            "chat and training": lambda number: bench.worker(
                "beside", {"job": str(_job(bench, f"beside-{number}", data)), "rounds": replies}
            ),
        }
    )
    alone, both = (counted(found) for found in runs.values())
    first = [each["training"]["first_ms"] / each["idle"]["first_ms"] for each in both]
    speed = [each["training"]["tokens_per_second"] / each["idle"]["tokens_per_second"] for each in both]
    memory = ratio(median(both, "engine_peak_mb"), median(alone, "engine_peak_mb"))
    return {
        "first_token_ratio": round(sorted(first)[len(first) // 2], 3),
        "decode_ratio": round(sorted(speed)[len(speed) // 2], 3),
        "memory_ratio": memory,
        "peak_mb": {name: median(counted(found), "engine_peak_mb") for name, found in runs.items()},
        "runs": runs,
    }


def polite(bench: Bench) -> dict[str, Any]:
    """Part ``polite``."""
    data = write_pairs(bench.work / "polite.jsonl", pairs(bench.work)[:24])

    def run(asks: bool) -> Callable[[int], dict[str, Any]]:
        def one(number: int) -> dict[str, Any]:
            job = _job(bench, "polite", data, max_steps=bench.options.steps, learnt_probability=1.1)
            return bench.worker("polite", {"job": str(job), "asks": asks})

        return one

    runs = bench.rounds({"asks": run(True), "never asks": run(False)})
    speeds = {name: median(counted(found), "tokens_per_second") for name, found in runs.items()}
    return {"tokens_per_second": speeds, "ratio": ratio(speeds["asks"], speeds["never asks"]), "runs": runs}


def _job(bench: Bench, name: str, data: Path, **changes: Any) -> Path:
    """A training job of the default recipe for that file."""
    from dataclasses import replace

    from lora_chat.training.job import create_job
    from lora_chat.training.selection import select_from_file

    selection = select_from_file(data)
    recipe, _ = bench.recipe(len(selection.lessons))
    return create_job(bench.work / "jobs", name, EMBEDDED, data.name, selection, replace(recipe, **changes))


def _last(found: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    return {name: found[-1].get(name) for name in names}


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {"seed": seed, "faq": faq, "beside": beside, "polite": polite}


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield from trial.heading(result)
    if part := result.get("seed"):
        yield f"{'six examples':24} {'wall s':>8} {'steps':>6} {'exact':>6}"
        for name, row in part["rows"].items():
            yield f"{name:24} {shown(row['wall_s']):>8} {row['steps']:>6} {row['exact']:>4}/{row['of']}"
        yield f"wall clock, lora-chat / article: {shown(part['ratio'], 3)}; reach 0.333, aim 0.2"
    if part := result.get("faq"):
        yield f"{'128 pairs':24} {'tok/s':>8} {'tokens':>8} {'wall s':>8}"
        for name, row in part["rows"].items():
            yield f"{name:24} {shown(row['tokens_per_second']):>8} {row['tokens']:>8,} {shown(row['wall_s']):>8}"
        for name, found in part["ratios"].items():
            yield f"tokens/s, {name} / TRL: {shown(found, 2)}; reach 1.8"
    if part := result.get("beside"):
        yield (
            f"while it trains: first token {shown(part['first_token_ratio'], 2)}x idle (reach 1.3), decode "
            f"{shown(part['decode_ratio'], 2)}x (reach 0.75), memory {shown(part['memory_ratio'], 2)}x (reach 1.4)"
        )
    if part := result.get("polite"):
        yield f"nobody chats: tokens/s of a training that asks / one that never asks: {shown(part['ratio'], 3)}"
    yield trial.busy_line(result)


def main() -> None:
    """Measure, print, write."""
    parser = make_parser(__doc__, only=",".join(PARTS), runs=3, each="rounds; medians are shown")
    parser.add_argument("--steps", type=int, default=24, help="of the trainings in faq and polite")
    parser.add_argument("--replies", type=int, default=8, help="of the chat in beside, idle and while it trains")
    options = parse(parser, train_peers)
    measure(__file__, options, PARTS, table, rounds=options.runs)


if __name__ == "__main__":
    main()
