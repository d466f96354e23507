"""A base as training reads it: mapped, a layer at a time. Owns where its weights lie and taking them out again. [torch]

Opened anew for each training, so that nobody else looks at these pages: each layer's are in memory while it runs and
go right after it. They come from the file again, which the machine keeps in memory where it has room, in less than a
tenth of the time that the layer takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from lora_chat.decoder.parts import Weights, arrange
from lora_chat.decoder.plan import MATRICES
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import Shape, UnknownShape, read_shape
from lora_chat.decoder.weights import map_weights
from lora_chat.memory import Mapped, unwritten
from lora_chat.models.installed import weight_files
from lora_chat.models.prompt import PromptFormat

CPU = torch.device("cpu")
HEAD_BLOCK = 8192
"""Rows of the output head that are in memory at once: 19 MB on the default base."""


@dataclass(frozen=True)
class FastBase:
    """What a training needs of a base that the fast path knows."""

    name: str
    prompt: PromptFormat
    shape: Shape
    weights: Weights
    device: torch.device = CPU
    widened: bool = False
    """See ``BaseModel.widened``: nothing is, but one matrix at a time."""

    @property
    def context_window(self) -> int:
        """In tokens."""
        return self.shape.context_window

    @property
    def parameters(self) -> int:
        """Tied ones counted once."""
        weights = self.weights
        found = [weights.embedding, weights.norm, *([] if weights.head is weights.embedding else [weights.head])]
        for layer in weights.layers:
            rest = (*layer.biases, layer.norm_1, layer.norm_2, layer.norm_q, layer.norm_k)
            found += [*layer.matrices, *(each for each in rest if each is not None)]
        return sum(each.numel() for each in found)

    def pages(self) -> tuple[list[Mapped], list[Mapped]]:
        """Of each layer's matrices, and of each block of the output head's rows."""
        among = unwritten()

        def of(tensors: Iterable[torch.Tensor]) -> Mapped:
            return Mapped(((each.data_ptr(), each.nbytes) for each in tensors), among)

        return [of(each.matrices) for each in self.weights.layers], [of([each]) for each in self.head_blocks()]

    def head_blocks(self) -> list[torch.Tensor]:
        """The output head's rows, few enough at once, (rows, hidden) each."""
        return list(self.weights.head.split(HEAD_BLOCK))

    def rotary(self) -> Rotary:
        """Its turns, a table of the caller's own."""
        return Rotary(self.shape.inverse_frequencies)


def open_fast_base(name: str, folder: Path, prompt: PromptFormat) -> FastBase:
    """Map the weights of the base in ``folder``.

    Raises:
        UnknownShape: the fast path does not know it.
    """
    shape = read_shape(folder)
    try:
        weights = arrange(map_weights(weight_files(folder)), shape)
    except (OSError, ValueError) as error:
        raise UnknownShape(f"its weights cannot be mapped ({error})") from error
    return FastBase(name, prompt, shape, weights)


def module_name(layer: int, matrix: int) -> str:
    """As transformers calls it: ``model.layers.0.mlp.up_proj``."""
    return f"model.layers.{layer}.{MATRICES[matrix]}"
