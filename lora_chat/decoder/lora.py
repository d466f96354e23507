"""An adapter as the fast path wears it. Owns its factors; the base's weights are never touched. [torch]

They are packed by numpy, all of an adapter at once: as 420 small products of torch, each of which wakes its team of
threads, that took a second whenever something else was busy, and takes 60 ms so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
import torch

from lora_chat.adapters.reading import shown
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.decoder.plan import GROUP, LARGEST_RANK, MATRICES, Kind, Matrix
from lora_chat.decoder.shape import Shape
from lora_chat.errors import RefusedError

Array: TypeAlias = np.ndarray[Any, Any]

_SCALES = 2
"""Scales of one adapter at which it is kept."""

_LINE = 64
"""Bytes: where a factor begins in an arena, so that no vector lies across two lines of the cache."""


@dataclass(frozen=True)
class AtScale:
    """An adapter at one scale."""

    table: Array
    """For the kernels, int64 (layers, 7, 6): the last places of each matrix's block."""
    arena: torch.Tensor
    """What the table's addresses point into."""


@dataclass(frozen=True)
class Factor:
    """One thin matrix (rank, wide) as it is stored."""

    values: Array
    """float32, or int8 with a scale for each 32 of a row."""
    scales: Array | None = None
    """float16 (rank, wide / 32)."""

    @property
    def parts(self) -> tuple[Array, ...]:
        """Values and scales, as far as there are any."""
        return (self.values,) if self.scales is None else (self.values, self.scales)


class Outfit:
    """An adapter ready to be worn at any scale. The last scales' factors are kept.

    Beside float32 weights its factors are float32 too, as PEFT has them. Beside packed weights they are
    packed in 8 bits, which is finer than the weights are and costs a quarter of the reading.
    """

    def __init__(self, adapter: VerifiedAdapter, shape: Shape, *, packed: bool) -> None:
        """Raises ``RefusedError`` where the adapter reaches what the fast path does not know."""
        known = {
            f"model.layers.{layer}.{matrix}": (layer, index)
            for layer in range(shape.layers)
            for index, matrix in enumerate(MATRICES)
        }
        modules = adapter.layout.modules
        for name, module in modules.items():
            if name not in known or module.rank > LARGEST_RANK:
                raise RefusedError(
                    f'The adapter "{shown(adapter.files.name)}" does not fit the loaded base at "{shown(name, 100)}".'
                )
        self._layers = shape.layers
        self._kind = Kind.INT8 if packed else Kind.F32
        ordered = sorted((known[name], module) for name, module in modules.items())  # as the kernels come by
        self._places = [place for place, _ in ordered]
        files = adapter.files
        self._a = self._stored([files.numbers(module.a) for _, module in ordered])
        self._b = [np.ascontiguousarray(files.numbers(module.b).T) for _, module in ordered]
        self._scalings = [module.scaling for _, module in ordered]
        self._at: dict[float, AtScale] = {}

    @property
    def bytes(self) -> int:
        """See ``Outfit.bytes``."""
        factors = sum(part.nbytes for a in self._a for part in a.parts) + sum(b.nbytes for b in self._b)
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
        scaled = [b * np.float32(scaling * scale) for b, scaling in zip(self._b, self._scalings, strict=True)]
        pairs = list(zip(self._a, map(_as_read, self._stored(scaled)), strict=True))
        arena, addresses = _in_a_row([part for pair in pairs for factor in pair for part in factor.parts])
        table = np.zeros((self._layers, len(MATRICES), Matrix.SIZE - Matrix.RANK), dtype=np.int64)
        for place, pair in zip(self._places, pairs, strict=True):
            (a, a_scales), (b, b_scales) = (
                (next(addresses), 0 if each.scales is None else next(addresses)) for each in pair
            )
            table[place] = len(pair[0].values), a, a_scales, b, b_scales, self._kind
        return AtScale(table, arena)

    def _stored(self, matrices: Sequence[Array]) -> list[Factor]:
        return _packed(matrices) if self._kind is Kind.INT8 else [Factor(each) for each in matrices]


def _packed(matrices: Sequence[Array]) -> list[Factor]:
    """Each of ``matrices`` (rank, wide) in 8 bits, number for number as ``quantise.pack_int8`` packs it."""
    groups = np.concatenate([each.reshape(-1, GROUP) for each in matrices])
    with np.errstate(over="ignore"):  # beyond what 16 bits hold it is infinite, and so are the logits: refused there
        scales = (np.abs(groups).max(axis=1) / np.float32(127)).astype(np.float16)
    steps = np.maximum(scales.astype(np.float32), np.float32(1e-12))[:, None]
    values = np.clip(np.rint(groups / steps), -127, 127).astype(np.int8)
    ends = list(accumulate(each.size // GROUP for each in matrices))[:-1]
    cut = zip(matrices, np.split(values, ends), np.split(scales, ends), strict=True)
    return [Factor(its.reshape(each.shape), of.reshape(len(each), -1)) for each, its, of in cut]


def _as_read(b: Factor) -> Factor:
    """``b`` (rank, out) as the kernels come by it: for each 32 outputs all its rows, (out / 32, rank, 32)."""
    rank = len(b.values)
    values = b.values.reshape(rank, -1, GROUP).transpose(1, 0, 2)
    return Factor(values, None if b.scales is None else b.scales.T)


def _in_a_row(parts: Sequence[Array]) -> tuple[torch.Tensor, Iterator[int]]:
    """Copies of ``parts`` one after the other in one piece of memory, and their addresses.

    They are read in this order for every token; scattered, each would be a wait of its own.
    """
    sizes = [(part.nbytes + _LINE - 1) // _LINE * _LINE for part in parts]
    starts = [0, *accumulate(sizes)]
    arena = torch.empty(starts[-1], dtype=torch.uint8)
    room = arena.numpy()
    for start, part in zip(starts, parts, strict=False):
        room[start : start + part.nbytes].view(part.dtype).reshape(part.shape)[...] = part
    return arena, (arena.data_ptr() + start for start in starts)
