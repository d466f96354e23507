"""Families of models through a GGUF and back: what is converted answers as the model that the file was written of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

from lora_chat.models.convert import convert_gguf
from tests.models.conftest import quiet

TOKENS = ["<e>", "<s>", "<t>", *sorted(ByteLevel.alphabet()), "ab"]
HIDDEN, WIDE, LAYERS, HEADS, KEYS, EPSILON, THETA = 32, 64, 2, 4, 2, 1e-5, 500_000.0

SHAPE = {
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEYS,
    "rms_norm_eps": EPSILON,
    "max_position_embeddings": 128,
    "vocab_size": len(TOKENS),
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2 = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "vocab_size": len(TOKENS), "eos_token_id": 2}


def _model(kind: str, shape: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **shape)
    rope = config.rope_parameters if kind != "gpt2" else None
    if rope:
        (rope if "rope_theta" in rope else rope["full_attention"])["rope_theta"] = THETA
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) / 4
    return model


def _as_llama_cpp(architecture: str, name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What its converter does to some tensors."""
    if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = HEADS if "q_proj" in name else KEYS
        values = values.reshape(heads, 2, -1, HIDDEN).swapaxes(1, 2).reshape(values.shape)
    if architecture.startswith("gemma") and "norm" in name:
        values = values + 1
    if architecture == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        values = values.T
    return np.ascontiguousarray(values)


def _write(file: Path, architecture: str, model: Any, head_size: int) -> None:
    writer = GGUFWriter(str(file), architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_key_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 3 + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    names = {own: theirs for theirs, own in get_gguf_hf_weights_map(model, processor).items()}
    for name, parameter in model.named_parameters():
        writer.add_tensor(names[name], _as_llama_cpp(architecture, name, parameter.detach().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("architecture", "kind", "shape", "head_size"),
    [
        ("llama", "llama", SHAPE, 8),
        ("llama", "llama", SHAPE | {"tie_word_embeddings": True}, 8),
        ("qwen2", "qwen2", SHAPE | {"tie_word_embeddings": True}, 8),
        ("qwen3", "qwen3", SHAPE | {"tie_word_embeddings": True}, 128),
        ("gemma2", "gemma2", SHAPE | {"head_dim": 8}, 8),
        ("gemma3", "gemma3_text", SHAPE | {"head_dim": 8}, 8),
        ("phi3", "phi3", SHAPE, 8),
        ("gpt2", "gpt2", GPT2, 8),
    ],
    ids=["llama", "llama tied", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2"],
)
def test_a_family_answers_as_before(
    tmp_path: Path, architecture: str, kind: str, shape: dict[str, Any], head_size: int
) -> None:
    model = _model(kind, shape)
    _write(tmp_path / "it.gguf", architecture, model, head_size)
    convert_gguf(tmp_path / "it.gguf", tmp_path / "out", quiet)
    converted = AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True).eval()
    ids = torch.arange(3, 100)[None]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, converted(ids).logits)
