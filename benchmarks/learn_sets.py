"""What was taught and what is asked then. Owns reading the sets in ``learn/`` and judging one answer; asks nothing.

``taught``       24 corrections: five facts about a small bookshop, each in four wordings, and one manner in four
                 complaints. No base can know the facts: the shop is invented.
``paraphrases``  the same questions in other words, and other complaints: an answer must hold all of ``must``.
``near``         questions that look alike and are others: an answer that holds any of ``must_not`` is a false fire.
``far``          everyday questions about everything else, none of which is rehearsed or measured by a training.

``ferry/`` holds the first three about a ferry company, written by somebody who had not seen how a training works, after
the recipe was chosen on the bookshop's: they say whether it was chosen for the bookshop alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "learn"
ASKED = ("paraphrases", "near", "far")
SUBJECTS = ("shop", "ferry")
_STRAIGHT = str.maketrans("‘’“”–—\u00a0", "''\"\"-- ")

Rows = list[dict[str, Any]]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share. Imported here, as peers' interpreters read this file too."""
    from lora_chat.training.proof import share

    return share.wilson(hits, of)


def read(name: str, sample: int = 0, subject: str = SUBJECTS[0]) -> Rows:
    """The rows of one set; with ``sample`` that many, spread evenly. The far ones are the same for each ``subject``."""
    if subject == SUBJECTS[0] or name == "far":
        rows = _rows(FOLDER / f"{name}.jsonl")
    else:
        rows = _rows(FOLDER / subject / f"{name}.jsonl")
    if subject != SUBJECTS[0] and name == "far":  # what must not be said there was taught
        taught = _rows(FOLDER / subject / "near.jsonl")[0]["must_not"]
        rows = [row | {"must_not": taught} for row in rows]
    if not 0 < sample < len(rows):
        return rows
    return [rows[index * len(rows) // sample] for index in range(sample)]


def _rows(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def holds(answer: str, words: str) -> bool:
    """Whether ``words`` stand in ``answer`` as whole words, whatever their case, quotes, dashes and line breaks."""
    return re.search(rf"(?<!\w){re.escape(_plain(words))}(?!\w)", _plain(answer)) is not None


def hit(row: dict[str, Any], answer: str) -> bool:
    """Whether ``answer`` is what ``row`` counts: right for a paraphrase, a false fire for any other."""
    if "must" in row:
        return all(holds(answer, words) for words in row["must"])
    return any(holds(answer, words) for words in row["must_not"])


def judge(rows: Rows, answers: list[str]) -> dict[str, Any]:
    """Hits with their 95 % interval, hits of each thing asked about, and each answer."""
    hits = [hit(row, answer) for row, answer in zip(rows, answers, strict=True)]
    low, high = wilson(sum(hits), len(hits))
    return {
        "hits": sum(hits), "of": len(hits), "low": round(low, 4), "high": round(high, 4), "about": _about(rows, hits),
        "answers": [
            {"prompt": row["prompt"], "answer": answer, "hit": is_hit}
            for row, answer, is_hit in zip(rows, answers, hits, strict=True)
        ],
    }  # fmt: skip


def examples_before(rows: Rows, prompt: str) -> list[dict[str, str]]:
    """``rows`` as earlier turns of the conversation in which ``prompt`` is asked."""
    turns = [
        turn
        for row in rows
        for turn in ({"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]})
    ]
    return [*turns, {"role": "user", "content": prompt}]


def _about(rows: Rows, hits: Iterable[bool]) -> dict[str, list[int]]:
    all_of = Counter(row.get("about", "") for row in rows)
    found = Counter(row.get("about", "") for row, is_hit in zip(rows, hits, strict=True) if is_hit)
    return {about: [found[about], count] for about, count in all_of.items() if about}


def _plain(text: str) -> str:
    return " ".join(text.translate(_STRAIGHT).casefold().split())
