"""Turns that a base's chat template cannot write, said with those that it can. Owns that mapping; never a token.

Some templates refuse a system prompt or leave it out without a word (Gemma 2, Mistral's first); some refuse two turns
of one role in a row, as there are after a question that got no answer (Gemma, Mistral, Llama 2). What a template does
is found by having it write, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError

_FIRST, _SECOND = "zx1qv", "zx2qv"
"""Words that no template has of its own."""

BETWEEN = "\n\n"
"""Stands between turns that are written as one."""


@dataclass(frozen=True)
class Roles:
    """What a template writes."""

    system: bool
    """A system prompt before the first message."""
    neighbours: bool
    """Two turns of one role in a row."""

    @classmethod
    def of(cls, write: Callable[[Sequence[Turn]], str]) -> Roles:
        """Ask the template that ``write`` writes with, which raises RefusedError for what it cannot."""
        return cls(
            system=_is_written(write, Role.SYSTEM, Role.USER),
            neighbours=_is_written(write, Role.USER, Role.USER),
        )

    def fitted(self, messages: Iterable[Turn]) -> list[Turn]:
        """``messages`` as the template can write them, none of their text left out.

        A system prompt stands before the question that follows it; turns of one role in a row are one, with an empty
        line between.
        """
        turns = list(messages)
        if not self.system:
            turns = [replace(turn, role=Role.USER) if turn.role is Role.SYSTEM else turn for turn in turns]
        if self.system and self.neighbours:
            return turns
        together = [list(same) for _, same in groupby(turns, lambda turn: turn.role)]
        return [replace(same[0], content=BETWEEN.join(turn.content for turn in same)) for same in together]


def _is_written(write: Callable[[Sequence[Turn]], str], first: Role, second: Role) -> bool:
    try:
        text = write([Turn(first, _FIRST), Turn(second, _SECOND)])
    except RefusedError:
        return False
    return _FIRST in text and _SECOND in text
