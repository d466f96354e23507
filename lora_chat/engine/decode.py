"""How the next token is chosen. Owns sampling; never runs the model. [torch]"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import torch

from lora_chat.engine.protocol import Sampling

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_OFTEN_ENOUGH = 128
"""Most likely tokens that are looked at first: sorting all of a vocabulary takes as long as computing the token."""


def choose(logits: torch.Tensor, seen: Sequence[int], sampling: Sampling, generator: torch.Generator) -> int:
    """Choose the next token id from ``logits`` (vocab,), given the ids ``seen`` so far.

    Order as in transformers: repetition penalty, temperature, top-k, top-p. Always on the CPU in fp32 and from the
    reply's own generator: the default generator is shared by all threads. In numpy: torch would wake its OpenMP team
    for a vocabulary's worth of numbers, which then spins beside the next step (3 ms a token became 10).

    Raises:
        ValueError: there is no likeliest token, as the logits are not finite.
    """
    scores = logits.float().cpu().numpy()
    if not np.isfinite(scores.max()):
        raise ValueError("the logits are not finite")
    if sampling.repetition_penalty != 1.0:
        scores = _penalised(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(scores.argmax())
    scores = scores / np.float32(sampling.temperature)
    if 0 < sampling.top_k < scores.size:
        scores = np.where(scores < np.partition(scores, -sampling.top_k)[-sampling.top_k], -np.inf, scores)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    if sampling.top_p < 1.0:
        order = _nucleus(shares, sampling.top_p)
        return int(order[_drawn(shares[order], generator)])
    return _drawn(shares, generator)


def _penalised(scores: Floats, seen: Sequence[int], penalty: float) -> Floats:
    """CTRL's penalty (arXiv:1909.05858): seen tokens' positive logits are divided by it, negative ones multiplied."""
    at = np.unique(np.asarray(seen, dtype=np.int64))
    scores = scores.copy()
    scores[at] = np.where(scores[at] > 0, scores[at] / np.float32(penalty), scores[at] * np.float32(penalty))
    return scores


def _nucleus(shares: Floats, top_p: float) -> Ids:
    """The fewest most likely tokens whose share reaches ``top_p``, always one, in order (arXiv:1904.09751)."""
    order = np.arange(shares.size)
    if shares.size > _OFTEN_ENOUGH:
        likeliest = np.argpartition(shares, -_OFTEN_ENOUGH)[-_OFTEN_ENOUGH:]
        order = likeliest if shares[likeliest].sum() >= top_p else order
    order = order[np.argsort(-shares[order], kind="stable")]
    before = np.cumsum(shares[order]) - shares[order]
    return order[: max(1, int((before < top_p).sum()))]


def _drawn(shares: Floats, generator: torch.Generator) -> int:
    """One index, as likely as its share."""
    reached = np.cumsum(shares, dtype=np.float64)
    drawn = float(torch.rand(1, dtype=torch.float64, generator=generator)) * reached[-1]
    return int(min(np.searchsorted(reached, drawn, side="right"), np.flatnonzero(shares)[-1]))


def without(logits: torch.Tensor, ids: Collection[int]) -> torch.Tensor:
    """``logits`` with which none of ``ids`` is ever chosen, as long as there is another."""
    kept = logits.clone()
    kept[list(ids)] = -torch.inf
    return kept
