"""Which does better, the adapter or the base with the examples in its prompt. Owns that judgement and its sentence.

Both were asked the same, so only the questions count on which they differ: as many heads as a fair coin would seldom
throw (the exact sign test at 5 %, which is McNemar's) make a difference, anything less is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lora_chat.training.proof.result import Answered, Better

SURE = 0.05
"""How seldom a fair coin may do as much."""

_Side = Literal["adapter", "prompt", ""]


def better(rows: Sequence[Answered]) -> tuple[Better, str]:
    """Which of two that were asked the same, and why: right answers to what was taught, false ones to what was not."""
    taught = [row for row in rows if row.kind in ("taught", "reworded")]
    others = [row for row in rows if row.kind in ("near", "far")]
    told = f"{_told(taught, 'right', right=True)}; {_told(others, 'false', right=False)}"
    recalls, quiet = _side(taught), _side(others)
    sides = {recalls, quiet} - {""}
    if not sides and all(row.right is row.prompted_right for row in rows):
        return "same", f"The base with the examples in its prompt does as well ({told})."
    if not sides:
        return "unclear", f"Whether the base with the examples in its prompt does as well cannot be told ({told})."
    if sides == {"adapter"}:
        return "adapter", f"The adapter does better than the base with the examples in its prompt ({told})."
    if sides == {"prompt"}:
        return "prompt", f"The base with the examples in its prompt does better than the adapter ({told})."
    if recalls == "adapter":
        return "adapter", f"The adapter recalls more, the base with the examples in its prompt fires less ({told})."
    return "each", f"The base with the examples in its prompt recalls more, the adapter fires less ({told})."


def _side(rows: Sequence[Answered]) -> _Side:
    """Who was right clearly more often where only one of them was."""
    adapter = sum(row.right and not row.prompted_right for row in rows)
    prompt = sum(bool(row.prompted_right) and not row.right for row in rows)
    if adapter == prompt or sign_test(adapter, prompt) > SURE:
        return ""
    return "adapter" if adapter > prompt else "prompt"


def sign_test(one: int, other: int) -> float:
    """How likely a fair coin falls at least as unevenly as ``one`` to ``other``, in [0, 1]."""
    throws, fewer = one + other, min(one, other)
    if not throws:
        return 1.0
    return min(1.0, 2.0 * sum(math.comb(throws, heads) for heads in range(fewer + 1)) / float(2**throws))


def _told(rows: Sequence[Answered], what: str, *, right: bool) -> str:
    own, theirs = (
        sum(side is right for side in sides)
        for sides in ([row.right for row in rows], [bool(row.prompted_right) for row in rows])
    )
    return f"{own:,} of {len(rows):,} {what} against {theirs:,}"
