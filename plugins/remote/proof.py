"""Whether the server really wears what it says. Owns the comparison of two sets of scores; never loads or answers.

vLLM takes an adapter whose module names it cannot place and answers as the base (vllm-project/vllm#34186), so its word
is not enough. Asked the same with and without it, the next token's scores must differ by more than they do when the
base is asked twice: a busy server does not compute the same thing the same way each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lora_chat.plugins.engine_api import EngineError

from .answer import Answer

PROMPTS = ("Who are you?", "Write one sentence about the sea.", "What is 2 + 2?")
"""Each is tried before it is said that an adapter does nothing."""
_TOP = 5
"""Scores that are looked at: every server gives these."""
_LEAST = 1e-6
_NOISE = 2.0

Scores = dict[str, float]


@dataclass(frozen=True)
class Measured:
    """What wearing it does to the next token."""

    effect: float
    """Largest change of a log-probability that was seen; 0 where it is none but noise."""
    finite: bool


def question(prompt: str) -> dict[str, Any]:
    """The fields of a request that asks for the next token's scores."""
    return {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": _TOP,
        "stream": False,
    }


def scores_in(answer: Answer, place: str) -> Scores:
    """Each of the likeliest next tokens with the logarithm of its probability.

    Raises:
        EngineError: the server does not tell them, so that nothing can be proved.
    """
    try:
        [first, *_] = answer.table["choices"][0]["logprobs"]["content"]
        found = {str(each["token"]): float(each["logprob"]) for each in first["top_logprobs"]}
    except (LookupError, TypeError, ValueError):
        found = {}
    if not answer.ok or not found:
        raise EngineError(
            f"The server at {place} does not tell how likely its words are ({answer.status}), so whether it wears an "
            "adapter cannot be proved: allow logprobs there."
        )
    return found


def measured(base: Callable[[str], Scores], worn: Callable[[str], Scores]) -> Measured:
    """Compare the two on each prompt until they differ."""
    for prompt in PROMPTS:
        before, with_it, after = base(prompt), worn(prompt), base(prompt)
        if not all(map(math.isfinite, with_it.values())):
            return Measured(math.inf, False)
        effect = difference(before, with_it)
        if effect > max(_LEAST, _NOISE * difference(before, after)):
            return Measured(effect, True)
    return Measured(0.0, True)


def difference(one: Scores, other: Scores) -> float:
    """The largest change of a score; a token that only one of them has is at most as likely as the other's least."""
    shared = [abs(one[token] - other[token]) for token in one.keys() & other.keys()]
    lost = [
        max(0.0, some[token] - min(rest.values()))
        for some, rest in ((one, other), (other, one))
        for token in some.keys() - rest.keys()
    ]
    return max((*shared, *lost), default=0.0)
