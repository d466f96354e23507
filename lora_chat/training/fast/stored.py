"""A base's matrices as products take them, one at a time. Owns where they come from; never multiplies one. [torch]

Where what replies are made with stands for exactly the base's weights, as the embedded one's does, they are unpacked
from that: it is in memory anyway, and unpacking takes a twentieth of what the layer takes. Else they are read as they
are stored, from the mapped file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

import torch

from lora_chat.decoder.compiled import load_unpack
from lora_chat.decoder.packing import Form
from lora_chat.decoder.parts import Weights
from lora_chat.decoder.plan import GROUP, Kind
from lora_chat.decoder.quantise import Packed
from lora_chat.memory import Mapped, unwritten

HEAD_BLOCK = 2048
"""Rows of the output head that are unpacked at once: 5 MB on the default base. In blocks of 4,096 and 8,192 its float32
products are a tenth and a third slower."""


class Matrices:
    """Those of one layer, (out, in) each, by their places in the plan's order; each is there until the next one."""

    def __init__(self, kind: torch.dtype, of: Callable[[int], torch.Tensor]) -> None:
        """``of`` gives the one at a place, of the ``kind``."""
        self.kind, self._of = kind, of

    def __getitem__(self, place: int) -> torch.Tensor:
        return self._of(place)


class Stored(Protocol):
    """Where a training reads the frozen matrices, as float32 or bfloat16."""

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """Those of one layer."""
        ...

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """The output head's rows in blocks: which they are, and (rows, hidden), until the next one."""
        ...

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """The embedding of ``ids`` (len,), (len, hidden), float32."""
        ...

    def let_go(self) -> None:
        """None of them is needed for a while."""
        ...


class AsStored:
    """From the mapped file."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        matrices = chain(*(layer.matrices for layer in weights.layers), [weights.head, weights.embedding])
        self._pages = Mapped(((each.data_ptr(), each.nbytes) for each in matrices), unwritten())

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """See ``Stored.layer``."""
        matrices = self._weights.layers[at].matrices
        return Matrices(kind, lambda place: matrices[place].to(kind))

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """See ``Stored.head``."""
        for rows in _blocks(len(self._weights.head)):
            yield rows, self._weights.head[rows].to(kind)

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """See ``Stored.embedded``."""
        return self._weights.embedding[ids].float()

    def let_go(self) -> None:
        """See ``Stored.let_go``: they come from the file again."""
        self._pages.let_go()


class FromPacked:
    """From what replies are made with."""

    def __init__(self, form: Form, kernels: Path, weights: Weights) -> None:
        """``kernels`` is where compiled code is kept; ``form`` stands for ``weights``. Raises as ``load_unpack``."""
        self._form, self._unpack = form, load_unpack(kernels)
        self._embedding = None if weights.head is weights.embedding else weights.embedding
        sizes = [HEAD_BLOCK * _wide(form.head), *(each.out * _wide(each) for each in form.layers[0])]
        self._memory = torch.empty(max(sizes))

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """See ``Stored.layer``. On one thread: torch's others look for work a while after theirs is done."""
        layer = self._form.layers[at]
        return Matrices(kind, lambda place: self._into(layer[place], self._memory, kind))

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """See ``Stored.head``."""
        head = self._form.head
        for rows in _blocks(head.out):
            yield rows, self._into(head.between(rows), self._memory, kind)

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """See ``Stored.embedded``; of a tied one each row is unpacked: some tokens would map half of its file."""
        if self._embedding is not None:
            return self._embedding[ids].float()
        different, places = ids.unique(return_inverse=True)
        made = torch.empty(len(different), _wide(self._form.head))
        for row, at in zip(made, different.tolist(), strict=True):
            self._into(self._form.head.between(slice(at, at + 1)), row, torch.float32)
        return made[places]

    def let_go(self) -> None:
        """See ``Stored.let_go``: replies need them."""

    def _into(self, packed: Packed, memory: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        assert packed.scales is not None
        shape = packed.out, _wide(packed)
        made = memory.view(kind)[: shape[0] * shape[1]].view(shape)
        minima = 0 if packed.minima is None else packed.minima.data_ptr()
        self._unpack(int(packed.kind), packed.values.data_ptr(), packed.scales.data_ptr(), minima, made.data_ptr(),
                     made.numel() // GROUP, made.element_size())  # fmt: skip
        return made


def _wide(packed: Packed) -> int:
    """Columns."""
    return int(packed.values.shape[1]) * (2 if packed.kind == Kind.INT4 else 1)


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, HEAD_BLOCK):
        yield slice(start, min(start + HEAD_BLOCK, rows))
