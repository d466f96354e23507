"""The forms in which examples are written. Owns the way from one row to turns; never reads a file.

Known are OpenAI messages, ShareGPT, Alpaca, and pairs of prompt and response, of question and answer, or of prompt and
completion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lora_chat.chat.conversation import ROLE_NAMES, Role, Turn
from lora_chat.chat.text_parts import joined
from lora_chat.text import clean, clean_line

PAIRS = (("prompt", "response"), ("question", "answer"), ("prompt", "completion"))
KNOWN = (
    '"messages", "conversations", "instruction" and "output", "prompt" and "response", "question" and "answer", '
    '"prompt" and "completion"'
)

_ARTICLE = re.compile(r"^Q: (?P<question>.*)\nA:\s*$", re.DOTALL)
"""The article's prompt: ``Q: …\\nA:``."""


class BadRowError(Exception):
    """Why a row cannot be learnt from; the words follow its place: ``has …``."""


def is_known(names: set[str]) -> bool:
    """Whether a row with these names can have one of the forms."""
    alpaca = {"instruction", "output"} <= names
    return alpaca or not names.isdisjoint({"messages", "conversations"}) or any(names.issuperset(p) for p in PAIRS)


def turns_of(row: Mapping[str, Any]) -> list[Turn]:
    """The row's turns in whichever of the known forms it has.

    Raises:
        BadRowError: it has none, or what it has is not text.
    """
    if isinstance(row.get("messages"), list):
        return _listed(row["messages"], "messages", "role", "content")
    if isinstance(row.get("conversations"), list):
        return _listed(row["conversations"], "conversations", "from", "value")
    if isinstance(row.get("instruction"), str) and isinstance(row.get("output"), str):
        more = row.get("input")
        asked = f"{row['instruction']}\n\n{more}" if isinstance(more, str) and more.strip() else row["instruction"]
        return [_turn(Role.USER, asked), _turn(Role.ASSISTANT, row["output"])]
    for asks, answers in PAIRS:
        if isinstance(row.get(asks), str) and isinstance(row.get(answers), str):
            article = _ARTICLE.match(row[asks])
            return [
                _turn(Role.USER, article["question"] if article else row[asks]),
                _turn(Role.ASSISTANT, row[answers]),
            ]
    raise BadRowError(f"has none of the known forms ({KNOWN})")


def _listed(entries: list[Any], name: str, role_key: str, text_key: str) -> list[Turn]:
    if not entries:
        raise BadRowError(f'has none of the known forms: its "{name}" are empty')
    return [_entry(entry, number, role_key, text_key) for number, entry in enumerate(entries, 1)]


def _entry(entry: Any, number: int, role_key: str, text_key: str) -> Turn:
    if not isinstance(entry, dict):
        raise BadRowError(f"has none of the known forms: its message {number} is not an object")
    role = ROLE_NAMES.get(str(entry.get(role_key)))
    if role is None:
        said = clean_line(str(entry.get(role_key)), 40)
        raise BadRowError(f'has none of the known forms: its message {number} has the {role_key} "{said}"')
    text = joined(entry.get(text_key))
    if text is None:  # a picture, a tool call
        raise BadRowError(f'has none of the known forms: the "{text_key}" of its message {number} is not text')
    return _turn(role, text)


def _turn(role: Role, text: str) -> Turn:
    return Turn(role, clean(text).strip())
