"""An adapter as the fast path wears it. Owns its factors; the base's weights are never touched. [torch]"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from lora_chat.adapters.reading import shown
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.decoder.plan import GROUP, LARGEST_RANK, MATRICES, Matrix
from lora_chat.decoder.quantise import Packed, as_stored, pack_int8
from lora_chat.decoder.shape import Shape
from lora_chat.errors import RefusedError
from lora_chat.models.tensors import read_tensor

_SCALES = 2
"""Scales of one adapter at which it is kept."""

_LINE = 64
"""Bytes: where a tensor begins in an arena, so that no vector lies across two lines of the cache."""


@dataclass(frozen=True)
class AtScale:
    """An adapter at one scale."""

    table: np.ndarray
    """For the kernels, int64 (layers, 7, 6): the last places of each matrix's block."""
    arena: torch.Tensor
    """What the table's addresses point into."""


class Outfit:
    """An adapter ready to be worn at any scale. The last scales' factors are kept.

    Beside float32 weights its factors are float32 too, as PEFT has them. Beside packed weights they are
    packed in 8 bits, which is finer than the weights are and costs a quarter of the reading.
    """

    def __init__(self, adapter: VerifiedAdapter, shape: Shape, *, packed: bool) -> None:
        """Raises ``RefusedError`` where the adapter reaches what the fast path does not know."""
        places = {
            f"model.layers.{layer}.{matrix}": (layer, index)
            for layer in range(shape.layers)
            for index, matrix in enumerate(MATRICES)
        }
        self._parts: dict[tuple[int, int], tuple[Packed, torch.Tensor, float]] = {}
        self._layers = shape.layers
        self._pack = pack_int8 if packed else as_stored
        data = adapter.files.weights
        for name, module in adapter.layout.modules.items():
            if name not in places or module.rank > LARGEST_RANK:
                raise RefusedError(
                    f'The adapter "{shown(adapter.files.name)}" does not fit the loaded base at "{shown(name, 100)}".'
                )
            a, b = read_tensor(data, module.a).contiguous(), read_tensor(data, module.b).T
            self._parts[places[name]] = self._pack(a), b, module.scaling
        self._parts = dict(sorted(self._parts.items()))  # as the kernels come by
        self._at: dict[float, AtScale] = {}

    @property
    def bytes(self) -> int:
        """See ``Outfit.bytes``."""
        factors = sum(a.bytes + b.nbytes for a, b, _ in self._parts.values())
        return factors + sum(each.arena.nbytes for each in self._at.values())

    def at(self, scale: float) -> AtScale:
        """It at ``scale``; what was worn last is at hand.

        Raises:
            RefusedError: ``scale`` is not one.
        """
        found = self._at.pop(scale, None) or self._made(scale)
        self._at[scale] = found
        while len(self._at) > _SCALES:
            del self._at[next(iter(self._at))]
        return found

    def _made(self, scale: float) -> AtScale:
        check_scale(scale)
        factors = [(a, _as_read(self._pack(b * (scaling * scale)))) for a, b, scaling in self._parts.values()]
        arena, addresses = _in_a_row([part for pair in factors for factor in pair for part in factor.parts])
        table = np.zeros((self._layers, len(MATRICES), Matrix.SIZE - Matrix.RANK), dtype=np.int64)
        for place, pair in zip(self._parts, factors, strict=True):
            (a, a_scales), (b, b_scales) = (
                (next(addresses), 0 if each.scales is None else next(addresses)) for each in pair
            )
            table[place] = pair[0].out, a, a_scales, b, b_scales, pair[0].kind
        return AtScale(table, arena)


def _as_read(b: Packed) -> Packed:
    """``b`` (rank, out) as the kernels come by it: for each 32 outputs all its rows, (out / 32, rank, 32)."""
    values = b.values.unflatten(1, (-1, GROUP)).transpose(0, 1).contiguous()
    return Packed(b.kind, values, None if b.scales is None else b.scales.T.contiguous())


def _in_a_row(tensors: list[torch.Tensor]) -> tuple[torch.Tensor, Iterator[int]]:
    """Copies of ``tensors`` one after the other in one piece of memory, and their addresses.

    They are read in this order for every token; scattered, each would be a wait of its own.
    """
    sizes = [(tensor.nbytes + _LINE - 1) // _LINE * _LINE for tensor in tensors]
    starts = [0, *accumulate(sizes)]
    arena = torch.empty(starts[-1], dtype=torch.uint8)
    for start, tensor in zip(starts, tensors, strict=False):
        arena[start : start + tensor.nbytes] = tensor.contiguous().view(torch.uint8).flatten()
    return arena, (arena.data_ptr() + start for start in starts)
