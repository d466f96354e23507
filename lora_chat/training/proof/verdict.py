"""Which does better, the adapter or the base with the examples in its prompt. Owns that judgement and its sentence."""

from __future__ import annotations

from lora_chat.training.proof.result import Better, Scores
from lora_chat.training.proof.share import Share


def better(adapter: Scores, prompted: Scores) -> tuple[Better, str]:
    """Which of two that were asked the same, and why: right answers to what was taught, false ones to what was not."""
    right = _together(adapter.taught, adapter.recall), _together(prompted.taught, prompted.recall)
    false = _together(adapter.near, adapter.far), _together(prompted.near, prompted.far)
    recalls, quiet = right[0].hits - right[1].hits, false[1].hits - false[0].hits
    told = (
        f"{right[0].hits:,} of {right[0].of:,} right against {right[1].hits:,}, "
        f"{false[0].hits:,} of {false[0].of:,} false against {false[1].hits:,}"
    )
    if recalls == quiet == 0:
        return "same", f"The base with the examples in its prompt does as well ({told})."
    if recalls >= 0 and quiet >= 0:
        return "adapter", f"The adapter does better than the base with the examples in its prompt ({told})."
    if recalls <= 0 and quiet <= 0:
        return "prompt", f"The base with the examples in its prompt does better than the adapter ({told})."
    more, less = ("adapter", "base with the examples in its prompt")[:: 1 if recalls > 0 else -1]
    return "each", f"The {more} recalls more, the {less} says less that is false ({told})."


def _together(*shares: Share) -> Share:
    return Share(sum(each.hits for each in shares), sum(each.of for each in shares))
