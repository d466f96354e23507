"""What llama.cpp calls the parts of a model and how it lays them out. Owns names and row orders; never writes a file.

As llama.cpp's ``convert_hf_to_gguf.py`` has them. Llama-shaped files keep each head's two rotary halves interleaved, so
the rows of q and k are permuted there; Qwen-shaped ones are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lora_chat.adapters.reading import shown
from lora_chat.errors import RefusedError

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""transformers' ``model_type`` to llama.cpp's ``general.architecture``."""
_PERMUTED = frozenset({"llama"})
_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_HEADS = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}


def architecture(config: Mapping[str, Any]) -> str:
    """llama.cpp's name of the architecture of a base with ``config`` (its ``config.json``).

    Raises:
        RefusedError: one whose layout is not known here, naming those that are.
    """
    kind = config.get("model_type")
    if kind not in ARCHITECTURES:
        raise RefusedError(f'A base of the kind "{shown(kind)}" cannot be written for llama.cpp: only '
                           f"{', '.join(ARCHITECTURES)} can; take --format peft or merged.")  # fmt: skip
    return ARCHITECTURES[kind]


def tensor_name(module: str) -> str:
    """llama.cpp's name of a transformers module's weight.

    Raises:
        RefusedError: a module that llama.cpp has no name for.
    """
    layer = _IN_LAYER.fullmatch(module)
    if module in _OUTSIDE:
        return f"{_OUTSIDE[module]}.weight"
    if layer and layer[2] in _MODULES:
        return f"blk.{layer[1]}.{_MODULES[layer[2]]}.weight"
    raise RefusedError(f'"{shown(module, 100)}" has no name in llama.cpp: take --format peft or merged.')


def laid_out(module: str, rows: Any, config: Mapping[str, Any]) -> Any:
    """``rows``, an array (out, …), as llama.cpp keeps them: of q and k each head's halves (0…h/2, h/2…h) in turns."""
    heads = _HEADS.get(module.rsplit(".", 1)[-1])
    if heads is None or rows.ndim == 1 or architecture(config) not in _PERMUTED:
        return rows
    count = config.get(heads) or config["num_attention_heads"]  # old configs name no heads of k and v of their own
    return rows.reshape(count, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
