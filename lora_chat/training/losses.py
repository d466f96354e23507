"""The two losses of a step, and their slopes. Owns that arithmetic; never runs the model. [torch]

Each reads its logits once and writes the slopes over them: autograd would keep three more copies, of 6 MB for each 32
predictions of the default base. What follows from that: nobody may need the logits afterwards.
"""

from __future__ import annotations

from typing import Any

import torch

_LEAST_REST = 1e-6
"""The probability of any other token is kept away from 0, where a logarithm has no end."""


def cross_entropy(logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each prediction in nats, (len,), and whether ``wanted`` (len,) was the likeliest, (len,).

    ``logits`` (len, vocab), float32, are written over.
    """
    losses, hit = _CrossEntropy.apply(logits, wanted)
    return losses, hit


def divergence(logits: torch.Tensor, tokens: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """KL(base ‖ adapted) in nats at each position, (len,), over the base's likeliest tokens and "any other".

    ``logits`` (len, vocab), float32, are written over. ``tokens`` and ``base`` are the base's likeliest there and their
    logarithmic probabilities, (len, kept).
    """
    found: torch.Tensor = _Divergence.apply(logits, tokens, base)
    return found


def rest_of(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Probability of any other token, (len,)."""
    return (1 - log_probabilities.exp().sum(-1)).clamp_min(_LEAST_REST)


def _to_probabilities(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In place; what is taken from each logit to make a logarithmic probability of it, and the likeliest tokens."""
    most, likeliest = logits.max(-1)
    total = logits.sub_(most[:, None]).exp_().sum(-1)
    logits.div_(total[:, None])
    return most + total.log(), likeliest


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        said = logits.gather(-1, wanted[:, None])[:, 0]
        taken, likeliest = _to_probabilities(logits)
        logits.scatter_add_(-1, wanted[:, None], logits.new_full((len(wanted), 1), -1.0))
        ctx.slopes = logits.detach()
        return taken - said, likeliest == wanted

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[torch.Tensor, None]:
        return ctx.slopes.mul_(grads[0][:, None]), None


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, tokens: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        said = logits.gather(-1, tokens)
        taken, _ = _to_probabilities(logits)
        adapted = said - taken[:, None]
        other_base, other = rest_of(base), rest_of(adapted)
        kept, now = base.exp(), adapted.exp()
        # Of "any other" the slope is none where its probability is held away from 0.
        share = torch.where(now.sum(-1) < 1 - _LEAST_REST, other_base / other, 0.0)[:, None]
        logits.mul_(kept.sum(-1, keepdim=True) - share * now.sum(-1, keepdim=True))
        logits.scatter_add_(-1, tokens, share * now - kept)
        ctx.slopes = logits.detach()
        return (kept * (base - adapted)).sum(-1) + other_base * (other_base.log() - other.log())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[torch.Tensor, None, None]:
        return ctx.slopes.mul_(grads[0][:, None]), None, None
