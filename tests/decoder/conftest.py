"""What decoder tests ask: tiny random bases of every known kind, decoders on them, and what transformers says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.adapters.verify import load_verified
from lora_chat.config import Precision
from lora_chat.decoder.compiled import load_kernel
from lora_chat.decoder.fast import FastDecoder
from lora_chat.decoder.lora import Outfit
from lora_chat.decoder.packing import Form, Packing
from lora_chat.decoder.parts import Weights, arrange
from lora_chat.decoder.plan import MATRICES
from lora_chat.decoder.quantise import unpack
from lora_chat.decoder.rotary import Rotary
from lora_chat.decoder.shape import Shape, read_shape
from lora_chat.decoder.step import Stepper
from lora_chat.decoder.weights import map_weights
from lora_chat.models.installed import InstalledBase, weight_files
from tests.conftest import CHATML, installed, write_tokenizer

COMMON: dict[str, Any] = {
    "num_hidden_layers": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 1,
    "bos_token_id": 0,
    "pad_token_id": 1,
}
LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama",
        "hidden_size": 96,
        "intermediate_size": 160,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "tie_word_embeddings": False,
    },
    "llama3": {
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rope_parameters": LLAMA3,
        "tie_word_embeddings": True,
    },
    "qwen2": {
        "model_type": "qwen2",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "tie_word_embeddings": False,
    },
    "qwen3": {
        "model_type": "qwen3",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "tie_word_embeddings": True,
    },
    "bfloat16": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    },
}
"""Bases that differ in all that the fast path can tell apart."""


def write_base(folder: Path, kind: str, seed: int = 1) -> None:
    """A random base; norms and biases too, which transformers makes all ones and zeros."""
    from transformers import AutoConfig, AutoModelForCausalLM

    size = write_tokenizer(folder, specials=["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=CHATML)
    settings = {**COMMON, **KINDS[kind], "vocab_size": size + 3}  # as many bases, some ids are nobody's
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.3 if parameter.dim() == 1 else 0.12)
            if "norm" in name:
                parameter += 1.0
    model.to(getattr(torch, settings.get("dtype", "float32"))).save_pretrained(folder)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], InstalledBase]:
    """The base of a kind, made at its first use."""
    bases: dict[str, InstalledBase] = {}

    def make(kind: str) -> InstalledBase:
        if kind not in bases:
            root = tmp_path_factory.mktemp(kind)
            write_base(root / f"tiny-{kind}", kind)
            bases[kind] = installed(root / f"tiny-{kind}", root / "home")
        return bases[kind]

    return make


@pytest.fixture(scope="session", params=list(KINDS))
def base(request: pytest.FixtureRequest, made: Callable[[str], InstalledBase]) -> InstalledBase:
    """Each kind of base in turn."""
    return made(request.param)


@pytest.fixture(scope="session")
def llama(made: Callable[[str], InstalledBase]) -> InstalledBase:
    """Where one base is enough."""
    return made("llama")


@dataclass(frozen=True)
class Parts:
    """What a decoder is made of."""

    shape: Shape
    weights: Weights
    form: Form
    stepper: Stepper
    decoder: FastDecoder

    def read(self, ids: Sequence[int], outfit: Outfit | None = None, scale: float = 1.0) -> torch.Tensor:
        """Logits after each of ``ids``, read at once."""
        return self.decoder.begin(outfit, scale).extend(ids, nothing, every=True)


Open = Callable[..., Parts]
"""``Open(base, precision, threads)``."""


@pytest.fixture(scope="session")
def kernels(request: pytest.FixtureRequest) -> Path:
    """Where compiled code is kept from one run of the tests to the next."""
    return request.config.cache.mkdir("kernels")


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory, kernels: Path) -> Iterator[Open]:
    """Opens a decoder; the same one when it is asked for again. All are closed in the end."""
    parts: dict[tuple[object, ...], Parts] = {}
    folder = tmp_path_factory.mktemp("packed")
    with ExitStack() as stack:

        def open_one(base: InstalledBase, precision: Precision = "fp32", threads: int = 2) -> Parts:
            key = base.folder, precision, threads
            if key not in parts:
                parts[key] = make_parts(base, folder / base.name, kernels, precision, threads)
                stack.enter_context(closing(parts[key].decoder))
            return parts[key]

        yield open_one


def make_parts(
    base: InstalledBase, kept: Path, kernels: Path, precision: Precision = "fp32", threads: int = 2
) -> Parts:
    """A decoder of one's own, as ``open_fast`` makes it; it must be closed."""
    shape = read_shape(base.folder)
    weights = arrange(map_weights(weight_files(base.folder)), shape)
    form = Packing(weights, shape, base.signature.weights, kept).form(precision, never)
    stepper = Stepper(load_kernel(kernels), weights, shape, Rotary(shape.inverse_frequencies), form, threads)
    return Parts(shape, weights, form, stepper, FastDecoder(shape, stepper, form.precision))


def never(form: Form) -> float:
    """For precisions that are asked for."""
    raise AssertionError(f"{form.precision} was measured")


def nothing() -> None:
    """A check that finds nothing."""


def dress(parts: Parts, base: InstalledBase, folder: Path) -> Outfit:
    return parts.decoder.dress(load_verified(folder, base.signature))


def draw(count: int, seed: int = 0) -> list[int]:
    """Token ids that every base has."""
    return torch.randint(0, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def reference(base: InstalledBase, adapter: Path | None = None, scale: float = 1.0) -> Any:
    """The same base on transformers, wearing ``adapter`` by plain PEFT."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
    if adapter is None:
        return model
    worn = PeftModel.from_pretrained(model, str(adapter)).eval()
    for layer in worn.modules():
        if isinstance(layer, LoraLayer):
            layer.scaling["default"] *= scale
    return worn


def logits_of(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """After each of ``ids``."""
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([list(ids)])).logits[0]
    return logits


def load_unpacked(model: Any, form: Form) -> None:
    """Let ``model`` have the weights that ``form`` stands for."""
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(unpack(form.head))
        for layer, packed in zip(model.model.layers, form.layers, strict=True):
            for name, matrix in zip(MATRICES, packed, strict=True):
                module = layer.get_submodule(name)
                getattr(module, "base_layer", module).weight.copy_(unpack(matrix))
