"""What a way back needs of its forward, layer by layer. Owns that memory, which stays from step to step. [torch]

Asked for anew at each step it would be torn into pieces by what lives longer: the process then holds half as much again
and the system hands the same pages out over and over.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from lora_chat.decoder.shape import Shape


class Kept(NamedTuple):
    """Of one layer, in the type of the products."""

    x: torch.Tensor
    """What came in, (tokens, hidden)."""
    query: torch.Tensor
    """(tokens, heads * head_dim), as its matrix made it."""
    key: torch.Tensor
    value: torch.Tensor
    """(tokens, kv_heads * head_dim) each."""
    middle: torch.Tensor
    """What came into the MLP, (tokens, hidden)."""
    gate: torch.Tensor
    up: torch.Tensor
    """(tokens, intermediate) each."""


class Tape:
    """Room for what some layers keep."""

    def __init__(self, shape: Shape, layers: int, kind: torch.dtype) -> None:
        wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self._widths = shape.hidden, wide, narrow, narrow, shape.hidden, shape.intermediate, shape.intermediate
        self._layers, self._kind = layers, kind
        self._memory = torch.empty(0, dtype=kind)

    def room(self, layer: int, tokens: int) -> Kept:
        """Where the ``layer``, counted from the lowest of them, keeps its own of so many ``tokens``."""
        each = sum(self._widths) * tokens
        if self._memory.numel() < each * self._layers:
            self._memory = torch.empty(0, dtype=self._kind)  # before the larger one is there
            self._memory = torch.empty(each * self._layers, dtype=self._kind)
        own = self._memory[layer * each : (layer + 1) * each]
        return Kept(*(part.view(tokens, -1) for part in own.split([width * tokens for width in self._widths])))


def apart(shape: Shape, tokens: int, kind: torch.dtype) -> Kept:
    """Room of its own for one layer."""
    return Tape(shape, 1, kind).room(0, tokens)
