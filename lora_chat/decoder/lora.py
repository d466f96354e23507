"""An adapter as the fast path wears it. Owns its factors in float32; the base's weights are never touched. [torch]"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from lora_chat.adapters.reading import shown
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.decoder.plan import LARGEST_RANK, MATRICES
from lora_chat.decoder.shape import Shape
from lora_chat.errors import RefusedError
from lora_chat.models.tensors import read_tensor


@dataclass(frozen=True)
class Factors:
    """What one matrix wears: ``inputs @ a.T @ b`` is added to what it makes."""

    a: torch.Tensor
    """(rank, in)."""
    b: torch.Tensor
    """(rank, out), times the adapter's scaling and the scale it is worn at."""


@dataclass(frozen=True)
class AtScale:
    """An adapter at one scale."""

    layers: tuple[tuple[Factors | None, ...], ...]
    """For each layer the factors of its seven matrices, in the plan's order."""
    table: np.ndarray
    """The same for the kernels, int64 (layers, 7, 3): rank, address of a, address of b."""


class Outfit:
    """An adapter ready to be worn at any scale. The last scale's factors are kept."""

    def __init__(self, adapter: VerifiedAdapter, shape: Shape) -> None:
        """Raises ``RefusedError`` where the adapter reaches what the fast path does not know."""
        places = {
            f"model.layers.{layer}.{matrix}": (layer, index)
            for layer in range(shape.layers)
            for index, matrix in enumerate(MATRICES)
        }
        self._parts: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor, float]] = {}
        self._layers = shape.layers
        data = adapter.files.weights
        for name, module in adapter.layout.modules.items():
            if name not in places or module.rank > LARGEST_RANK:
                raise RefusedError(
                    f'The adapter "{shown(adapter.files.name)}" does not fit the loaded base at "{shown(name, 100)}".'
                )
            a, b = read_tensor(data, module.a), read_tensor(data, module.b)
            self._parts[places[name]] = a.contiguous(), b.T.contiguous(), module.scaling
        self.at = lru_cache(maxsize=2)(self._at)

    def _at(self, scale: float) -> AtScale:
        check_scale(scale)
        layers: list[tuple[Factors | None, ...]] = []
        table = np.zeros((self._layers, len(MATRICES), 3), dtype=np.int64)
        for layer in range(self._layers):
            row: list[Factors | None] = []
            for index in range(len(MATRICES)):
                if (part := self._parts.get((layer, index))) is None:
                    row.append(None)
                    continue
                a, b, scaling = part
                factors = Factors(a, b * (scaling * scale))
                table[layer, index] = len(a), a.data_ptr(), factors.b.data_ptr()
                row.append(factors)
            layers.append(tuple(row))
        return AtScale(tuple(layers), table)
