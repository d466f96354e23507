"""The fast path as the engine sees it. Owns putting its parts together; the arithmetic is theirs. [torch]"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.config import Precision
from lora_chat.decoder.compiled import load_kernel
from lora_chat.decoder.keys_values import KeysValues
from lora_chat.decoder.lora import AtScale, Outfit
from lora_chat.decoder.packing import Form, Packing
from lora_chat.decoder.parts import Weights, arrange
from lora_chat.decoder.protocol import Context
from lora_chat.decoder.quality import TEXT, measure
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import Shape, UnknownShape, read_shape
from lora_chat.decoder.step import Stepper
from lora_chat.decoder.weights import map_weights
from lora_chat.memory import give_back
from lora_chat.models.installed import weight_files
from lora_chat.models.watch import Check


class FastDecoder:
    """``Decoder`` for a Llama-shaped base on the CPU."""

    def __init__(
        self, shape: Shape, stepper: Stepper, precision: Precision, exact: Callable[[], Form | None] = lambda: None
    ) -> None:
        """``exact`` says what it is packed in, where that stands for exactly the base's weights; some ms."""
        self.path = f"fast path, {precision}"
        self.exact = exact
        self.precision: Precision = precision
        self.shape = shape
        self._stepper = stepper

    def dress(self, adapter: VerifiedAdapter) -> Outfit:
        """See ``Decoder.dress``."""
        return Outfit(adapter, self.shape, packed=self.precision != "fp32")

    def begin(self, outfit: Any, scale: float) -> Context:
        """See ``Decoder.begin``."""
        check_scale(scale)
        return FastContext(self, outfit, scale, KeysValues(self.shape), [])

    def read(
        self, ids: Sequence[int], kept: KeysValues, worn: AtScale | None, check: Check, *, every: bool
    ) -> torch.Tensor:
        """Logits after the last of ``ids``, or after each."""
        return _read(self._stepper, ids, kept, worn, check, every=every)

    def checksum(self) -> str:
        """See ``Decoder.checksum``."""
        digest = hashlib.sha256()
        for tensor in self._stepper.weights():
            digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def close(self) -> None:
        """See ``Decoder.close``."""
        self._stepper.close()


class FastContext:
    """``Context`` of a ``FastDecoder``."""

    def __init__(
        self, decoder: FastDecoder, outfit: Outfit | None, scale: float, kept: KeysValues, ids: list[int]
    ) -> None:
        self.ids = ids
        self._decoder = decoder
        self._outfit = outfit
        self._scale = scale
        self._kept = kept

    @property
    def bytes(self) -> int:
        """See ``Context.bytes``."""
        return self._kept.bytes

    def extend(self, ids: Sequence[int], check: Check, *, every: bool = False) -> torch.Tensor:
        """See ``Context.extend``."""
        # Asked for each time: a context at rest must not hold factors that its outfit let go.
        worn = None if self._outfit is None else self._outfit.at(self._scale)
        logits = self._decoder.read(ids, self._kept, worn, check, every=every)
        self.ids += ids
        return logits

    def can_cut(self, length: int) -> bool:
        """See ``Context.can_cut``."""
        return length <= len(self.ids)

    def cut(self, length: int) -> None:
        """See ``Context.cut``."""
        self._kept.length = length
        del self.ids[length:]

    def copy(self, length: int) -> FastContext:
        """See ``Context.copy``."""
        return FastContext(self._decoder, self._outfit, self._scale, self._kept.copy(length), self.ids[:length])


def open_fast(
    folder: Path, hashed: str, kept: Path, kernels: Path, precision: Precision, encode: Callable[[str], list[int]]
) -> FastDecoder:
    """Load the base in ``folder``, whose weights have the hash ``hashed``, for decoding on the CPU.

    ``kept`` is where its packed form is kept, ``kernels`` where compiled code is, ``encode`` the base's tokenizer.

    Raises:
        UnknownShape: the fast path does not know this base or this machine.
    """
    shape = read_shape(folder)
    weights = _mapped(folder, shape)
    try:
        kernel = load_kernel(kernels)
    except Exception as error:  # numba and LLVM raise anything on a machine they do not know
        raise UnknownShape(f"numba cannot compile here ({type(error).__name__}: {error})") from error
    rotary, threads = Rotary(shape.inverse_frequencies), torch.get_num_threads()

    def loss(form: Form) -> float:
        stepper, room = Stepper(kernel, weights, shape, rotary, form, threads), KeysValues(shape)
        with closing(stepper):
            return measure(lambda ids: _read(stepper, ids, room, None, lambda: None, every=True), encode(TEXT))

    packing = Packing(weights, shape, hashed, kept)
    form = packing.form(precision, loss)

    if packing.has_worked and form.precision != "fp32":
        weights = _mapped(folder, shape)  # anew: the pages of all that was read go
        packing = Packing(weights, shape, hashed, kept)
        give_back()

    def exact() -> Form | None:
        return form if form.precision != "fp32" and packing.is_exact(form) else None

    return FastDecoder(shape, Stepper(kernel, weights, shape, rotary, form, threads), form.precision, exact)


def _mapped(folder: Path, shape: Shape) -> Weights:
    try:
        return arrange(map_weights(weight_files(folder)), shape)
    except (OSError, ValueError) as error:
        raise UnknownShape(f"its weights cannot be mapped ({error})") from error


def _read(
    stepper: Stepper, ids: Sequence[int], kept: KeysValues, worn: AtScale | None, check: Check, *, every: bool
) -> torch.Tensor:
    """As ``Context.extend``, in calls that are short enough to be cancelled between them."""
    length, found, logits = kept.length, [], torch.empty(0)
    try:
        for start in range(0, len(ids), stepper.most):
            check()
            part = ids[start : start + stepper.most]
            logits = stepper.step(part, kept, worn, len(part) if every else 1)
            if every:
                found.append(logits.clone())
    except BaseException:
        kept.length = length
        raise
    # Copied by numpy: torch would wake its OpenMP team, which then spins beside the next step.
    return torch.cat(found) if every else torch.from_numpy(logits[0].numpy().copy())
