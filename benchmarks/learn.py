"""What 24 corrections teach, and what they break: lora-chat beside TRL's SFTTrainer and the base that is shown them.

    python benchmarks/learn.py [--only teach,curve,grow,faq] [--runs 1] [--out learn.json] [--trl-python PATH]
                               [--sample 12] [--subject ferry]
                               [--ways "as it is: ; rank 16: rank=16 alpha=16; six: data=6"]
                               [--grow-wear] [--grow-sets "a=b c=d"] [--faq-ways "as it is: ; no replay: rehearsed=0"]

teach   five facts and one manner by `lora-chat train`, seen from outside, then every prompt of `learn/` by
        `lora-chat ask --batch`, greedily: recall on paraphrases, false fires on near misses and on far prompts, each
        with its 95 % interval, and KL(base ‖ adapted) per token of the base's own answers to the far prompts.
        TRL learns the same rows on the completion alone (rank, target modules and batch of lora-chat's recipe, rate
        2e-4), anew with 1x, 2x, 4x … of lora-chat's steps until it recalls as much, so that the distance is compared at
        equal recall; its adapter is installed and asked the same way. "examples in the prompt" is the base with the 24
        as earlier turns of each conversation.
        All of it is about a bookshop; `--subject ferry` takes `learn/ferry/`, on which no recipe was chosen.
curve   the same figures of lora-chat for each way of `--ways`: a name, values for `train --set`, and `data=12` for so
        many of the 24, taken in turns from all that they are about. Without it data, rank, steps and replay, each less
        and more than it is.
grow    five rounds of `learn/growth.jsonl`: a first training, then four `train FILE --continue NAME`. The file is all
        that was corrected until then, so that what a rejected version was to learn is learnt again with the next round,
        as `from-history` does it. After each round every correction so far is asked of the version worn and, where
        another was kept beside it, of that too: to the letter, as the product's checks. By the product's rule a version
        that lost a check is not worn and the next round starts from the one before; with `--grow-wear` it is worn all
        the same.
faq     400 pairs of `zaragoza-construction-faq` taught and 103 held out, drawn once: loss in nats per token of the
        answers held out, end of turn included, by transformers and PEFT in fp32 for all alike. Each way of
        `--faq-ways` (`data=200` too, spread evenly) by `lora-chat train`; TRL as above at each rate of `--trl-rates`
        for as many seconds as the first way took from its start to its exit, saved eight times: its best of all these
        is compared.

Each run has a seed of its own and is a row of its own. "wall s" is the training command from its start to its exit,
which for the first of a new work folder holds making the base's general answers. TRL needs an interpreter that has it:
`--trl-python`. Everything happens in a home of its own that shares the base's files (`lora-chat model pull
smollm2-135m` first).

Owns these tables; never runs two programs at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import learn_faq
import learn_grow
import learn_peers
import trial
from bench import Bench, make_parser, measure, parse
from learn_room import Classroom
from learn_sets import ASKED, SUBJECTS
from learn_ways import CURVE, parse_ways
from trial import median, ratio, shown

LORA_CHAT, TRL, PROMPT, BASE = "lora-chat", "TRL", "examples in the prompt", "base"
GROWTH = 2
"""Between one number of TRL's steps and the next."""


def teach(bench: Bench) -> dict[str, Any]:
    """Part ``teach``."""
    room, rows, tried = Classroom(bench), [], []
    for seed in range(bench.options.runs):
        _say(f"{LORA_CHAT}, seed {seed}")
        rows.append(ours := room.lesson(LORA_CHAT, seed))
        if bench.options.trl_python:
            peers = list(_until_equal(room, seed, ours))
            rows.append(_finished(room, _nearest(peers, ours)))
            tried += [{key: value for key, value in each.items() if key != "adapter"} for each in peers]
    for way, before in ((PROMPT, room.taught), (BASE, None)):
        _say(way)
        distance = room.distance(before=before) if before else None
        rows.append({"way": way, "kl": distance, **room.exam("", *ASKED, before=before)})
    own = [row for row in rows if row["way"] == LORA_CHAT]
    equal = [row for row in rows if row["way"] == TRL and row["reached"]]
    return {
        "rows": rows,
        "tried": tried,
        "kl_ratio": ratio(median(own, "kl"), median(equal, "kl")) if len(equal) == len(own) else None,
    }


