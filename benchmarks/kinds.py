"""What a small base can and cannot learn from twenty corrections: seven kinds of them, each trained and asked.

    python benchmarks/kinds.py [--only "fact,many facts,manner,form,sorting,sum,unlearn"] [--runs 1] [--out kinds.json]
                               [--set max_steps=2] [--sample 2]

fact        five invented facts in four wordings each; asked in others.
many facts  twenty invented facts in one wording each; each asked in one other: how many fit.
manner      one short sentence, and one fixed sentence at the end, whatever the question; new questions.
form        a JSON object of two fixed keys, whatever the question; new questions. It must parse; nobody looks at what
            it says.
sorting     one of three labels for a message; new messages. "one label always" is what needs no learning.
sum         a price with 25 % tax; new prices.
unlearn     five capitals that the base knows replaced, in four wordings each; asked in others. "neighbours" are five
            other capitals that it knows, and which must have stayed right.

Each kind is learnt by `lora-chat train` in the default recipe, and everything is asked by `lora-chat ask --batch`,
greedily: the twenty prompts themselves ("said as taught": letter by letter) and the new ones ("right when new"), with
the adapter on, of the base alone, and of the base with the twenty as earlier turns of the conversation. The count
before an interval is of prompts, the interval Wilson's of 95 %. Each run has a seed of its own and is a row of its own.
"train s" is the training, "wall s" the command from its start to its exit: it examines what it trained, and the first
of a work folder also makes the base's answers to the general questions. Everything happens in a home of its own that
shares the base's files (`lora-chat model pull smollm2-135m` first).

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import learn_peers
import trial
from bench import Bench, make_parser, measure, parse
from kind_sets import KINDS, always_one, count, lessons, questions, right, said
from learn_sets import Rows, examples_before
from lessons import write_pairs
from trial import shown

LORA_CHAT, PROMPT, BASE = "lora-chat", "examples in the prompt", "base"
ANSWER_TOKENS = 48
COLUMNS = ("taught", "asked", "neighbours")


def learn(bench: Bench, kind: str) -> dict[str, Any]:
    """One kind: a row of each seed, of the base alone, and of the base that is shown the twenty."""
    taught = lessons(kind)
    data = write_pairs(bench.work / "kind.jsonl", [(row["prompt"], row["response"]) for row in taught])
    rows = []
    for seed in range(bench.options.runs):
        _say(f"{kind}: {LORA_CHAT}, seed {seed}")
        name = f"kind-{seed}-{time.time_ns()}"
        values = [word for each in bench.options.set for word in ("--set", each)]
        done = bench.lora_chat("train", data, "--name", name, "--seed", seed, "--json", "--yes", *values)
        report = done["lines"][-1]["report"]
        times = {"wall_s": done["wall_s"], "train_s": round(report["seconds"], 2), "steps": report["steps"]}
        rows.append({"way": LORA_CHAT, "seed": seed, **times, **exam(bench, kind, name)})
    for way, before in ((PROMPT, taught), (BASE, [])):
        _say(f"{kind}: {way}")
        rows.append({"way": way, **exam(bench, kind, before=before)})
    return {"rows": rows, "one_label": always_one(questions(kind)["asked"])}


def exam(bench: Bench, kind: str, adapter: str = "", before: Rows | None = None) -> dict[str, Any]:
    """Everything that ``kind`` asks, with ``adapter`` on or none, and perhaps with examples before: counts, answers."""
    every = {"taught": lessons(kind), **questions(kind)}
    sets = {name: rows[: bench.options.sample or None] for name, rows in every.items()}
    path = bench.work / "kind-asked.jsonl"
    prompts = [row["prompt"] for rows in sets.values() for row in rows]
    lines = [json.dumps({"messages": examples_before(before or [], prompt)}) for prompt in prompts]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    done = bench.lora_chat(
        "ask", "--batch", path, "-a", adapter, "-t", "0", "--max-tokens", ANSWER_TOKENS, "--no-save", "--json"
    )  # fmt: skip
    answers = iter([line["text"] for line in done["lines"]])
    found = {}
    for name, rows in sets.items():
        judge = said if name == "taught" else right
        judged = [(row["prompt"], answer := next(answers), judge(row, answer)) for row in rows]
        found[name] = {
            **count([hit for _, _, hit in judged]),
            "answers": [{"prompt": prompt, "answer": answer, "hit": hit} for prompt, answer, hit in judged],
        }
    return found


def table(result: dict[str, Any]) -> Iterator[str]:
    """What is printed."""
    yield from trial.heading(result)
    if result["set"]:
        yield f"not the default recipe: {', '.join(result['set'])}"
    yield (
        f"{'':36} {'said as taught':>20} {'right when new':>20} {'neighbours right':>20} {'wall s':>7} {'train s':>7} "
        f"{'steps':>5}"
    )
    for kind in (kind for kind in KINDS if kind in result):
        for row in result[kind]["rows"]:
            yield _line(kind, row)
        if one := result[kind]["one_label"]:
            yield f"{f'{kind}, one label always':36} {'-':>20} {_share(one):>20}"
    yield trial.busy_line(result)


def _line(kind: str, row: dict[str, Any]) -> str:
    name = f"{kind}, {row['way']}" + (f" #{row['seed']}" if "seed" in row else "")
    shares = " ".join(f"{_share(row[column]) if column in row else '-':>20}" for column in COLUMNS)
    return f"{name:36} {shares} {shown(row.get('wall_s')):>7} {shown(row.get('train_s')):>7} {row.get('steps', '-'):>5}"


def _share(found: dict[str, Any]) -> str:
    """As ``17/20 85% (64-95)``."""
    hits, of = found["hits"], found["of"]
    return f"{hits}/{of} {hits / of:.0%} ({100 * found['low']:.0f}-{100 * found['high']:.0f})"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {kind: partial(learn, kind=kind) for kind in KINDS}


def main() -> None:
    """Measure, print, write."""
    parser = make_parser(__doc__, only=",".join(KINDS), runs=1, each="seeds, each a row of its own")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of `train`, for trying it")
    parser.add_argument("--sample", type=int, default=0, help="the first so many prompts of each set, for trying it")
    options = parse(parser, learn_peers)
    if unknown := set(options.only.split(",")) - set(PARTS):
        raise SystemExit(f"--only: there is no kind {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.")
    measure(__file__, options, PARTS, table, set=options.set, sample=options.sample)


if __name__ == "__main__":
    main()
