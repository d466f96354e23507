"""A tiny random Llama, adapters that real PEFT saved for it, and folders written by hand, byte by byte."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.adapters.signature import BaseSignature
from lora_chat.paths import Paths

HIDDEN, INNER, HEADS, KV_HEADS, LAYERS, VOCABULARY = 32, 48, 4, 2, 2, 64
MODULES: dict[str, tuple[int, int]] = {
    f"model.layers.{layer}.{name}": shape
    for layer in range(LAYERS)
    for name, shape in {
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
        "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
    }.items()
}
SIGNATURE = BaseSignature(
    lineage="tiny/Llama-Random",
    architecture="LlamaForCausalLM",
    modules=MODULES,
    fingerprint="sha256:" + "1" * 64,
    weights="sha256:" + "2" * 64,
    chat_template="sha256:" + "3" * 64,
    aliases=("tiny",),
)
TARGETS = ("q_proj", "v_proj")
NUMPY_KINDS = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "F64": np.float64,
    "BOOL": bool,
}

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def config(**changes: Any) -> dict[str, Any]:
    """What PEFT 0.21 writes for a plain adapter on q and v, with ``changes``; a value of ``...`` leaves the key out."""
    value: dict[str, Any] = {
        "alora_invocation_tokens": None, "alpha_pattern": {}, "arrow_config": None, "auto_mapping": None,
        "base_model_name_or_path": "tiny/Llama-Random", "bias": "none", "corda_config": None,
        "ensure_weight_tying": False, "eva_config": None, "exclude_modules": None, "fan_in_fan_out": False,
        "inference_mode": True, "init_lora_weights": True, "kasa_config": None, "layer_replication": None,
        "layers_pattern": None, "layers_to_transform": None, "loftq_config": {}, "lora_alpha": 16, "lora_bias": False,
        "lora_dropout": 0.05, "lora_ga_config": None, "megatron_config": None, "megatron_core": "megatron.core",
        "modules_to_save": None, "monteclora_config": None, "peft_type": "LORA", "peft_version": "0.21.2",
        "qalora_group_size": 16, "r": 4, "rank_pattern": {}, "revision": None, "target_modules": list(TARGETS),
        "target_parameters": None, "task_type": "CAUSAL_LM", "trainable_token_indices": None, "use_bdlora": None,
        "use_dora": False, "use_qalora": False, "use_rslora": False, "velora_config": None,
    }  # fmt: skip
    return {key: each for key, each in (value | changes).items() if each is not ...}


def tensors(rank: int = 4, dtype: str = "F32", targets: tuple[str, ...] = TARGETS, seed: int = 0) -> Tensors:
    """Random LoRA tensors with PEFT's names for every module that ends in one of ``targets``."""
    draw = np.random.default_rng(seed)
    found: Tensors = {}
    for name, (out, into) in MODULES.items():
        if name.endswith(targets):
            for side, shape in (("A", (rank, into)), ("B", (out, rank))):
                numbers = (draw.standard_normal(shape) / 8).astype(NUMPY_KINDS[dtype]).tobytes()
                found[f"base_model.model.{name}.lora_{side}.weight"] = (dtype, shape, numbers)
    return found


def safetensors(found: Tensors, **entries: Any) -> bytes:
    """A safetensors file; ``entries`` add to its header or replace what stands there."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, raw) in found.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return with_header(json.dumps(header | entries).encode(), data)


def with_header(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def write_adapter(folder: Path, settings: Any = None, weights: Any = None, toml: str | None = None) -> Path:
    """Write an adapter by hand: ``settings`` a dict or raw bytes, ``weights`` tensors or raw bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config() if settings is None else settings
    weights = tensors() if weights is None else weights
    raw = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
    (folder / "adapter_config.json").write_bytes(raw)
    raw = weights if isinstance(weights, bytes) else safetensors(weights)
    (folder / "adapter_model.safetensors").write_bytes(raw)
    if toml is not None:
        (folder / "adapter.toml").write_text(toml, encoding="utf-8")
    return folder


def paths_under(root: Path) -> Paths:
    names = ("config", "database", "adapters", "plugins", "models", "training", "lines", "presets", "copied", "logs")
    return Paths(
        **{name: root / name for name in names},
        bundled_adapters=root / "bundled" / "adapters",
        bundled_plugins=root / "bundled" / "plugins",
    )


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A home of its own in which nothing exists yet."""
    return paths_under(tmp_path / "home")


@pytest.fixture(scope="session")
def original() -> Any:
    """The tiny Llama itself; take ``llama`` instead wherever something could change it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
            num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, max_position_embeddings=128,
            tie_word_embeddings=True,
        )
    )  # fmt: skip
    return model.eval().requires_grad_(False)


@pytest.fixture
def llama(original: Any) -> Any:
    """A tiny Llama of this test's own."""
    return copy.deepcopy(original)
