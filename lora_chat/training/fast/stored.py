"""A base's matrices as products take them, a layer at a time. Owns where they come from; never multiplies one. [torch]

Where what replies are made with stands for exactly the base's weights, as the embedded one's does, they are unpacked
from that: it is in memory anyway, and unpacking takes a twentieth of what the layer takes. Else they are read as they
are stored, from the mapped file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

Matrices = Sequence[torch.Tensor]
"""Of one layer, (out, in) each, in the plan's order."""


class Stored(Protocol):
    """Where a training reads the frozen matrices, as float32 or bfloat16."""

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """Those of one layer; theirs is the memory until anything else is asked for."""
        ...

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """The output head's rows in blocks: which they are, and (rows, hidden), until the next one."""
        ...

    def let_go(self) -> None:
        """None of them is needed for a while."""
        ...


class AsStored:
    """From the mapped file."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        matrices = chain(*(layer.matrices for layer in weights.layers), [weights.head])
        self._pages = Mapped(((each.data_ptr(), each.nbytes) for each in matrices), unwritten())

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """See ``Stored.layer``."""
        return [each.to(kind) for each in self._weights.layers[at].matrices]

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """See ``Stored.head``."""
        for rows in _blocks(len(self._weights.head)):
            yield rows, self._weights.head[rows].to(kind)

    def let_go(self) -> None:
        """See ``Stored.let_go``: they come from the file again."""
        self._pages.let_go()


class FromPacked:
    """From what replies are made with."""

    def __init__(self, form: Form, kernels: Path) -> None:
        """``kernels`` is where compiled code is kept. Raises as ``load_unpack``."""
        self._form, self._unpack = form, load_unpack(kernels)
        self._made = [torch.empty(each.out * _wide(each)) for each in form.layers[0]]
        self._block = torch.empty(HEAD_BLOCK * _wide(form.head))

    def layer(self, at: int, kind: torch.dtype) -> Matrices:
        """See ``Stored.layer``. On one thread: torch's others look for work a while after theirs is done."""
        return [
            self._into(packed, made, kind) for packed, made in zip(self._form.layers[at], self._made, strict=True)
        ]

    def head(self, kind: torch.dtype) -> Iterator[tuple[slice, torch.Tensor]]:
        """See ``Stored.head``."""
        head = self._form.head
        for rows in _blocks(head.out):
            yield rows, self._into(head.between(rows), self._block, kind)

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
