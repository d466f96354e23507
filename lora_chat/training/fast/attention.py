"""Norms, turns and attention of a Llama block, both ways. Owns these small functions; owns no weight. [torch]"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from lora_chat.decoder.parts import LayerWeights
from lora_chat.decoder.shape import Shape
from lora_chat.training.recipe import LONG

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
        """``heads`` (tokens, heads, head_dim), its first half turned against its second, in the type of the turns."""
        first, second = heads.chunk(2, -1)
        return torch.cat((first * self.cos - second * self.sin, second * self.cos + first * self.sin), -1)

    def back(self, grad: torch.Tensor) -> torch.Tensor:
        """The gradient of what was turned."""
        return Turns(self.cos, -self.sin).turned(grad)


class Attention:
    """The attention of one layer over one layout of tokens."""

    def __init__(self, shape: Shape, weights: LayerWeights, turns: Turns, mask: torch.Tensor | None) -> None:
        """``mask`` (tokens, tokens) is added to the scores; None: each token sees those before it.

        Scores have the mask's type. Where query and key have a bias they are in the hundreds, and bfloat16 knows only
        every second number there.
        """
        self._shape, self._weights, self._turns, self._mask = shape, weights, turns, mask
        self._scale = shape.head_dim**-0.5

    def attend(self, heads: Heads) -> torch.Tensor:
        """What the heads see, (tokens, heads * head_dim), of query, key and value as their matrices made them."""
        if not self._apart_by_heads(heads):
            return self._attend_whole(heads)
        query, key, value = self._grouped(self.ready(heads))
        return self._apart(torch.bmm(self._probabilities(query, key), value))

    def back(self, heads: Heads, grad: torch.Tensor) -> Heads:
        """The gradients of query, key and value where ``grad`` came back for ``attend``, which is made again."""
        if not self._apart_by_heads(heads):
            return self._back_whole(heads, grad)
        query, key, value = self._grouped(self.ready(heads))
        grad = self._in_groups(grad.unflatten(1, (-1, self._shape.head_dim)))
        sees = self._probabilities(query, key)
        value_grad = torch.bmm(sees.transpose(1, 2), grad)
        # Of the scores: sees * (what came back - its mean under sees)
        scores = torch._softmax_backward_data(torch.bmm(grad, value.transpose(1, 2)), sees, -1, sees.dtype)
        key_grad = torch.bmm(scores.transpose(1, 2), query).mul_(self._scale)
        query_grad = torch.bmm(scores, key).mul_(self._scale)
        size = self._shape.head_dim
        return self._unready(
            heads,
            self._apart(query_grad).unflatten(1, (-1, size)),
            key_grad.transpose(0, 1),
            value_grad.transpose(0, 1),
        )

    def ready(self, heads: Heads) -> Heads:
        """Query and key normed and turned, all three (tokens, heads, head_dim), in the type they came in."""
        size, weights = self._shape.head_dim, self._weights
        query, key, value = (each.unflatten(1, (-1, size)) for each in heads)
        if weights.norm_q is not None and weights.norm_k is not None:
            query = normed(query.float(), weights.norm_q, self._shape.epsilon)
            key = normed(key.float(), weights.norm_k, self._shape.epsilon)
        return self._turns.turned(query).to(value.dtype), self._turns.turned(key).to(value.dtype), value

    def _unready(self, heads: Heads, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Heads:
        """The gradients of what ``ready`` was given, where these came back for what it made."""
        size, weights, kind = self._shape.head_dim, self._weights, heads[0].dtype
        query, key = self._turns.back(query), self._turns.back(key)
        if weights.norm_q is not None and weights.norm_k is not None:
            came = [each.unflatten(1, (-1, size)).float() for each in heads[:2]]
            query = normed_back(query, came[0], weights.norm_q, self._shape.epsilon)
            key = normed_back(key, came[1], weights.norm_k, self._shape.epsilon)
        return query.flatten(1).to(kind), key.flatten(1).to(kind), value.flatten(1)

    def _apart_by_heads(self, heads: Heads) -> bool:
        """Whether there are few enough tokens to have the probabilities of all heads in memory, which is quicker."""
        return self._mask is not None and len(heads[0]) <= LONG

    # Few tokens: the queries of the heads that share a key in one matrix, (kv_heads, group * tokens, head_dim)

    def _grouped(self, heads: Heads) -> Heads:
        query, key, value = heads
        return self._in_groups(query), key.transpose(0, 1), value.transpose(0, 1)

    def _in_groups(self, heads: torch.Tensor) -> torch.Tensor:
        shape = self._shape
        return heads.transpose(0, 1).reshape(shape.kv_heads, -1, shape.head_dim)

    def _apart(self, grouped: torch.Tensor) -> torch.Tensor:
        """(tokens, heads * head_dim)."""
        shape = self._shape
        return grouped.reshape(shape.heads, -1, shape.head_dim).transpose(0, 1).flatten(1)

    def _probabilities(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        assert self._mask is not None
        kind, shape = self._mask.dtype, self._shape
        mask = self._mask.repeat(shape.heads // shape.kv_heads, 1).expand(len(query), -1, -1)
        scores = torch.baddbmm(mask, query.to(kind), key.transpose(1, 2).to(kind), alpha=self._scale)
        return scores.softmax(-1).to(query.dtype)

    # Many: as torch does it, whose memory does not grow with the square of the length

    def _attend_whole(self, heads: Heads) -> torch.Tensor:
        query, key, value = (each.transpose(0, 1)[None] for each in self.ready(heads))
        seen = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            None if self._mask is None else self._mask.to(query.dtype),
            is_causal=self._mask is None,
            enable_gqa=self._shape.heads != self._shape.kv_heads,
        )
        return seen[0].transpose(0, 1).flatten(1)

    def _back_whole(self, heads: Heads, grad: torch.Tensor) -> Heads:
        with torch.enable_grad():
            leaves = [each.detach().requires_grad_() for each in heads]
            seen = self._attend_whole((leaves[0], leaves[1], leaves[2]))
        query, key, value = torch.autograd.grad(seen, leaves, grad)
        return query, key, value
