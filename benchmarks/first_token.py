"""How long the first token of a turn takes when much was said before: lora-chat beside transformers and llama.cpp.

    python benchmarks/first_token.py [--out first_token.json] [--runs 5] [--llama-python PATH] [--work DIR] [--bare]

For about 100 and about 2,000 tokens of context, in a fresh process each: turn N-1 is asked and answered ("cold": the
whole context is new), then turn N with a message of some 20 tokens ("turn N"), then turn N again ("retry"), then
another conversation of the same length ("other"), then turn N+1 of the first one ("return"). transformers re-reads
everything each time, as `generate` does when nobody keeps its cache; llama-cpp-python keeps the last prompt's keys and
values. "cached" is how many of turn N's prompt tokens were not computed again. All wear an adapter of rank 8 on every
linear module, or none with --bare. A first round is not counted, as in decode.py.

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trial
from peers import Peer, Prompt, Reply, Subject, load_subject, open_peer, prompt_from
from shapes import SHAPES, encoded, prepare
from trial import Row, median, ratio, shown

if TYPE_CHECKING:
    from lora_chat.models.prompt import PromptFormat

CONTEXTS = (100, 2000)
REPLY_TOKENS = 16
WINDOW = 4096
EVENTS = ("cold", "turn N", "retry", "other", "return")

NEXT = "Thank you, that helps. And what would you tell a friend who wants to start with it tomorrow morning?"
AFTER = "Good. Now say the most important part again, in one short sentence that a child would understand."
SAID = (
    ("How do I keep a small garden alive in a dry summer?", "Water early in the morning, cover the soil with straw."),
    ("What should I cook when six friends come on Friday?", "A big pot of vegetable soup, fresh bread and apple pie."),
    ("Which tools do I need to repair an old bicycle?", "Two tyre levers, a pump, a patch kit and a few spanners."),
    ("How can I learn a new language without a teacher?", "Read a little every day and speak aloud to yourself."),
    ("What is a good plan for a week by the sea?", "Walk in the morning, swim at noon and read when it rains."),
)
ASKED = "Which of all these things would you begin with, and why?"


@dataclass(frozen=True)
class Talk:
    """One conversation of a given length, from turn N-1 on."""

    opening: Prompt
    """Up to and with the question of turn N-1."""
    next_ids: tuple[int, ...]
    """What lies between the ids of that answer and those of the next one when ``NEXT`` is asked."""
    after_ids: tuple[int, ...]
    """The same of ``AFTER``."""


def write_talks(form: PromptFormat, context: int, file: Path) -> None:
    """Two conversations that share nothing but the template's beginning."""
    talks = [_talk(form, context, name) for name in ("Ada, who answers briefly", "a patient guide named Boris")]
    file.write_text(json.dumps([asdict(talk) for talk in talks]), encoding="utf-8")


def _talk(form: PromptFormat, context: int, who: str) -> Talk:
    opening = _opening(form, context, who)
    return Talk(opening, _between(form, opening, NEXT), _between(form, opening, AFTER))


def _opening(form: PromptFormat, context: int, who: str) -> Prompt:
    """Turns said until, with the answer to come, nearly ``context`` tokens are reached; at least one."""
    messages: tuple[tuple[str, str], ...] = (("system", f"You are {who}."),)
    count = 0
    while True:
        question, answer = SAID[count % len(SAID)]
        longer = (*messages, ("user", question), ("assistant", f"{answer} That is tip {count + 1}."))
        found = encoded(form, (*longer, ("user", ASKED)))
        if count and len(found.ids) + REPLY_TOKENS > context:
            return encoded(form, (*messages, ("user", ASKED)))
        messages, count = longer, count + 1


def _between(form: PromptFormat, before: Prompt, text: str) -> tuple[int, ...]:
    """Ids after an answer's: its end of turn, the message ``text``, and the beginning of the answer to it."""
    whole = encoded(form, (*before.messages, ("assistant", ""), ("user", text))).ids
    assert whole[: len(before.ids)] == before.ids, "the template rewrites earlier turns"
    return whole[len(before.ids) :]