def _until_equal(room: Classroom, seed: int, ours: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """TRL with more and more steps, each from the start, until it recalls as much as ``ours`` or has had its budget."""
    options, steps = room.bench.options, ours["steps"]
    recipe, modules = room.bench.recipe(len(room.taught))
    while True:
        _say(f"{TRL}, seed {seed}, {steps} steps")
        name = f"trl-{seed}-{steps}-{time.time_ns()}"
        adapter = room.bench.work / "trl" / name
        settings = {"steps": steps, "batch": recipe.batch, "rank": recipe.rank, "modules": modules, "seed": seed,
                    "adapter": str(adapter)}  # fmt: skip
        into = {"folder": room.bench.folder, "data": str(room.data), "into": str(room.bench.work)}
        done = room.bench.worker("trl", {**into, "settings": settings}, options.trl_python)
        room.bench.lora_chat("adapter", "install", adapter, "--name", name, "--yes")
        found = room.exam(name, "paraphrases")
        reached = found["paraphrases"]["hits"] >= ours["paraphrases"]["hits"]
        yield {"way": TRL, "seed": seed, "wall_s": done["wall_s"], "train_s": done["train_s"], "steps": steps,
               "reached": reached, "adapter": str(adapter), **found}  # fmt: skip
        steps *= GROWTH
        if reached or steps > options.trl_steps:
            return


def _nearest(peers: list[dict[str, Any]], ours: dict[str, Any]) -> dict[str, Any]:
    """The one that recalls as much, or the one that recalls most; of two alike, that with fewer steps."""
    return next((each for each in peers if each["reached"]), max(peers, key=lambda each: each["paraphrases"]["hits"]))


def _finished(room: Classroom, row: dict[str, Any]) -> dict[str, Any]:
    adapter = Path(row["adapter"])
    rest = {key: value for key, value in row.items() if key != "adapter"}
    return {**rest, "kl": room.distance(adapter=str(adapter)), **room.exam(adapter.name, "near", "far")}


def curve(bench: Bench) -> dict[str, Any]:
    """Part ``curve``."""
    room, rows = Classroom(bench), []
    for seed in range(bench.options.runs):
        for way, sets in parse_ways(bench.options.ways).items():
            _say(f"{way}, seed {seed}")
            rows.append({"sets": sets, **room.lesson(way, seed, *sets)})
    return {"rows": rows}


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "teach": teach,
    "curve": curve,
    "grow": learn_grow.grow,
    "faq": learn_faq.faq,
}


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield from trial.heading(result)
    for part in (result[name] for name in ("teach", "curve") if name in result):
        yield (
            f"{'':24} {'recall':>22} {'fires, near':>22} {'fires, far':>22} {'KL/token':>9} {'wall s':>7} "
            f"{'train s':>7} {'steps':>5}"
        )
        for row in part["rows"]:
            yield _line(row)
        for row in part["rows"]:
            yield f"{_name(row):24} recalls {_each(row['paraphrases'])}; fires near {_each(row['near'])}"
    if part := result.get("teach"):
        yield "reach: recall 80 %, false fires 5 % near and 1 % far"
        yield f"KL per token, {LORA_CHAT} / {TRL} at equal recall: {shown(part['kl_ratio'], 3)}; reach 0.5"
        for row in part["rows"]:
            if not row.get("reached", True):
                yield f"{_name(row)} did not recall as much within its budget: its best is shown"
    if part := result.get("grow"):
        yield from learn_grow.table(part)
    if part := result.get("faq"):
        yield from learn_faq.table(part)
    yield trial.busy_line(result)


def _line(row: dict[str, Any]) -> str:
    shares = " ".join(f"{_share(row[name]):>22}" for name in ASKED)
    times = f"{shown(row.get('wall_s')):>7} {shown(row.get('train_s')):>7} {row.get('steps', '-'):>5}"
    return f"{_name(row):24} {shares} {shown(row['kl'], 4):>9} {times}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['way']} #{row['seed']}" if "seed" in row else str(row["way"])


def _share(found: dict[str, Any]) -> str:
    """As ``112/141 79% (72-85)``."""
    hits, of = found["hits"], found["of"]
    return f"{hits}/{of} {hits / of:.0%} ({100 * found['low']:.0f}-{100 * found['high']:.0f})"


def _each(found: dict[str, Any]) -> str:
    return ", ".join(f"{about} {hits}/{of}" for about, (hits, of) in found["about"].items())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Measure, print, write."""
    parser = make_parser(__doc__, only="teach", runs=1, each="seeds, each a row of its own")
    parser.add_argument("--ways", default=CURVE, help='of curve: "name: rank=16 alpha=16; name2: data=12"')
    parser.add_argument("--faq-ways", default="as it is:", help="of faq, as --ways; the first one's time is TRL's too")
    parser.add_argument("--grow-wear", action="store_true", help="wear in grow each version, also one that lost checks")
    parser.add_argument("--grow-sets", default="", help='of each training in grow: "a=b c=d"')
    parser.add_argument("--trl-rates", default="2e-4,1e-3", help="of TRL in faq, separated by commas")
    parser.add_argument("--trl-saves", type=int, default=8, help="moments at which TRL's adapter is measured in faq")
    parser.add_argument("--sample", type=int, default=0, help="prompts of each set, spread evenly, for trying it")
    parser.add_argument("--subject", choices=SUBJECTS, default=SUBJECTS[0], help="of what is taught in teach and curve")
    parser.add_argument("--trl-steps", type=int, default=800, help="the most steps that TRL may take for equal recall")
    options = parse(parser, learn_peers)
    options.ways = options.ways or CURVE
    parse_ways(options.ways)  # says what is wrong before anything is run
    parse_ways(options.faq_ways, "--faq-ways")
    measure(__file__, options, PARTS, table, sample=options.sample, subject=options.subject)


if __name__ == "__main__":
    main()
