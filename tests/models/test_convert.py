"""GGUF to safetensors, and what the linear modules are: on tiny models, with the real libraries."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models.convert import convert_gguf, describe
from lora_chat.models.sources.gguf import read_head
from tests.models.conftest import HIDDEN, LAYERS, TEMPLATE, WIDE, quiet, weights, write_gguf


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def test_the_converted_weights_are_the_ones_in_the_file(converted: Path) -> None:
    found = load_file(converted / "model.safetensors")
    for layer in range(LAYERS):
        expected = torch.from_numpy(weights(f"blk.{layer}.ffn_down.weight", (HIDDEN, WIDE)))
        assert torch.equal(found[f"model.layers.{layer}.mlp.down_proj.weight"], expected)
    assert all(tensor.dtype == torch.float32 for tensor in found.values())


def test_the_folder_loads_as_it_is_and_speaks(converted: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(converted, local_files_only=True)
    tokenizer = _tokenizer(converted)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False)
    assert text == "<|im_start|>user\nab<|im_end|>\n"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert torch.isfinite(model(ids).logits).all()
    assert model.generation_config.eos_token_id == 2
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.model_max_length == 128


def test_digits_are_split_one_by_one_where_the_file_says_smollm(converted: Path, tmp_path: Path) -> None:
    """The vocabulary has a merge "1 2": only the Digits step keeps it from being used."""
    other = tmp_path / "other"
    convert_gguf(write_gguf(tmp_path / "other.gguf", pre="gpt-2"), other, quiet)
    assert _tokenizer(converted).tokenize("12") == ["1", "2"]
    assert _tokenizer(other).tokenize("12") == ["12"]
    assert _tokenizer(converted).decode(_tokenizer(converted).encode("a  1 é🎉")) == "a  1 é🎉"


def test_the_tokenizer_names_a_class_that_every_reader_knows(converted: Path) -> None:
    settings = json.loads((converted / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (converted / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE


def test_converting_prints_nothing_and_tells_its_steps(
    tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, float, float]] = []
    convert_gguf(tiny_gguf, tmp_path / "out", lambda what, done, total: seen.append((what, done, total)))
    assert capfd.readouterr() == ("", "")
    steps = list(dict.fromkeys(what for what, _, _ in seen))
    assert steps == ["Converting the tokenizer", "Converting the weights", "Saving"]
    assert ("Converting the weights", 20, 20) in seen


def test_converting_and_describing_never_go_online(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(self: socket.socket, address: object) -> None:
        pytest.fail(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **_: pytest.fail(f"a look-up of {words[0]}"))
    convert_gguf(tiny_gguf, tmp_path / "out", quiet)
    describe(tmp_path / "out")


def test_describe_lists_the_linear_modules_without_the_head(converted: Path) -> None:
    described = describe(converted)
    assert described.architecture == "LlamaForCausalLM"
    assert described.context_window == 128
    assert len(described.modules) == 7 * LAYERS
    assert described.modules["model.layers.1.mlp.up_proj"] == (WIDE, HIDDEN)
    assert described.modules["model.layers.0.self_attn.k_proj"] == (HIDDEN // 2, HIDDEN)
    assert not any("lm_head" in name for name in described.modules)
    stored = load_file(converted / "model.safetensors")
    assert described.parameters == sum(tensor.numel() for tensor in stored.values())  # the tied head is stored once


def test_describe_knows_gpt2_whose_linear_layers_are_turned(tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=64, vocab_size=50).save_pretrained(tmp_path)
    described = describe(tmp_path)
    assert described.modules["transformer.h.0.attn.c_attn"] == (24, 8)
    assert described.modules["transformer.h.0.mlp.c_proj"] == (8, 32)
    assert described.context_window == 64


def test_describe_knows_opt(tmp_path: Path) -> None:
    from transformers import OPTConfig

    config = OPTConfig(
        hidden_size=8, word_embed_proj_dim=8, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=50
    )
    config.save_pretrained(tmp_path)
    assert describe(tmp_path).modules["model.decoder.layers.0.fc1"] == (16, 8)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "no-such-thing"},
        {"model_type": "t5"},
        {"auto_map": {"AutoConfig": "code.Evil", "AutoModelForCausalLM": "code.Evil"}, "model_type": "evil"},
        {"model_type": "llama", "hidden_size": -1},
        {},
    ],
)
def test_describe_refuses_what_it_cannot_use(tmp_path: Path, config: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(RefusedError, match="is not a base model lora-chat can use"):
        describe(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_head_says_what_the_file_holds(tiny_gguf: Path, converted: Path) -> None:
    head = read_head(tiny_gguf)
    assert head.pre_tokenizer == "smollm"
    assert head.fields["llama.context_length"] == 128
    assert head.elements == sum(tensor.numel() for tensor in load_file(converted / "model.safetensors").values())


def test_a_file_cut_anywhere_in_its_head_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    data, cut = tiny_gguf.read_bytes(), tmp_path / "cut.gguf"
    for length in range(0, data.rindex(b"output_norm.weight"), 97):
        cut.write_bytes(data[:length])
        with pytest.raises(RefusedError, match="not a whole GGUF file"):
            read_head(cut)


@pytest.mark.parametrize("position", [4, 8, 12, 16, 20, 24, 30, 40, 60])
def test_a_head_with_wild_numbers_is_refused_quickly(tiny_gguf: Path, tmp_path: Path, position: int) -> None:
    data = bytearray(tiny_gguf.read_bytes())
    data[position : position + 4] = b"\xff\xff\xff\xff"
    wild = tmp_path / "wild.gguf"
    wild.write_bytes(bytes(data))
    with pytest.raises(RefusedError):
        convert_gguf(wild, tmp_path / "out", quiet)


def test_a_file_cut_in_its_weights_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:-2_000])
    with pytest.raises(RefusedError, match="cannot be converted"):
        convert_gguf(cut, tmp_path / "out", quiet)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="check the path"):
        convert_gguf(tmp_path / "none.gguf", tmp_path / "out", quiet)


def test_a_model_of_the_old_kind_gets_the_tokenizer_that_chatting_needs(tmp_path: Path) -> None:
    """OPT on the hub has a vocabulary and merges, no tokenizer.json; what is made of them prepends OPT's ``</s>``."""
    from lora_chat.chat.conversation import Role, Turn
    from lora_chat.models.convert import write_fast_tokenizer
    from lora_chat.models.prompt import load_prompt_format
    from tests.conftest import write_tokenizer

    write_tokenizer(tmp_path / "new", specials=["<pad>", "</s>"], eos="</s>")
    model = json.loads((tmp_path / "new" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    old = tmp_path / "opt"
    old.mkdir()
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    settings = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    settings |= {"add_bos_token": True, "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"}  # type: ignore[dict-item]
    (old / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (old / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    (old / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (old / "config.json").write_text(json.dumps({"model_type": "opt", "eos_token_id": 1}), encoding="utf-8")

    write_fast_tokenizer(old)

    prompt = load_prompt_format(old)
    ids = prompt.encode_prompt([Turn(Role.USER, "Who are you?")])
    assert prompt.tokenizer.decode(ids, skip_special_tokens=False) == "</s>Q: Who are you?\nA:"
