"""Models and adapters in llama.cpp's format. Owns their writing; never downloads or measures.

Names and layouts as llama.cpp's ``convert_hf_to_gguf.py`` and ``convert_lora_to_gguf.py`` have them. Llama-shaped files
keep each head's two rotary halves interleaved, so the rows of q and k are permuted there; Qwen3-shaped ones are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
_PERMUTED = frozenset({"llama"})
"""Architectures whose q and k rows are."""


def gguf_name(module: str) -> str:
    """llama.cpp's name of a transformers module."""
    if module in _OUTSIDE:
        return _OUTSIDE[module]
    layer, _, rest = module.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{_MODULES[rest]}"


def write_adapter(adapter: Path, config: dict[str, Any], into: Path) -> None:
    """The PEFT folder ``adapter`` for a base with ``config`` as one GGUF file, in float32 as llama.cpp's converter."""
    import gguf
    from safetensors.numpy import load_file

    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(into, config["model_type"])
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(settings["lora_alpha"]))
    for name, weight in sorted(load_file(adapter / "adapter_model.safetensors").items()):
        module, side = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        array = weight.astype(np.float32)
        if side == "lora_B":
            array = _permuted(module, array, config)
        writer.add_tensor(f"{gguf_name(module)}.weight.{side.lower()}", array)
    _finish(writer)


def write_model(folder: Path, config: dict[str, Any], tokenizer_from: Path, into: Path, *, quantised: bool) -> None:
    """The Llama- or Qwen3-shaped model in ``folder``, with the tokenizer of another GGUF padded to its vocabulary.

    Quantised, its blocks are Q4_1 and its embedding is Q8_0; else everything is float32.
    """
    import gguf

    writer = gguf.GGUFWriter(into, config["model_type"])
    _describe(writer, config, gguf.LlamaFileType.MOSTLY_Q4_1 if quantised else gguf.LlamaFileType.ALL_F32)
    _copy_tokenizer(writer, tokenizer_from, config["vocab_size"])
    for name, weight in _weights(folder):
        module = name.removesuffix(".weight")
        if weight.ndim == 1 or not quantised:
            writer.add_tensor(f"{gguf_name(module)}.weight", _permuted(module, weight, config))
            continue
        kind = gguf.GGMLQuantizationType.Q8_0 if module == "model.embed_tokens" else gguf.GGMLQuantizationType.Q4_1
        packed = gguf.quants.quantize(_permuted(module, weight, config), kind)
        writer.add_tensor(f"{gguf_name(module)}.weight", packed, raw_dtype=kind)
    _finish(writer)


def _describe(writer: Any, config: dict[str, Any], file_type: int) -> None:
    writer.add_name(config["model_type"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(file_type)


def _permuted(module: str, rows: Any, config: dict[str, Any]) -> Any:
    """``rows`` of q and k in llama.cpp's order: each head's halves (0…h/2, h/2…h) taken in turns."""
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(module.rsplit(".", 1)[-1])
    if heads is None or rows.ndim == 1 or config["model_type"] not in _PERMUTED:
        return rows
    count = config[heads]
    return rows.reshape(count, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _weights(folder: Path) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        for name in sorted(file.keys()):
            yield name, file.get_tensor(name).float().numpy()


def _copy_tokenizer(writer: Any, source: Path, size: int) -> None:
    import gguf

    fields = gguf.GGUFReader(source).fields
    texts = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    missing = size - len(texts)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(fields["tokenizer.ggml.pre"].contents())
    writer.add_token_list([*texts, *(f"[PAD{number}]" for number in range(missing))])
    writer.add_token_types([*kinds, *[int(gguf.TokenType.UNUSED)] * missing])
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_bos_token_id(fields["tokenizer.ggml.bos_token_id"].contents())
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"].contents())
    writer.add_add_bos_token(False)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
