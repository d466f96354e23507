"""What a server says to a question. Owns finding the words in it; never shows more than a line of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lora_chat.plugins.engine_api import clean_line

_LONGEST = 300


@dataclass(frozen=True)
class Answer:
    """One whole answer: JSON, plain text or something else."""

    status: int
    text: str
    kind: str
    """Its content type."""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @cached_property
    def value(self) -> Any:
        """What its JSON holds; None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @cached_property
    def table(self) -> dict[str, Any]:
        """The same where it is an object; else nothing."""
        return self.value if isinstance(self.value, dict) else {}

    @cached_property
    def message(self) -> str:
        """The server's own words on one line, cleaned; empty where it has none."""
        found = self.table.get("error") or self.table.get("message") or self.table.get("detail") or ""
        if isinstance(found, dict):
            found = found.get("message") or found.get("type") or ""
        if isinstance(found, str) and found:
            return clean_line(found, _LONGEST)
        if self.value is not None or "html" in self.kind or self.text.lstrip()[:1] == "<":
            return ""
        return clean_line(self.text, _LONGEST)

    @property
    def told(self) -> str:
        """The same for within a sentence, without the end of its own."""
        said = self.message.rstrip(". ")
        return f"{self.status}: {said}" if said else f"{self.status}, without a word why"

    def says(self, *words: str) -> bool:
        """Whether all of ``words`` stand in it."""
        said = self.message.casefold()
        return all(each.casefold() in said for each in words)


class Refusal(Exception):
    """The server will not do it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.told)
        self.answer = answer
