"""The rotary embedding of a GGUF model. Owns putting back what transformers' conversion drops of it; reads no file.

llama.cpp's ``convert_hf_to_gguf`` writes it as fields and as the tensor ``rope_freqs``, a divisor for each frequency.
Without that a Llama 3.2 would run and be another model, its slow waves 32 times too fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_chat.errors import RefusedError
from lora_chat.models.sources.gguf import GgufHead
from lora_chat.text import clean_line

FACTORS = "rope_freqs.weight"
_READ_BY_TRANSFORMERS = ("gpt-oss", "gemma4")
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What llama.cpp's converter takes for granted, as every Llama 3.1 to 3.3 has it."""


def check_rope(file: Path, head: GgufHead) -> None:
    """Refuse a ``file`` whose rotary embedding a conversion would lose.

    Raises:
        RefusedError: naming the kind.
    """
    if head.architecture in _READ_BY_TRANSFORMERS:
        return
    kind = str(_field(head, "rope.scaling.type", "none"))
    if _field(head, "rope.scaling.attn_factor", None) is not None and kind in ("none", "linear"):
        kind = "longrope"  # as Phi has it, which names no kind
    if kind not in ("none", "linear"):
        raise _lost(file, f"a rotary embedding of the kind {clean_line(kind, 40)}")


def restore_rope(file: Path, config: Any, head: GgufHead, factors: Sequence[float] = ()) -> None:
    """Have ``config`` say the base frequency, the scaling and the ``factors`` (head size / 2) that ``file`` does.

    Raises:
        RefusedError: factors of no kind that transformers has.
    """
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, dict) or head.architecture in _READ_BY_TRANSFORMERS:
        return
    is_flat = "rope_theta" in rope
    rope = rope if is_flat else rope.get("full_attention", {})  # Gemma 3 scales those layers alone
    if is_flat and (theta := _number(head, "rope.freq_base")):
        rope["rope_theta"] = theta
    factor = _number(head, "rope.scaling.factor")
    if _field(head, "rope.scaling.type", "none") == "linear" and factor not in (0, 1):
        rope |= {"rope_type": "linear", "factor": factor}
    if any(each != 1 for each in factors):
        if not is_flat or not _are_llama3(factors, rope["rope_theta"]):
            raise _lost(file, "a rotary embedding with factors unlike Llama 3's")
        rope |= {"rope_type": "llama3", "factor": max(factors), **_LLAMA3}


def _are_llama3(factors: Sequence[float], theta: float) -> bool:
    expected = (_llama3_factor(theta ** (-i / len(factors)), max(factors)) for i in range(len(factors)))
    return all(math.isclose(each, other, rel_tol=1e-3) for each, other in zip(factors, expected, strict=True))


def _llama3_factor(frequency: float, factor: float) -> float:
    """What a frequency is divided by: 1 for short waves, ``factor`` for long ones, in between between them."""
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    turns = _LLAMA3["original_max_position_embeddings"] * frequency / (2 * math.pi)
    smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
    return 1 / ((1 - smooth) / factor + smooth)


def _field(head: GgufHead, name: str, default: object) -> object:
    fields: Mapping[str, object] = head.fields
    return fields.get(f"{head.architecture}.{name}", default)


def _number(head: GgufHead, name: str) -> float:
    value = _field(head, name, 0.0)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _lost(file: Path, what: str) -> RefusedError:
    return RefusedError(f"{file} has {what}, which a conversion would lose: pull the model's safetensors instead.")
