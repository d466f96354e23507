"""What the fast path knows. Owns the reading of a base's ``config.json`` into a shape; never sees a weight or torch.

Known are the plain Llama blocks that most small bases share: RMSNorm, rotary positions, grouped attention, SwiGLU, with
Qwen2's biases and Qwen3's norms of query and key. Everything else runs on transformers, and ``doctor`` says why.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.decoder.plan import GROUP

_KNOWN = {"llama": False, "mistral": False, "qwen2": True, "qwen3": False}
"""Model types, and whether their query, key and value have a bias that the configuration does not mention."""


def is_known(model_type: str) -> bool:
    """Whether bases of this type are decoded here; a base of it can still be unusual."""
    return model_type in _KNOWN


class UnknownShape(Exception):
    """The fast path does not know this base; the text says why, as the end of a sentence."""


@dataclass(frozen=True)
class Shape:
    """Sizes of one Llama-shaped base."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    epsilon: float
    """Of the RMSNorms."""
    inverse_frequencies: tuple[float, ...]
    """Of the rotary embedding, radians per position, (head_dim / 2,)."""
    context_window: int
    """In tokens."""
    tied: bool | None
    """Whether the output head is the embedding; None where only the weights can tell."""
    bias: bool
    """Whether query, key and value have one."""
    head_norms: bool
    """Whether query and key are normed, head by head."""

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one position in float32."""
        return self.layers * 2 * self.kv_heads * self.head_dim * 4


def read_shape(folder: Path) -> Shape:
    """Read the shape of the base in ``folder``.

    Raises:
        UnknownShape: with what is not known about it.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnknownShape(f"its config.json cannot be read ({error})") from error
    try:
        return _shape(config)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UnknownShape(f"its config.json is unusual ({error!r})") from error


def _shape(config: dict[str, Any]) -> Shape:
    kind = config["model_type"]
    if kind not in _KNOWN:
        raise UnknownShape(f"{kind} is not one of {', '.join(_KNOWN)}")
    _refuse_extras(config)
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    size = int(config.get("head_dim") or hidden // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    if heads % kv_heads:
        raise UnknownShape(f"{heads} heads do not share {kv_heads}")
    inner = int(config["intermediate_size"])
    window = int(config.get("max_position_embeddings") or 2048)
    sizes = (heads, kv_heads, int(config["num_hidden_layers"]), int(config["vocab_size"]), window)
    if min(hidden, size, inner, *sizes) <= 0:
        raise UnknownShape("one of its sizes is not positive")
    if any(each % GROUP for each in (hidden, size, heads * size, inner)):
        raise UnknownShape(f"its sizes do not divide by {GROUP}")
    return Shape(
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        intermediate=inner,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=size,
        vocabulary=int(config["vocab_size"]),
        epsilon=float(config["rms_norm_eps"]),
        inverse_frequencies=_inverse_frequencies(config, size),
        context_window=window,
        tied=config.get("tie_word_embeddings"),
        bias=_KNOWN[kind],
        head_norms=kind == "qwen3",
    )


def _refuse_extras(config: dict[str, Any]) -> None:
    if config.get("hidden_act", "silu") != "silu":
        raise UnknownShape(f"its activation is {config['hidden_act']}")
    if config.get("mlp_bias") or (config.get("attention_bias") and config["model_type"] != "qwen2"):
        raise UnknownShape("its output or MLP has biases")
    if config.get("use_sliding_window") or (config["model_type"] == "mistral" and config.get("sliding_window", 4096)):
        raise UnknownShape("its attention looks back a limited way")
    if any(each != "full_attention" for each in config.get("layer_types") or []):
        raise UnknownShape("its layers attend in different ways")
    if config.get("quantization_config"):
        raise UnknownShape("its weights are quantised")


def _inverse_frequencies(config: dict[str, Any], size: int) -> tuple[float, ...]:
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    if float(rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0) != 1.0:
        raise UnknownShape("its positions turn a part of each head only")
    if not 1e-6 < theta < math.inf:
        raise UnknownShape(f"its positions turn by {theta}")
    plain = [theta ** (-i / size) for i in range(0, size, 2)]
    match rope.get("rope_type", rope.get("type", "default")):
        case "default":
            return tuple(plain)
        case "linear":
            return tuple(each / float(rope["factor"]) for each in plain)
        case "llama3":
            return tuple(_stretched(each, rope) for each in plain)
        case other:
            raise UnknownShape(f"its positions are of the kind {other}")


def _stretched(frequency: float, rope: dict[str, Any]) -> float:
    """Llama 3.1's scaling: slow waves stretched, fast ones left, a ramp between (transformers' ``llama3``)."""
    factor, old = float(rope["factor"]), float(rope["original_max_position_embeddings"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    turns = old * frequency / (2 * math.pi)
    if turns < low:
        return frequency / factor
    if turns > high:
        return frequency
    smooth = (turns - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency
