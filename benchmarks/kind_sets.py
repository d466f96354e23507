"""What each kind of twenty corrections teaches and is asked. Owns reading and judging ``learn/kinds.jsonl`` by rule.

Asks nothing; never trains. A row with ``taught`` is a prompt with its response. Any other is asked afterwards: its
answer must hold all of ``must`` and nothing of ``must_not``, as whole words, and one more ``judge`` may look at it:

``json``    it is a JSON object whose keys are ``must``, each with some text; nothing may stand around it.
``end``     it ends with ``must``.
``number``  the last number in it is ``must``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from learn_sets import Rows, holds, read, wilson

KINDS = ("fact", "many facts", "manner", "form", "sorting", "sum", "unlearn")
NEIGHBOUR = "neighbour"
"""What a row is about that asks for something else which must have stayed as it was."""
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def lessons(kind: str) -> Rows:
    """The rows that are taught."""
    return [row for row in read("kinds") if row["kind"] == kind and row.get("taught")]


def questions(kind: str) -> dict[str, Rows]:
    """The rows that are asked: those which show that it was learnt, and the neighbours, where there are any."""
    asked = [row for row in read("kinds") if row["kind"] == kind and not row.get("taught")]
    found = {
        "asked": [row for row in asked if row.get("about") != NEIGHBOUR],
        "neighbours": [row for row in asked if row.get("about") == NEIGHBOUR],
    }
    return {name: rows for name, rows in found.items() if rows}


def right(row: dict[str, Any], answer: str) -> bool:
    """Whether ``answer`` is what ``row`` asks for, by its own rule."""
    rule, must = row.get("judge", "words"), row["must"]
    if any(holds(answer, words) for words in row["must_not"]):
        return False
    if rule == "json":
        return _is_object(answer, must)
    if rule == "end":
        return all(holds(answer, words) and answer.strip().endswith(words) for words in must)
    if rule == "number":
        return [_last_number(answer)] == [float(each) for each in must]
    return all(holds(answer, words) for words in must)


def said(row: dict[str, Any], answer: str) -> bool:
    """Whether ``answer`` is the one that was taught, letter by letter; spaces and line breaks count as one space."""
    return answer.split() == str(row["response"]).split()


def count(hits: list[bool]) -> dict[str, Any]:
    """How many of them, with the 95 % interval of their share."""
    low, high = wilson(sum(hits), len(hits))
    return {"hits": sum(hits), "of": len(hits), "low": round(low, 4), "high": round(high, 4)}


def always_one(rows: Rows) -> dict[str, Any] | None:
    """The score of always giving the label that is right most often; None where answers are no labels."""
    labels = Counter(row["must"][0] for row in rows)
    if len(labels) < 2 or any(set(row["must"] + row["must_not"]) != set(labels) for row in rows):
        return None
    label, most = labels.most_common(1)[0]
    return {"label": label, **count([number < most for number in range(len(rows))])}


def _is_object(answer: str, keys: list[str]) -> bool:
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    if not isinstance(found, dict) or set(found) != set(keys):
        return False
    return all(isinstance(value, str) and value.strip() for value in found.values())


def _last_number(answer: str) -> float | None:
    found = _NUMBER.findall(answer)
    return float(found[-1].replace(",", "")) if found else None
