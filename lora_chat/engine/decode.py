"""How the next token is chosen and when a reply ends. Owns sampling and stop strings; never runs the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from lora_chat.engine.protocol import Sampling
from lora_chat.errors import RefusedError

if TYPE_CHECKING:
    from lora_chat.models.prompt import PromptFormat


def checked(sampling: Sampling) -> Sampling:
    """Return ``sampling`` if every value is in range.

    Raises:
        RefusedError: naming the first value that is not, and its range.
    """
    ranges = {
        "temperature": (0.0, 5.0),
        "top_p": (0.0, 1.0),
        "top_k": (0, 10**6),
        "repetition_penalty": (0.1, 10.0),
        "max_tokens": (1, 10**6),
    }
    for name, (low, high) in ranges.items():
        value = getattr(sampling, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise RefusedError(f"{name} must lie between {low:g} and {high:g}, not {value:g}.")
    if sampling.seed is not None and not 0 <= sampling.seed < 2**63:
        raise RefusedError(f"seed must lie between 0 and 2^63 - 1, not {sampling.seed}.")
    return sampling


def choose(logits: torch.Tensor, seen: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Choose the next token id from ``logits`` (vocab,), given the ids ``seen`` so far (seq,).

    Order as in transformers: repetition penalty, temperature, top-k, top-p. Always on the CPU in fp32 and from the
    reply's own generator: the default generator is shared by all threads.
    """
    scores = logits.float().cpu()
    if sampling.repetition_penalty != 1.0:
        scores = _penalised(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(scores.argmax())
    scores = scores / sampling.temperature
    if 0 < sampling.top_k < scores.numel():
        scores = scores.masked_fill(scores < scores.topk(sampling.top_k).values[-1], -torch.inf)
    probabilities = scores.softmax(-1)
    if sampling.top_p < 1.0:
        probabilities = _nucleus(probabilities, sampling.top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _penalised(scores: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """CTRL's penalty (arXiv:1909.05858): seen tokens' positive logits are divided by it, negative ones multiplied."""
    at = seen.unique()
    found = scores[at]
    return scores.index_copy(0, at, torch.where(found > 0, found / penalty, found * penalty))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the fewest most likely tokens whose share reaches ``top_p``, always one (arXiv:1904.09751)."""
    ordered, order = probabilities.sort(descending=True)
    ordered[(ordered.cumsum(0) - ordered) >= top_p] = 0.0
    if top_p == 0:
        ordered[1:] = 0.0
        ordered[0] = 1.0
    return torch.zeros_like(probabilities).scatter(0, order, ordered)


@dataclass
class ReplyText:
    """Turns token ids into text as they come: whole characters only, nothing past a stop string."""

    prompt: PromptFormat
    stops: tuple[str, ...]
    stopped: bool = False
    _ids: list[int] = field(default_factory=list)
    _given: str = ""

    def add(self, token: int) -> str:
        """Take one more id and return what can be shown now: often a piece, sometimes nothing yet."""
        self._ids.append(token)
        return self._release(self.prompt.decode(self._ids), last=False)

    def finish(self) -> str:
        """Return what was held back."""
        return "" if self.stopped else self._release(self.prompt.decode(self._ids), last=True)

    def _release(self, text: str, *, last: bool) -> str:
        ends = [at for at in (text.find(stop) for stop in self.stops if stop) if at >= 0]
        if ends:
            self.stopped = True
            text = text[: min(ends)]
        elif not last:
            text = text[: len(text) - self._held(text)]
        piece = text[len(self._given) :]
        self._given += piece
        return piece

    def _held(self, text: str) -> int:
        """Characters at the end that may still change or begin a stop string."""
        if text.endswith("\ufffd"):  # half a character: its other bytes come with the next token
            return len(text) - len(text.rstrip("\ufffd"))
        longest = max((len(stop) for stop in self.stops), default=0)
        near = range(min(longest - 1, len(text)), 0, -1)
        return next((n for n in near if any(stop.startswith(text[-n:]) for stop in self.stops)), 0)