def load_talks(file: Path) -> list[Talk]:
    """What ``write_talks`` wrote."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return [Talk(prompt_from(each["opening"]), tuple(each["next_ids"]), tuple(each["after_ids"])) for each in found]


def worker(options: argparse.Namespace) -> None:
    """One fresh process: load, play the five events, say how long each first token took."""
    subject = load_subject(options.job)
    peer = open_peer(options.worker, subject, options.precision, worn=options.worn, window=WINDOW)
    talk, other = load_talks(options.talks)
    events = dict(zip(EVENTS, play(peer, subject, talk, other), strict=True))
    trial.report({"events": {name: _figures(reply) for name, reply in events.items()}, "about": peer.about})


def play(peer: Peer, subject: Subject, talk: Talk, other: Talk) -> Sequence[Reply]:
    """The replies of the five events."""
    cold = peer.reply(talk.opening, REPLY_TOKENS)
    turn = talk.opening.then(cold, NEXT, talk.next_ids, subject.end_ids)
    first = peer.reply(turn, REPLY_TOKENS)
    retry = peer.reply(turn, REPLY_TOKENS)
    elsewhere = peer.reply(other.opening, REPLY_TOKENS)
    back = peer.reply(turn.then(retry, AFTER, talk.after_ids, subject.end_ids), REPLY_TOKENS)
    return cold, first, retry, elsewhere, back


def _figures(reply: Reply) -> dict[str, Any]:
    return {
        "first_ms": round(reply.first_ms, 2),
        "prompt_tokens": reply.prompt_tokens,
        "cached_tokens": reply.cached_tokens,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every peer at both lengths."""
    from lora_chat.models.prompt import load_prompt_format

    lines: list[dict[str, Any]] = []
    busy = 0.0
    with trial.work_folder(options) as work:
        subject = prepare(options.shape, work, options.gguf)
        job = work / f"{options.shape}.json"
        subject.save(job)
        form = load_prompt_format(Path(subject.folder))
        rows = trial.rows(options, worn=(not options.bare,))
        for context in CONTEXTS:
            talks = work / f"talks-{context}.json"
            write_talks(form, context, talks)
            runs = trial.run_rounds(__file__, rows, job, options, ("--talks", str(talks)))
            busy = max(busy, trial.busiest(runs))
            lines += [summarise(row, context, found) for row, found in runs.items()]
    return {
        "benchmark": "first_token",
        "shape": options.shape,
        "adapter": not options.bare,
        "machine": trial.machine(),
        "versions": trial.versions(),
        "rounds": options.runs,
        "busy_elsewhere": busy,
        "rows": lines,
        "ratios": ratios(lines),
    }


def summarise(row: Row, context: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of one row."""
    line: dict[str, Any] = {"peer": row.kind, "precision": row.precision, "context": context}
    if any("skipped" in run for run in runs):
        return line | {"skipped": runs[-1]["skipped"]}
    runs = runs[1:]
    events = {}
    for name in EVENTS:
        each = [run["events"][name] for run in runs]
        events[name] = each[-1] | {"first_ms": median(each, "first_ms"), "runs": [one["first_ms"] for one in each]}
    return line | {"events": events, "peak_mb": median(runs, "peak_mb"), "about": runs[-1]["about"]}


def ratios(lines: list[dict[str, Any]]) -> dict[str, float | None]:
    """Turn N, a retry and a return with much context over little, for each program."""
    at = {
        (f"{line['peer']} {line['precision']}", line["context"]): line["events"] for line in lines if "events" in line
    }
    short, long = CONTEXTS
    return {
        f"{name}: {event}, {long} / {short}": ratio(at[name, long][event]["first_ms"], events[event]["first_ms"])
        for (name, context), events in at.items()
        if context == short and (name, long) in at
        for event in ("turn N", "retry", "return")
    }


def show(result: dict[str, Any]) -> None:
    """As a table."""
    lines = [
        *trial.heading(result),
        f"{result['shape']}, {'wearing an adapter' if result['adapter'] else 'bare'}: ms to the first token; "
        f"median of {result['rounds']}",
        f"{'':18} {'context':>7} {'cold':>8} {'turn N':>8} {'prompt':>7} {'cached':>7} {'retry':>8} {'return':>8} "
        f"{'cached':>7} {'peak MB':>8}",
        *(_line(row) for row in result["rows"]),
        trial.busy_line(result),
        *(f"{name:52} {shown(value, 2)}" for name, value in result["ratios"].items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _line(row: dict[str, Any]) -> str:
    head = f"{row['peer'] + ' ' + row['precision']:18} {row['context']:>7} "
    if "skipped" in row:
        return f"{head} {row['skipped']}"
    events = row["events"]
    cold, turn, retry, back = (f"{events[name]['first_ms']:>8,.0f}" for name in ("cold", "turn N", "retry", "return"))
    return (
        f"{head}{cold} {turn} {events['turn N']['prompt_tokens']:>7} {events['turn N']['cached_tokens']:>7} "
        f"{retry} {back} {events['return']['cached_tokens']:>7} {row['peak_mb']:>8,.0f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trial.add_options(parser, SHAPES)
    parser.add_argument("--bare", action="store_true", help="wear no adapter")
    parser.add_argument("--talks", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    trial.keep(result := measure(options), options.out)
    show(result)


if __name__ == "__main__":
    main()
