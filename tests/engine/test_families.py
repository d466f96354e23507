"""The families people use, each as a tiny random model: chat, adapters and training are transformers' and PEFT's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.adapters.verify import load_verified
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Request, TextChunk, Worn
from lora_chat.models.base_model import load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.training.dataset import tokenise
from lora_chat.training.events import Trained
from lora_chat.training.job import read_job
from lora_chat.training.recipe import target_modules
from tests.conftest import CHATML, installed, write_tokenizer
from tests.engine.conftest import GREEDY, LESSONS, QUESTION, finish, make_adapter, make_job, short_recipe, user
from tests.engine.test_local import plain

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
GEMMA3 = {**SHAPE, "head_dim": 32, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
"""What it is asked is longer than the window."""
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
"""For pictures: it has more layers than what reads text."""
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**SHAPE, "head_dim": 32},
    "llama-3.2": {
        **SHAPE, "model_type": "llama", "head_dim": 32, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        },
    },
    "qwen2": {**SHAPE, "hidden_size": 128},
    "qwen3": {**SHAPE, "head_dim": 32},
    "gemma3_text": GEMMA3,
    "gemma3": {
        "text_config": GEMMA3, "vision_config": {**TOWER, "image_size": 56, "patch_size": 14}, "mm_tokens_per_image": 4,
        "image_token_index": 2, "boi_token_index": 3, "eoi_token_index": 4, "tie_word_embeddings": True,
    },
    "phi3": {**SHAPE, "tie_word_embeddings": False},
    "phi-4-mini": {
        **SHAPE, "model_type": "phi3", "partial_rotary_factor": 0.75, "original_max_position_embeddings": 512,
        "sliding_window": 1024, "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 10_000.0, "partial_rotary_factor": 0.75,
            "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0, 2.5], "long_factor": [1.0, 1.2, 2.0, 4.0, 8.0, 16.0],
            "original_max_position_embeddings": 512,
        },
    },
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "opt": {
        "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 64,
        "max_position_embeddings": 512,
    },
}  # fmt: skip
FAST = {"llama", "llama-3.2", "qwen2", "qwen3"}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """One of each family, whose weights are large enough to say many things."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("family") / f"tiny-{request.param}"
    size = write_tokenizer(folder, specials=["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=CHATML)
    torch.manual_seed(5)
    ends = {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    family = dict(FAMILIES[request.param])
    kind = family.pop("model_type", request.param)
    if "text_config" in family:  # and what is for pictures beside it
        family = {**family, "text_config": {"vocab_size": size, **family["text_config"], **ends}}
    config = AutoConfig.for_model(kind, vocab_size=size, **ends, **family)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() == 2 and "embed" not in name and "wte" not in name and "wpe" not in name:
                weights.mul_(4)
    model.save_pretrained(folder)
    return installed(folder, tmp_path_factory.mktemp("family-home"))


def test_what_is_trained_and_counted_is_what_text_goes_through(base: InstalledBase) -> None:
    tree, seen = load_base_model(base.name, base.folder).tree, set[str]()
    for name in base.signature.modules:
        tree.get_submodule(name).register_forward_hook(lambda *_, name=name: seen.add(name))
    with torch.inference_mode():
        tree(input_ids=torch.arange(5, 12)[None])
    assert set(base.signature.text_modules) == seen
    assert (seen == set(base.signature.modules)) == (base.signature.architecture != "Gemma3ForConditionalGeneration")
    assert set(target_modules(base.signature, short_recipe(targets="all", upper=1.0))) == seen


def test_it_takes_the_fast_path_where_its_shape_is_known(base: InstalledBase, tmp_path: Path) -> None:
    engine = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")
    way = "fast path, fp32" if base.name.removeprefix("tiny-") in FAST else "general path ("
    assert engine.load().decoding.startswith(way)
    engine.close()


def test_what_counts_in_training_is_what_it_would_say(base: InstalledBase) -> None:
    prompt = load_base_model(base.name, base.folder).prompt
    answers = {each.messages[-1].content for each in LESSONS}
    for example in tokenise(LESSONS, prompt):
        said = [token for token, counts in zip(example.ids, example.supervised, strict=True) if counts]
        assert prompt.decode(said[:-1]) in answers
        assert said[-1] in prompt.end_ids


@pytest.mark.parametrize("worn", [False, True], ids=["base", "adapter"])
def test_it_says_what_transformers_and_peft_say(base: InstalledBase, worn: bool, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "red", base, 1) if worn else None
    engine = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")
    prompt = load_base_model(base.name, base.folder).prompt
    ids = prompt.encode_prompt(user(QUESTION))
    settings: Any = {"do_sample": False, "max_new_tokens": 24, "pad_token_id": 1}
    with torch.inference_mode():
        expected = plain(base, adapter).generate(input_ids=torch.tensor([ids]), **settings)[0, len(ids) :].tolist()
    chunks = list(engine.generate(Request(user(QUESTION), adapter, replace(GREEDY, max_tokens=24))))
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
    assert (text, finish(iter(chunks)).generated_tokens) == (prompt.decode(expected), len(expected))
    engine.close()


def test_what_it_was_taught_is_plain_peft(base: InstalledBase, tmp_path: Path) -> None:
    engine = LocalEngine(base, Kept(tmp_path, tmp_path), "fp32")
    job = make_job(tmp_path / "training", name="taught", max_steps=6)
    *_, last = engine.train(job)
    assert isinstance(last, Trained)
    assert last.losses[-1] < last.losses[0]
    folder = Path(last.folder)
    adapted = set(load_verified(folder, base.signature).layout.modules)
    assert adapted == set(target_modules(base.signature, read_job(job).recipe)) <= set(base.signature.text_modules)
    taught = Worn("taught", folder, hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest())
    loaded = engine._load()
    ids = loaded.prompt.encode_prompt(user(QUESTION))
    expected = []
    for worn in (taught, make_adapter(tmp_path / "red", base, 1), None):
        outfit = None if worn is None else loaded.wardrobe.dress(worn).outfit
        found = loaded.decoder.begin(outfit, 1.0).extend(ids, lambda: None, every=True)
        with torch.inference_mode():
            expected.append(plain(base, worn)(input_ids=torch.tensor([ids])).logits[0])
        assert (found - expected[-1]).abs().max() <= 1e-4
    assert all((worn - expected[-1]).abs().max() > 1e-2 for worn in expected[:-1])
    engine.close()
