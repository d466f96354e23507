"""Which GGUF files can be converted. Owns asking the installed libraries for it; never reads a weight. [torch]"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lora_chat.errors import RefusedError
from lora_chat.models.rope import check_rope
from lora_chat.models.sources.gguf import GgufHead
from lora_chat.text import clean_line

try:  # transformers 5.24 unpacks some architectures itself, the others by the gguf package
    from transformers.integrations.gguf.dequant import GGML_BLOCK as _OWN_TYPES
    from transformers.integrations.gguf.gguf_conversion_mapping import GGUF_ARCHS as _OWN_ARCHITECTURES
except ImportError:
    _OWN_TYPES, _OWN_ARCHITECTURES = {}, {}

_SPELT = {"qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gpt_oss": "gpt-oss", "minimax_m2": "minimax-m2"}
"""What transformers calls an architecture, to what llama.cpp does."""
_PLAIN = frozenset({0, 1, 30})
"""F32, F16 and BF16: numbers, not blocks."""
_USUAL = (0, 1, 30, 8, 14, 13, 12, 7, 6, 3, 2)
"""What a person may look for, best first: F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K, Q5_1, Q5_0, Q4_1, Q4_0."""


def check_convertible(file: Path, head: GgufHead) -> None:
    """Refuse, by the ``head`` of ``file``, what the installed transformers and gguf cannot convert.

    Raises:
        RefusedError: one part of several, or an architecture, tensor type or rotary embedding that is not supported.
    """
    parts = head.fields.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise RefusedError(f"{file} is one of {parts} parts of a model: join them with llama.cpp's gguf-split --merge.")
    if head.architecture not in (known := _architectures()):
        what = clean_line(head.architecture, 40) or "unnamed"
        raise RefusedError(
            f"{file} has the architecture {what}, which cannot be converted: choose a model of {_listed(known)}."
        )
    for number, tensor in head.types.items():
        if not _is_unpacked(number, head.architecture):
            usual = [_type_name(each) for each in _USUAL if _is_unpacked(each, head.architecture)]
            raise RefusedError(
                f"{file} has tensors of the type {_type_name(number)} ({clean_line(tensor, 60)} is one), which cannot "
                f"be converted: choose a file of {_listed(usual)}."
            )
    if head.architecture not in _OWN_ARCHITECTURES:
        check_rope(file, head)


def _architectures() -> list[str]:
    """Those that are causal language models, as llama.cpp calls them."""
    causal = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    # Of some (gemma3, gemma4) transformers reads the text model only.
    found = {name for name in GGUF_SUPPORTED_ARCHITECTURES if {name, f"{name}_text"} & causal}
    return sorted({_SPELT.get(name, name) for name in found} | set(_OWN_ARCHITECTURES))


def _is_unpacked(number: int, architecture: str) -> bool:
    """Whether tensors of the type ``number`` become floats; asked with one block of zeros."""
    if architecture in _OWN_ARCHITECTURES:
        return number in _PLAIN or number in _OWN_TYPES
    try:
        kind = gguf.GGMLQuantizationType(number)
        gguf.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except (ValueError, KeyError, NotImplementedError):
        return False
    return True


def _type_name(number: int) -> str:
    try:
        return str(gguf.GGMLQuantizationType(number).name)
    except ValueError:
        return f"number {number}"


def _listed(words: Iterable[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} or {last}" if before else last
