"""Models in llama.cpp's format. Owns their writing; never downloads or measures.

Names and layouts are the package's, as an exported adapter has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_chat.models.exports.llama_cpp import architecture, laid_out, tensor_name


def write_model(folder: Path, config: dict[str, Any], tokenizer_from: Path, into: Path, *, quantised: bool) -> None:
    """The Llama- or Qwen3-shaped model in ``folder``, with the tokenizer of another GGUF padded to its vocabulary.

    Quantised, its blocks are Q4_1 and its embedding is Q8_0; else everything is float32.
    """
    import gguf

    writer = gguf.GGUFWriter(into, architecture(config))
    _describe(writer, config, gguf.LlamaFileType.MOSTLY_Q4_1 if quantised else gguf.LlamaFileType.ALL_F32)
    _copy_tokenizer(writer, tokenizer_from, config["vocab_size"])
    for name, weight in _weights(folder):
        module = name.removesuffix(".weight")
        if weight.ndim == 1 or not quantised:
            writer.add_tensor(tensor_name(module), laid_out(module, weight, config))
            continue
        kind = gguf.GGMLQuantizationType.Q8_0 if module == "model.embed_tokens" else gguf.GGMLQuantizationType.Q4_1
        packed = gguf.quants.quantize(laid_out(module, weight, config), kind)
        writer.add_tensor(tensor_name(module), packed, raw_dtype=kind)
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
