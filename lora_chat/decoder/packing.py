"""Which packed form a base is decoded in, and its file. Owns the choice and the cache beside the base. [torch]

``auto`` is the smallest form that passes the quality gate on this very base: int4, else int8, else float32. What was
packed and measured is kept for these weights; without room on the disk it is packed again at each start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from lora_chat.config import Precision
from lora_chat.decoder.parts import Weights
from lora_chat.decoder.plan import MATRICES, Kind
from lora_chat.decoder.quantise import Packed, as_stored, is_exact, pack_int4, pack_int8
from lora_chat.decoder.shape import Shape
from lora_chat.decoder.verdict import TRIED, Verdict, read_verdict
from lora_chat.decoder.weights import map_file, write_tensors
from lora_chat.errors import LoraChatError
from lora_chat.memory import give_back, let_go

_SCHEMA = "1"
_LOOKED_AT = slice(4)
"""Rows of each matrix that are looked at once more, whatever was measured of all."""
_KINDS: dict[Precision, Kind] = {"fp32": Kind.F32, "int8": Kind.INT8, "int4": Kind.INT4}

Measure = Callable[["Form"], float]
"""The loss of a base decoded in a form, nats per token."""


@dataclass(frozen=True)
class Form:
    """A base's matrices in one precision."""

    precision: Precision
    """Never ``auto``."""
    layers: tuple[tuple[Packed, ...], ...]
    """Of each layer the seven matrices."""
    head: Packed

    @property
    def bytes(self) -> int:
        """Read for each token."""
        return self.head.bytes + sum(matrix.bytes for layer in self.layers for matrix in layer)


class Packing:
    """One base's packed forms."""

    def __init__(self, weights: Weights, shape: Shape, hashed: str, folder: Path) -> None:
        """``hashed`` is the weights' hash, ``folder`` where the forms are kept."""
        self._weights = weights
        self._shape = shape
        self._hashed = hashed
        self._folder = folder
        self.has_worked = False
        """Whether something had to be packed or measured, for which all weights are read."""

    def form(self, wanted: Precision, measure: Measure) -> Form:
        """The base in the precision ``wanted``; ``auto`` chooses by ``measure``, once for these weights."""
        if wanted != "auto":
            return self._read_or_make(wanted)
        verdict = read_verdict(self._folder, self._hashed) or Verdict(self._hashed)
        for precision in TRIED:
            form = None
            if precision not in verdict.losses:
                form = self._read_or_make(precision)
                self._judge(form, verdict, measure)
            if verdict.passes(precision):
                return form or self._read_or_make(precision)
        return self._read_or_make("fp32")

    def is_exact(self, form: Form) -> bool:
        """Whether ``form`` stands for exactly these weights: all of them did when it was measured, and some are now."""
        verdict = read_verdict(self._folder, self._hashed)
        if verdict is None or not verdict.is_exact(form.precision):
            return False
        found = all(is_exact(packed.between(_LOOKED_AT), matrix[_LOOKED_AT]) for packed, matrix in self._pairs(form))
        _let_go(*self._matrices())  # a page was read with each row, and its neighbours
        return found

    def _judge(self, form: Form, verdict: Verdict, measure: Measure) -> None:
        """Measure ``form``; where it stands for exactly the same weights it alone, as they would map all of theirs."""
        self.has_worked = True
        losses, exact = verdict.losses, self._is_exact(form)
        if "fp32" not in losses:
            losses["fp32"] = measure(form if exact else self._read_or_make("fp32"))
            _let_go(*self._matrices())
        losses[form.precision] = losses["fp32"] if exact else measure(form)
        with suppress(OSError, LoraChatError):  # a cache
            verdict.write(self._folder)

    def _is_exact(self, form: Form) -> bool:
        def same(packed: Packed, matrix: torch.Tensor) -> bool:
            found = is_exact(packed, matrix)
            _let_go(matrix, *packed.parts)
            return found

        return all(same(packed, matrix) for packed, matrix in self._pairs(form))

    def _pairs(self, form: Form) -> Iterator[tuple[Packed, torch.Tensor]]:
        """Each matrix in its form and as it is stored."""
        for packed, layer in zip(form.layers, self._weights.layers, strict=True):
            yield from zip(packed, layer.matrices, strict=True)
        yield form.head, self._weights.head

    def _read_or_make(self, precision: Precision) -> Form:
        if precision == "fp32":
            layers = tuple(tuple(map(as_stored, layer.matrices)) for layer in self._weights.layers)
            return Form(precision, layers, as_stored(self._weights.head))
        path = self._folder / f"packed-{precision}.safetensors"
        if (form := self._read(path, precision)) is None:
            form = self._make(precision)
            with suppress(OSError, LoraChatError):  # a cache
                write_tensors(path, _tensors(form), self._metadata(precision))
                form = self._read(path, precision) or form  # mapped, so that the memory is the file's
        return form

    def _make(self, precision: Precision) -> Form:
        self.has_worked = True
        pack = pack_int4 if precision == "int4" else pack_int8
        layers = []
        for layer in self._weights.layers:
            layers.append(tuple(map(pack, layer.matrices)))
            _let_go(*layer.matrices)
        head = pack_int8(self._weights.head)
        _let_go(self._weights.head)
        give_back()  # what packing held meanwhile
        return Form(precision, tuple(layers), head)

    def _matrices(self) -> Iterator[torch.Tensor]:
        """All of the base's, as they are stored."""
        yield self._weights.head
        for layer in self._weights.layers:
            yield from layer.matrices

    def _metadata(self, precision: Precision) -> dict[str, str]:
        return {"schema": _SCHEMA, "weights": self._hashed, "precision": precision}

    def _read(self, path: Path, precision: Precision) -> Form | None:
        """What was kept for these very weights; None where there is nothing, or nothing usable."""
        try:
            tensors, metadata = map_file(path)
            if metadata != self._metadata(precision):
                return None
            layers = tuple(
                tuple(_packed(tensors, f"{index}.{name}", _KINDS[precision]) for name in MATRICES)
                for index in range(self._shape.layers)
            )
            form = Form(precision, layers, _packed(tensors, "head", Kind.INT8))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return form if self._fits(form) else None

    def _fits(self, form: Form) -> bool:
        """The kernels believe in sizes, so they are held against the base's."""
        return all(packed.stands_for(tuple(matrix.shape)) for packed, matrix in self._pairs(form))


def _let_go(*mapped: torch.Tensor) -> None:
    """Take these out of the memory until they are read again: of a large base not all parts have room at once."""
    let_go((each.data_ptr(), each.nbytes) for each in mapped)


def _tensors(form: Form) -> dict[str, torch.Tensor]:
    found = _parts("head", form.head)
    for index, layer in enumerate(form.layers):
        for name, matrix in zip(MATRICES, layer, strict=True):
            found |= _parts(f"{index}.{name}", matrix)
    return found


def _parts(name: str, packed: Packed) -> dict[str, torch.Tensor]:
    parts = {"values": packed.values, "scales": packed.scales, "minima": packed.minima}
    return {f"{name}.{part}": tensor.contiguous() for part, tensor in parts.items() if tensor is not None}


def _packed(tensors: dict[str, torch.Tensor], name: str, kind: Kind) -> Packed:
    return Packed(kind, tensors[f"{name}.values"], tensors[f"{name}.scales"], tensors.get(f"{name}.minima"))
