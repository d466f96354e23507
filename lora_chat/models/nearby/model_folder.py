"""A folder that transformers may load as a base. Owns what its configuration and headers say; never reads a weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_chat.models.installed import check_loadable, weight_files
from lora_chat.models.nearby.find import Facts
from lora_chat.models.nearby.within import Within
from lora_chat.models.sizes import Sizes

_LONGEST_CONFIG, _LONGEST_INDEX = 1 << 20, 1 << 25
"""Bytes."""
_WRITE_TEXT = ("ForCausalLM", "LMHeadModel", "Gemma3ForConditionalGeneration")
"""How the names of those architectures end that continue a text."""
_FAMILIES = {"gemma3": "gemma3_text"}
_WINDOWS = ("max_position_embeddings", "n_positions", "max_sequence_length")
_MOST_LAYERS, _WIDEST = 1000, 1 << 20


def folder_facts(folder: Path, within: Within) -> Facts | None:
    """What lies in ``folder``; None where it is no whole base that can be used where it lies.

    Left out are adapters, what continues no text, quantised weights, pickles, and downloads that did not end.

    Raises:
        RefusedError: its weights are damaged, or it says so little that they cannot be found.
        OSError, ValueError, TypeError, KeyError, RecursionError: its files are not what they are called.
    """
    files = within.files(folder)
    if "config.json" not in files or "tokenizer.json" not in files or "adapter_config.json" in files:
        return None
    config = within.read_json(files["config.json"], _LONGEST_CONFIG)
    if not _continues_text(config) or {"quantization_config", "quantization"} & config.keys():
        return None
    if not _has_all_weights(folder, files, within):
        return None
    check_loadable(folder)
    text = config.get("text_config")
    text = text if isinstance(text, dict) else config
    return Facts(
        bytes=sum(file.stat().st_size for file in files.values()),
        parameters=_parameters(folder, config, text),
        context_window=next(filter(None, (_number(text, name, 1 << 30) for name in _WINDOWS)), 0),
        sizes=_sizes(text),
    )


def _continues_text(config: Mapping[str, Any]) -> bool:
    named = config.get("architectures")
    return isinstance(named, list) and any(isinstance(each, str) and each.endswith(_WRITE_TEXT) for each in named)


def _has_all_weights(folder: Path, files: Mapping[str, Path], within: Within) -> bool:
    whole, index = "model.safetensors", "model.safetensors.index.json"
    if whole in files:
        return True
    if (folder / whole).exists() or index not in files:  # a link that leads out
        return False
    shards = within.read_json(files[index], _LONGEST_INDEX)["weight_map"].values()
    return all(isinstance(shard, str) and shard in files for shard in shards)


def _parameters(folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]) -> int:
    """Counted from the headers; a tied output head that is stored all the same is not counted twice."""
    from safetensors import safe_open

    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    count = 0
    for file in weight_files(folder):
        with safe_open(str(file), framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                if tied and name == "lm_head.weight":
                    continue
                each = 1
                for length in tensors.get_slice(name).get_shape():
                    each *= length
                count += each
    return count


def _sizes(text: Mapping[str, Any]) -> Sizes | None:
    family = text.get("model_type")
    layers = _number(text, "num_hidden_layers", _MOST_LAYERS)
    hidden, heads = _number(text, "hidden_size"), _number(text, "num_attention_heads", 1 << 12)
    wide = _number(text, "intermediate_size") or _number(text, "ffn_dim")
    if not (isinstance(family, str) and layers and hidden and wide and heads):
        return None
    kv_heads = _number(text, "num_key_value_heads", 1 << 12) or heads
    each = _number(text, "head_dim") or hidden // heads
    family = _FAMILIES.get(family, family)[:40]
    return Sizes(family, layers, hidden, wide, heads, kv_heads, each, _number(text, "vocab_size"))


def _number(config: Mapping[str, Any], name: str, most: int = _WIDEST) -> int:
    value = config.get(name, 0)
    return value if type(value) is int and 0 < value <= most else 0
