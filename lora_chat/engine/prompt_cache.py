"""What was read before is not read again. Owns the contexts kept between replies; never extends one.

A context belongs to one adapter at one scale, decoded one way: those are its key, so nothing that an adapter made can
reach another's reply. Of those with the right key the one that shares the longest beginning with the new prompt is
taken: the next turn of a conversation, a retry, a branch, a return to an earlier conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.decoder.protocol import Context

_WORTH = 8
"""Tokens that must be shared: below that a context of its own is as cheap, and the old one stays whole."""

_SPARE = 0.25
"""A context is cut in place when it loses at most this share; a longer tail may be wanted again, so it is copied."""


class PromptCache:
    """Contexts by their last use. Not safe for two threads at once: who calls has the floor."""

    def __init__(self, budget: int) -> None:
        """``budget`` is the memory, in bytes, that contexts at rest may take; the last one is always kept."""
        self._budget = budget
        self._kept: list[tuple[Hashable, Context]] = []

    def take(self, key: Hashable, ids: Sequence[int], begin: Callable[[], Context]) -> Context:
        """A context under ``key`` that holds a beginning of ``ids``, short of its last token at least.

        It is the caller's until it is given back; ``begin`` makes an empty one where nothing fits.
        """
        best, length = None, _WORTH - 1
        for index, (found, context) in enumerate(self._kept):
            shared = min(_shared(context.ids, ids), len(ids) - 1) if found == key else 0
            if shared > length and context.can_cut(shared):
                best, length = index, shared
        if best is None:
            return begin()
        context = self._kept[best][1]
        if len(context.ids) - length > _SPARE * length:
            self._kept.append(self._kept.pop(best))
            return context.copy(length)
        del self._kept[best]
        context.cut(length)
        return context

    def give(self, key: Hashable, context: Context) -> None:
        """Keep ``context`` for the next prompt that begins like it; what was used longest ago makes room."""
        self._kept = [(k, c) for k, c in self._kept if k != key or _shared(c.ids, context.ids) < len(c.ids)]
        self._kept.append((key, context))
        while len(self._kept) > 1 and sum(each.bytes for _, each in self._kept) > self._budget:
            del self._kept[0]

    def drop(self, unwanted: Callable[[Hashable], bool]) -> None:
        """Free the contexts under keys that are ``unwanted``."""
        self._kept = [(key, context) for key, context in self._kept if not unwanted(key)]

    def forget(self) -> None:
        """Free all of it."""
        self._kept.clear()


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
