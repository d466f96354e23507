"""Tokens read one after the other by the layers that train. Owns their keys and values; never trains. [torch]"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from lora_chat.decoder.shape import Shape
from lora_chat.training.fast.attention import Attention, Heads


class FastReading:
    """What was read of some rows, each of which may begin later than the others."""

    def __init__(self, shape: Shape, rows: int = 1) -> None:
        self._shape = shape
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        """Keys and values of each, (rows, kv_heads, length, head_dim)."""
        self.real = torch.zeros(rows, 0, dtype=torch.bool)
        """Which of the positions so far hold a token of the row, (rows, length)."""

    def cut(self, length: int) -> bool:
        """See ``Reading.cut``."""
        self._layers = [(keys[:, :, :length], values[:, :, :length]) for keys, values in self._layers]
        self.real = self.real[:, :length]
        return True

    def begin(self, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the positions ``real`` (rows, new); where in its row each stands, and what it sees.

        (rows, new), and (rows, 1, new, length) as attention takes it. What is no token sees itself, so that its
        softmax has something to sum.
        """
        before = self.real.shape[1]
        self.real = torch.cat((self.real, real), 1)
        length = self.real.shape[1]
        places = (self.real.cumsum(1)[:, before:] - 1).clamp_min_(0)
        at = torch.arange(before, length)
        earlier = torch.arange(length) <= at[:, None]
        own = torch.arange(length) == at[:, None]
        return places, ((earlier & self.real[:, None]) | own)[:, None]

    def attend(self, layer: int, attention: Attention, sees: torch.Tensor) -> Callable[[Heads], torch.Tensor]:
        """How a layer attends to what was read, its new keys and values included."""

        def attend(heads: Heads) -> torch.Tensor:
            rows, new = sees.shape[0], sees.shape[2]
            query, key, value = (
                each.unflatten(0, (rows, new)).transpose(1, 2) for each in attention.ready(heads)
            )  # (rows, heads, new, head_dim)
            if layer < len(self._layers):
                keys, values = self._layers[layer]
                key, value = torch.cat((keys, key), 2), torch.cat((values, value), 2)
                self._layers[layer] = key, value
            else:
                self._layers.append((key, value))
            many = self._shape.heads != self._shape.kv_heads
            seen = functional.scaled_dot_product_attention(query, key, value, sees, enable_gqa=many)
            return seen.transpose(1, 2).flatten(2).flatten(0, 1)

        return attend
