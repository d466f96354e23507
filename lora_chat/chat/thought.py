"""What a thinking base thought before it answered. Owns parting the two; all of the text is kept.

Qwen3 and its like write ``<think>…</think>`` before the answer. Where the template wrote the opening itself
(DeepSeek-R1 and those distilled from it) the reply begins within the thought, and only its end is seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENS, CLOSES = "<think>", "</think>"
_CLOSED = re.compile(r"^[ \t]*</think>[ \t]*$", re.MULTILINE)
"""The end of a thought whose beginning the template wrote: on a line of its own, as these bases write it."""


@dataclass(frozen=True)
class Parted:
    """A reply in two."""

    thought: str
    answer: str
    is_open: bool = False
    """The thought has not ended: there is no answer yet."""


def parted(text: str) -> Parted:
    """``text`` as thought and answer; all of it is the answer where nothing was thought."""
    said = text.lstrip()
    if said.startswith(OPENS):
        thought, closed, answer = said.removeprefix(OPENS).partition(CLOSES)
        return Parted(thought.strip(), answer.lstrip(), is_open=not closed)
    end = _CLOSED.search(said)
    if end is None or OPENS in said[: end.start()]:
        return Parted("", text)
    return Parted(said[: end.start()].strip(), said[end.end() :].lstrip())


def answer_of(text: str) -> str:
    """What was said, without what was thought before."""
    return parted(text).answer


def may_think(text: str) -> bool:
    """Whether a reply that has begun with ``text`` is a thought so far, or may become one."""
    said = text.lstrip()
    return OPENS.startswith(said) or (said.startswith(OPENS) and CLOSES not in said)
