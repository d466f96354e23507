"""The families people use, each as a tiny random model: chat, adapters and training are transformers' and PEFT's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Request, TextChunk, Worn
from lora_chat.models.base_model import load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import Trained
from tests.conftest import CHATML, installed, write_tokenizer
from tests.engine.conftest import GREEDY, QUESTION, finish, make_adapter, make_job, user
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
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**SHAPE, "head_dim": 32},
    "qwen2": SHAPE,
    "qwen3": {**SHAPE, "head_dim": 32},
    "gemma3_text": {
        **SHAPE, "head_dim": 32, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"],
    },
    "phi3": {**SHAPE, "tie_word_embeddings": False},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "opt": {
        "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 64,
        "max_position_embeddings": 512,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """One of each family, whose weights are large enough to say many things."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("family") / f"tiny-{request.param}"
    size = write_tokenizer(folder, specials=["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=CHATML)
    torch.manual_seed(5)
    ends = {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    config = AutoConfig.for_model(request.param, vocab_size=size, **ends, **FAMILIES[request.param])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() == 2 and "embed" not in name and "wte" not in name and "wpe" not in name:
                weights.mul_(4)
    model.save_pretrained(folder)
    return installed(folder, tmp_path_factory.mktemp("family-home"))


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
