"""Norms, turns and attention of a Llama block, both ways. Owns these small functions; owns no weight. [torch]"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from lora_chat.decoder.parts import LayerWeights
from lora_chat.decoder.shape import Shape

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def normed(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """RMSNorm over the last dimension."""
    return functional.rms_norm(x, (x.shape[-1],), weight, epsilon)


def normed_back(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The gradient of ``x`` where ``grad`` came back for ``normed(x)``; ``grad`` is written over."""
    scale = x.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
    grad.mul_(weight)
    along = (grad * x).mean(-1, keepdim=True).mul_(scale).mul_(scale)
    return grad.sub_(x * along).mul_(scale)


@dataclass(frozen=True)
class Turns:
    """The rotary turns of a sequence of tokens."""

    cos: torch.Tensor
    sin: torch.Tensor
    """(tokens, 1, head_dim / 2) each."""

    def turned(self, heads: torch.Tensor) -> torch.Tensor:
        """``heads`` (tokens, heads, head_dim), its first half turned against its second."""
        first, second = heads.chunk(2, -1)
        return torch.cat((first * self.cos - second * self.sin, second * self.cos + first * self.sin), -1)


class Attention:
    """The attention of one layer over one layout of tokens."""

    def __init__(self, shape: Shape, weights: LayerWeights, turns: Turns, mask: torch.Tensor | None) -> None:
        """``mask`` (tokens, tokens) is added to the scores; None: each token sees those before it."""
        self._shape, self._weights, self._turns, self._mask = shape, weights, turns, mask

    def attend(self, heads: Heads) -> torch.Tensor:
        """What the heads see, (tokens, heads * head_dim), of query, key and value as their matrices made them."""
        query, key, value = self.ready(heads)
        many = self._shape.heads != self._shape.kv_heads
        seen = functional.scaled_dot_product_attention(
            query.transpose(0, 1)[None],
            key.transpose(0, 1)[None],
            value.transpose(0, 1)[None],
            self._mask,
            is_causal=self._mask is None,
            enable_gqa=many,
        )
        return seen[0].transpose(0, 1).flatten(1)

    def back(self, heads: Heads, grad: torch.Tensor) -> Heads:
        """The gradients of query, key and value where ``grad`` came back for ``attend``, which is made again."""
        with torch.enable_grad():
            leaves = [each.detach().requires_grad_() for each in heads]
            seen = self.attend((leaves[0], leaves[1], leaves[2]))
        query, key, value = torch.autograd.grad(seen, leaves, grad)
        return query, key, value

    def ready(self, heads: Heads) -> Heads:
        """Query and key normed and turned, all three (tokens, heads, head_dim)."""
        size, weights = self._shape.head_dim, self._weights
        query, key, value = (each.unflatten(1, (-1, size)) for each in heads)
        if weights.norm_q is not None and weights.norm_k is not None:
            query = normed(query, weights.norm_q, self._shape.epsilon)
            key = normed(key, weights.norm_k, self._shape.epsilon)
        return self._turns.turned(query), self._turns.turned(key), value
