"""A count of a count or a mean, and how sure it is. Owns the intervals; never counts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_Z = 1.96


@dataclass(frozen=True)
class Share:
    """``hits`` of ``of``."""

    hits: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share, in [0, 1]."""
        return wilson(self.hits, self.of)

    @property
    def sentence(self) -> str:
        """``7 of 8 (53–98 %)``; ``none asked`` of nothing."""
        if not self.of:
            return "none asked"
        low, high = (round(100 * edge) for edge in self.interval)
        return f"{self.hits:,} of {self.of:,} ({low}–{high} %)"


def with_intervals(value: Any) -> Any:
    """A value of JSON in which each share, ``{"hits": 7, "of": 8}``, has the ends of its interval too: low, high."""
    if isinstance(value, list | tuple):
        return [with_intervals(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"hits", "of"}:
        low, high = Share(**value).interval
        return value | {"low": round(low, 4), "high": round(high, 4)}
    return {key: with_intervals(each) for key, each in value.items()}


def wilson(hits: int, of: int, z: float = _Z) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson 1927), 95 % at this ``z``; all there is of nothing."""
    if not of:
        return 0.0, 1.0
    share, grown = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / grown
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / grown
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(sums: Sequence[float], counts: Sequence[int], rounds: int = 2_000) -> tuple[float, float]:
    """The 95 % interval of ``sum(sums) / sum(counts)``: percentiles of that mean over resampled pairs, always alike.

    The bootstrap of B. Efron (1979): what belongs together, as the tokens of one answer, is drawn together.
    """
    draw, places = random.Random(0), range(len(counts))
    drawn = (draw.choices(places, k=len(counts)) for _ in range(rounds))
    found = sorted(sum(sums[at] for at in each) / sum(counts[at] for at in each) for each in drawn)
    return found[int(0.025 * rounds)], found[int(0.975 * rounds) - 1]
