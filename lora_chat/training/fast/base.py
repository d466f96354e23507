"""A base as the fast path trains it. Owns its parts and their names; never runs a layer. [torch]"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from lora_chat.decoder.packing import Form
from lora_chat.decoder.parts import Weights, arrange
from lora_chat.decoder.plan import MATRICES
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import Shape, UnknownShape, read_shape
from lora_chat.decoder.weights import map_weights
from lora_chat.models.installed import weight_files
from lora_chat.models.prompt import PromptFormat
from lora_chat.training.fast.stored import AsStored, FromPacked, Stored

CPU = torch.device("cpu")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class FastBase:
    """What a training needs of a base that the fast path knows."""

    name: str
    prompt: PromptFormat
    shape: Shape
    weights: Weights
    """As they are stored."""
    exact: Form | None = None
    """What replies are made with, where it stands for exactly the same weights."""
    kernels: Path | None = None
    """Where compiled code is kept."""
    products: torch.dtype = torch.float32
    """In which the products of a step are made: bfloat16 where the processor multiplies that twice as fast."""
    device: torch.device = CPU

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

    def stored(self) -> Stored:
        """Its matrices; each training opens them for itself."""
        if self.exact is not None and self.kernels is not None:
            with suppress(Exception):  # numba and LLVM raise anything on a machine they do not know
                return FromPacked(self.exact, self.kernels, self.weights)
        return AsStored(self.weights)

    def rotary(self) -> Rotary:
        """Its turns, a table of the caller's own."""
        return Rotary(self.shape.inverse_frequencies)


def open_fast_base(
    name: str, folder: Path, prompt: PromptFormat, exact: Form | None = None, kernels: Path | None = None
) -> FastBase:
    """Map the weights of the base in ``folder``; for the rest see ``FastBase``.

    Raises:
        UnknownShape: the fast path does not know it.
    """
    shape = read_shape(folder)
    try:
        weights = arrange(map_weights(weight_files(folder), widen=False), shape, _DTYPES)
    except (OSError, ValueError) as error:
        raise UnknownShape(f"its weights cannot be mapped ({error})") from error
    return FastBase(name, prompt, shape, weights, exact, kernels, fastest_products())


def fastest_products() -> torch.dtype:
    """What this processor multiplies fastest of that in which training works: x86 says it, others do as before."""
    says = torch.cpu.get_capabilities()
    return torch.bfloat16 if says.get("avx512_bf16") or says.get("amx_bf16") else torch.float32


def module_name(layer: int, matrix: int) -> str:
    """As transformers calls it: ``model.layers.0.mlp.up_proj``."""
    return f"model.layers.{layer}.{MATRICES[matrix]}"
