"""Part ``faq``: a collection of questions and answers, TRL beside it for as many seconds. Owns its rows and table."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import Bench
from learn_room import train
from learn_ways import parse_ways, told_apart
from lessons import pairs, write_pairs
from trial import ratio, shown

LORA_CHAT, TRL, BASE = "lora-chat", "TRL", "base"
HELD_OUT = 103
AT_ONCE = 8
"""Adapters that one process measures, which may not take an hour."""
DRAWN_BY = 0
"""The seed that draws what is held out, the same for every way and run."""

Pairs = list[tuple[str, str]]


def divided(found: Pairs, held_out: int = HELD_OUT) -> tuple[Pairs, Pairs]:
    """What is taught and what is held out, both in the file's order; a question that is asked twice is not held out."""
    times = Counter(asked for asked, _ in found)
    once = [place for place, (asked, _) in enumerate(found) if times[asked] == 1]
    kept = set(random.Random(DRAWN_BY).sample(once, held_out))
    return (
        [pair for place, pair in enumerate(found) if place not in kept],
        [pair for place, pair in enumerate(found) if place in kept],
    )


def spread(taught: Pairs, count: int) -> Pairs:
    """So many of them, evenly: the file has its subjects one after another."""
    return [taught[place * len(taught) // count] for place in range(count)] if count < len(taught) else taught


def faq(bench: Bench) -> dict[str, Any]:
    """Part ``faq``."""
    options, ways = bench.options, parse_ways(bench.options.faq_ways, "--faq-ways")
    taught, heldout = divided(pairs(bench.work))
    if options.sample:
        taught, heldout = spread(taught, 10 * options.sample), spread(heldout, options.sample)
    asked = write_pairs(bench.work / "faq-heldout.jsonl", heldout)
    data = write_pairs(bench.work / "faq-taught.jsonl", taught)
    recipe, modules = bench.recipe(len(taught))
    rows: list[dict[str, Any]] = [{"way": BASE}]
    adapters = [""]
    for seed in range(options.runs):
        seconds = 0.0
        for way, values in ways.items():
            _say(f"{LORA_CHAT}, {way}, seed {seed}")
            rows.append(_ours(bench, way, values, taught, data, seed))
            adapters.append(rows[-1].pop("adapter"))
            seconds = seconds or rows[-1]["wall_s"]
        for rate in _rates(options.trl_rates) if options.trl_python else ():
            _say(f"{TRL}, rate {rate:g}, seed {seed}, {seconds:.0f} s")
            settings = {"batch": recipe.batch, "rank": recipe.rank, "modules": modules, "seed": seed, "rate": rate,
                        "seconds": seconds, "saves": options.trl_saves, "began": time.time(),
                        "name": f"faq-trl-{seed}-{rate:g}"}  # fmt: skip
            into = {"folder": bench.folder, "data": str(data), "into": str(bench.work)}
            done = bench.worker("trl_timed", {**into, "settings": settings}, options.trl_python)
            for steps, spent, adapter in done["saved"]:
                rows.append({"way": f"{TRL} {rate:g}", "seed": seed, "wall_s": spent, "steps": steps,
                             "tokens_per_second": done["tokens_per_second"]})  # fmt: skip
                adapters.append(adapter)
    _say(f"{len(adapters)} adapters are asked for what was held out")
    for first in range(0, len(rows), AT_ONCE):
        some = {"data": str(asked), "adapters": adapters[first : first + AT_ONCE]}
        found = bench.worker("heldout_loss", {"folder": bench.folder, **some})
        for row, loss in zip(rows[first : first + AT_ONCE], found["losses"], strict=True):
            row["loss"] = loss
    return {
        "rows": rows,
        "taught": len(taught),
        "heldout": len(heldout),
        "tokens": found["tokens"],
        **best(rows, next(iter(ways))),
    }


def _ours(bench: Bench, way: str, values: list[str], taught: Pairs, data: Path, seed: int) -> dict[str, Any]:
    sets, count = told_apart(values, "--faq-ways")
    if count:
        some = spread(taught, count)
        data = write_pairs(bench.work / f"faq-taught-{count}.jsonl", some)
    words = [word for each in sets for word in ("--set", each)]
    done = train(bench, data, seed, "--name", f"faq-{seed}-{time.time_ns()}", *words)
    report = done["end"]["report"]
    curve = [[each["step"], round(each["heldout_loss"], 4)] for each in done["lines"] if each["event"] == "evaluated"]
    return {
        "way": f"{LORA_CHAT}, {way}", "sets": values, "seed": seed, "taught": count or len(taught),
        "adapter": done["end"]["path"], **{key: done[key] for key in ("wall_s", "train_s", "steps", "general_kl")},
        "tokens_per_second": round(report["tokens_per_second"], 1), "because": report["stopped_because"],
        "own_heldout": [report["heldout_loss_before"], report["heldout_loss_after"]], "own_curve": curve,
    }  # fmt: skip


def best(rows: list[dict[str, Any]], first: str) -> dict[str, Any]:
    """Of each seed, the loss of the ``first`` way, TRL's least of all rates and moments, and what comes of both."""
    ours, theirs = [], []
    for seed in sorted({row["seed"] for row in rows if "seed" in row}):
        mine = [row for row in rows if row.get("seed") == seed]
        ours += [row["loss"] for row in mine if row["way"] == f"{LORA_CHAT}, {first}"]
        if losses := [row["loss"] for row in mine if row["way"].startswith(TRL)]:
            theirs.append(min(losses))
    both = ratio(sum(ours), sum(theirs)) if len(ours) == len(theirs) else None
    return {"ours": ours, "trl_best": theirs, "loss_ratio": both}


def table(part: dict[str, Any]) -> Iterator[str]:
    """What is printed of it."""
    yield (
        f"{part['taught']} pairs taught, {part['heldout']} held out ({part['tokens']:,} tokens of answers): "
        "loss in nats a token"
    )
    yield f"{'':34} {'loss':>8} {'wall s':>8} {'steps':>6} {'tok/s':>7} {'far KL':>8}"
    for row in part["rows"]:
        name = f"{row['way']} #{row['seed']}" if "seed" in row else row["way"]
        is_best = row["way"].startswith(TRL) and row["loss"] in part["trl_best"]
        yield (
            f"{name:34} {row['loss']:>8.4f} {shown(row.get('wall_s')):>8} {row.get('steps', '-'):>6} "
            f"{shown(row.get('tokens_per_second')):>7} {shown(row.get('general_kl'), 4):>8}"
            f"{'  TRL’s best' if is_best else ''}"
        )
    yield f"loss held out, {LORA_CHAT} / {TRL}'s best in the same time: {shown(part['loss_ratio'], 3)}; reach 1.0"


def _rates(text: str) -> list[float]:
    return [float(each) for each in text.split(",")]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
