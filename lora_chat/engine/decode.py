"""How the next token is chosen. Owns sampling; never runs the model. [torch]"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lora_chat.engine.protocol import Sampling

_OFTEN_ENOUGH = 128
"""Most likely tokens that are looked at first: sorting all of a vocabulary takes as long as computing the token."""


def choose(logits: torch.Tensor, seen: Sequence[int], sampling: Sampling, generator: torch.Generator) -> int:
    """Choose the next token id from ``logits`` (vocab,), given the ids ``seen`` so far.

    Order as in transformers: repetition penalty, temperature, top-k, top-p. Always on the CPU in fp32 and from the
    reply's own generator: the default generator is shared by all threads. ``logits`` is not changed.
    """
    scores = logits.float().cpu()
    if sampling.repetition_penalty != 1.0:
        scores = _penalised(scores, torch.tensor(seen, dtype=torch.long), sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(scores.argmax())
    scores = scores / sampling.temperature
    if 0 < sampling.top_k < scores.numel():
        scores = scores.masked_fill(scores < scores.topk(sampling.top_k).values[-1], -torch.inf)
    probabilities = scores.softmax(-1)
    if sampling.top_p < 1.0:
        return _from_nucleus(probabilities, sampling.top_p, generator)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _penalised(scores: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """CTRL's penalty (arXiv:1909.05858): seen tokens' positive logits are divided by it, negative ones multiplied."""
    at = seen.unique()
    found = scores[at]
    return scores.index_copy(0, at, torch.where(found > 0, found / penalty, found * penalty))


def _from_nucleus(probabilities: torch.Tensor, top_p: float, generator: torch.Generator) -> int:
    """One of the fewest most likely tokens whose share reaches ``top_p``, always one (arXiv:1904.09751)."""
    ordered, order = probabilities.topk(min(_OFTEN_ENOUGH, probabilities.numel()))
    if float(ordered.sum()) < top_p:  # a flat distribution: all of it has to be sorted
        ordered, order = probabilities.sort(descending=True)
    kept = (ordered.cumsum(0) - ordered) < top_p
    kept[0] = True
    return int(order[int(torch.multinomial(ordered * kept, 1, generator=generator))])
