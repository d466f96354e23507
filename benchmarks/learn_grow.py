"""Part ``grow``: what is still known of the first round after four more. Owns its rounds, its counts and its table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from bench import Bench
from learn_room import answers, asked_and_said, train
from learn_sets import Rows, hit, read, wilson
from lessons import write_pairs
from trial import shown

REACH = 0.9


def grow(bench: Bench) -> dict[str, Any]:
    """Part ``grow``."""
    taught = read("growth")
    if bench.options.sample:
        taught = few(taught, bench.options.sample)
    rows = [row for seed in range(bench.options.runs) for row in _rounds(bench, taught, seed)]
    last = [row for row in rows if row["round"] == taught[-1]["round"]]
    held, of = (sum(row["worn"]["rounds"][0][place] for row in last) for place in (0, 1))
    low, high = wilson(held, of)
    return {
        "rows": rows, "wears_all": bench.options.grow_wear, "sets": bench.options.grow_sets.split(),
        "first_held": held, "first_of": of, "low": round(low, 4), "high": round(high, 4),
    }  # fmt: skip


def few(taught: Rows, count: int) -> Rows:
    """The first ``count`` rows of each round."""
    rounds = sorted({row["round"] for row in taught})
    return [row for number in rounds for row in [each for each in taught if each["round"] == number][:count]]


def _rounds(bench: Bench, taught: Rows, seed: int) -> Iterator[dict[str, Any]]:
    """One row for each round, each from the version that is worn by then."""
    name, worn = f"growth-{seed}-{time.time_ns()}", ""
    words = [word for each in bench.options.grow_sets.split() for word in ("--set", each)]
    for number in sorted({row["round"] for row in taught}):
        sys.stderr.write(f"round {number}, seed {seed}\n")
        so_far = [row for row in taught if row["round"] <= number]
        data = write_pairs(bench.work / f"growth-{number}.jsonl", asked_and_said(so_far))
        done = train(bench, data, seed, "--continue" if worn else "--name", name, *words)
        end, made = done["end"], done["end"]["version"]
        row = {
            "round": number, "seed": seed, "version": made, "from": worn, "kept": end["kept"], **_learnt(done["lines"]),
            **{key: done[key] for key in ("wall_s", "train_s", "steps", "general_kl")},
            "because": end["report"]["stopped_because"], "checks": _checks(end["checks"]),
        }  # fmt: skip
        beside = bool(end["kept"])
        if beside:  # what it would have been, had the person worn it
            bench.lora_chat("adapter", "rollback", name, "--to", made, "--yes")
            row["rejected"] = judged(so_far, answers(bench, name, so_far))
            if not bench.options.grow_wear:
                bench.lora_chat("adapter", "rollback", name, "--to", worn, "--yes")
        if not beside or bench.options.grow_wear:
            worn = made
        found = row["rejected"] if beside and bench.options.grow_wear else None
        row |= {"worn_version": worn, "worn": found or judged(so_far, answers(bench, name, so_far))}
        yield row


def judged(rows: Rows, said: list[str]) -> dict[str, Any]:
    """How many of each round hold: ``rounds`` to the letter, but for white space, as the product's checks do, ``say``
    with what the answer must hold; both as [held, of]."""
    numbers = sorted({row["round"] for row in rows})
    both = list(zip(rows, said, strict=True))
    exact = [(row["round"], answer.split() == row["response"].split()) for row, answer in both]
    says = [(row["round"], hit({"must": row["must"]}, answer)) for row, answer in both]
    return {
        "rounds": [_counted(exact, number) for number in numbers],
        "say": [_counted(says, number) for number in numbers],
        "held": sum(held for _, held in exact),
        "of": len(rows),
        "wrong": [
            {"round": row["round"], "prompt": row["prompt"], "taught": row["response"], "answer": answer}
            for (row, answer), (_, held) in zip(both, exact, strict=True)
            if not held
        ],
    }


def _counted(found: list[tuple[int, bool]], number: int) -> list[int]:
    mine = [held for each, held in found if each == number]
    return [sum(mine), len(mine)]


def _learnt(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """How much was learnt: what is new, what was learnt before and is replayed, what of both was held out."""
    ready = next(line for line in lines if line["event"] == "dataset")
    replayed = ready.get("replayed", 0)
    return {
        "new": ready["conversations"] - replayed, "replayed": replayed, "heldout": ready["recipe"]["heldout"],
        "rehearsal_weight": ready["recipe"]["rehearsal_weight"],
    }  # fmt: skip


def _checks(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the product itself said of this version."""
    if found is None:
        return None
    lost = [each["question"] for each in found["lost"]]
    return {"held": found["held"], "of": found["of"], "unasked": found["unasked"], "lost": lost}


def table(part: dict[str, Any]) -> Iterator[str]:
    """What is printed of it."""
    yield (
        f"{'growth':12} {'made':>6} {'worn':>6} {'first round':>12} {'all rounds':>11} {'of each round':>24} "
        f"{'says':>6} {'new':>4} {'again':>5} {'out':>4} {'steps':>5} {'wall s':>7}"
    )
    for row in part["rows"]:
        worn = row["worn"]
        yield (
            f"{_name(row):12} {row['version']:>6} {row['worn_version']:>6} {_of(worn['rounds'][0]):>12} "
            f"{_of([worn['held'], worn['of']]):>11} {' '.join(map(_of, worn['rounds'])):>24} "
            f"{_of(_sum(worn['say'])):>6} {row['new']:>4} {row['replayed']:>5} {row['heldout']:>4} {row['steps']:>5} "
            f"{shown(row['wall_s']):>7}"
        )
    for row in part["rows"]:
        if "rejected" in row:
            other = row["rejected"]
            yield (
                f"{_name(row)}: {row['version']} was not worn by itself: {row['kept']} It holds "
                f"{_of(other['rounds'][0])} of the first round, {_of([other['held'], other['of']])} of all. "
                + ("It was worn all the same." if part["wears_all"] else f"{row['worn_version']} stays on.")
            )
    share = part["first_held"] / part["first_of"] if part["first_of"] else 0.0
    yield (
        f"of the first round {part['first_held']}/{part['first_of']} hold at the end, {share:.0%} "
        f"({100 * part['low']:.0f}-{100 * part['high']:.0f}); reach {REACH:.0%}"
    )


def _name(row: dict[str, Any]) -> str:
    return f"round {row['round']} #{row['seed']}"


def _of(found: list[int]) -> str:
    return f"{found[0]}/{found[1]}"


def _sum(found: list[list[int]]) -> list[int]:
    return [sum(each[0] for each in found), sum(each[1] for each in found)]
