"""Exchanges said twice in almost the same words. Owns how near is near; never decides which of two stays."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LIKENESS = 0.8
"""Of question and of answer each: Jaccard similarity of their runs of three words. Below 11 words that is the same
words, whatever their case and punctuation; from 29 on any one word may be another. So a question asked in other words
stays: it is what teaches paraphrases."""

_RUN = 3
_LOOKED_AT = 64
"""Exchanges with a rare run in common that one is compared with: bounds the work where all say almost the same."""

# Scripts without spaces: each character is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True)
class _Part:
    """A question or an answer as what is compared of it."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> _Part:
        folded = text.casefold()
        return cls(tuple(_WORD.findall(folded)) or (folded.strip(),))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Words with a digit: where they differ, the meaning does."""
        return tuple(word for word in self.words if not word.isalpha() and any(map(str.isdigit, word)))

    @property
    def runs(self) -> dict[int, None]:
        """Hashes of each three words that follow each other, in order."""
        last = max(len(self.words) - _RUN, 0)
        return dict.fromkeys(hash(self.words[at : at + _RUN]) for at in range(last + 1))


def near_duplicates(exchanges: Sequence[tuple[str, str]]) -> set[int]:
    """The places of those exchanges (question, answer) that an earlier one of ``exchanges`` nearly is.

    20,000 turns take seconds: exchanges are compared where they share a rare run of words (prefix filtering; Chaudhuri
    et al., "A Primitive Operator for Similarity Joins in Data Cleaning", 2006).
    """
    groups: defaultdict[object, list[tuple[int, _Part, _Part]]] = defaultdict(list)
    for place, (question, answer) in enumerate(exchanges):
        asked, said = _Part.of(question), _Part.of(answer)
        groups[asked.numbers, said.numbers].append((place, asked, said))
    alone = (group for group in groups.values() if len(group) > 1)
    return {place for group in alone for place in _near_in(group)}


def _near_in(group: Sequence[tuple[int, _Part, _Part]]) -> Iterator[int]:
    """Of exchanges with the same numbers, those that an earlier one nearly is."""
    both = [(asked.runs, said.runs) for _, asked, said in group]
    often = Counter(run for parts in both for part in parts for run in part)
    sets = [(frozenset(asked), frozenset(said)) for asked, said in both]
    kept: defaultdict[int, list[int]] = defaultdict(list)
    for at, (asked, said) in enumerate(both):
        # Two that are alike share one of the rarest runs, whatever else they hold; ~ tells answers from questions.
        runs = sorted([*asked, *(~run for run in said)], key=lambda run: often[run] or often[~run])
        rare = runs[: len(runs) - math.ceil(LIKENESS * len(runs) - 1e-9) + 1]
        others = {other for run in rare for other in kept[run][:_LOOKED_AT]}
        if any(all(map(_alike, sets[at], sets[other])) for other in others):
            yield group[at][0]
            continue
        for run in rare:
            kept[run].append(at)


def _alike(one: frozenset[int], other: frozenset[int]) -> bool:
    if min(len(one), len(other)) < LIKENESS * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= LIKENESS * (len(one) + len(other) - common)
