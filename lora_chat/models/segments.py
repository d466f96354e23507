"""A prompt's text as ids, of which only what is new is encoded. Owns where a text may be cut; knows no template.

A tokenizer cuts a text at its added tokens before it does anything else, and what lies between two of them never
reaches over one. So the ids of a text are those of its segments, one after the other, each of which begins with such
a token: exactly the same, as ``tests/models/test_segments.py`` holds. A conversation's next prompt has all of its last
one's segments but the end.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer


class Segments:
    """One tokenizer's. The segments of the newest text are kept, and no others."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, as the tokenizer gives them."""
        before, now = self._known, dict[str, list[int]]()
        segments = self._cut(text)
        for segment in segments:
            if segment not in now:
                now[segment] = before.get(segment) or self._encode(segment)
        self._known = now  # at once: two threads may encode side by side
        return list(chain.from_iterable(now[segment] for segment in segments))

    def _encode(self, segment: str) -> list[int]:
        return list(self._tokenizer.encode(segment, add_special_tokens=False).ids)

    def _cut(self, text: str) -> list[str]:
        starts = [found.start() for found in self._first_cut.finditer(text) if found[0] in self._whole]
        return [text[start:end] for start, end in pairwise([0, *starts, len(text)]) if start < end]

    @cached_property
    def _added(self) -> list[AddedToken]:
        """Those that the tokenizer looks for in the text as it is, where the first and of those the longest counts."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        return sorted((each for each in added if not each.normalized), key=lambda each: len(each.content), reverse=True)

    @cached_property
    def _first_cut(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(each.content) for each in self._added if each.content) or r"(?!)")

    @cached_property
    def _whole(self) -> frozenset[str]:
        """Of those, where a text may be cut: what takes no white space before it.

        Nowhere, where one must be a word of its own: it would look at what comes behind the end of its segment.
        """
        if any(each.single_word for each in self._added):
            return frozenset()
        return frozenset(each.content for each in self._added if not (each.lstrip or each.content[:1].isspace()))
