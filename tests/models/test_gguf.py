"""Tiny GGUF files of each kind: what is expanded exactly, what is refused from the head, where a reply ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file

from lora_chat.errors import RefusedError
from lora_chat.models import convert
from lora_chat.models.catalog import CatalogEntry, GgufSource
from lora_chat.models.convert import convert_gguf
from lora_chat.models.convertible import check_convertible
from lora_chat.models.prompt import load_prompt_format
from lora_chat.models.sources import pull
from lora_chat.models.sources.gguf import GgufHead, read_head
from lora_chat.paths import Paths
from tests.models.conftest import HEADS, LAYERS, quiet, sha256, write_gguf

Numbers = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_PARTS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "attn_output": "self_attn.o_proj",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _blocks(kind: Kind, name: str, shape: tuple[int, ...]) -> Bytes:
    """Random blocks whose scales, which are half floats at fixed places, are small."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(len(name))
    blocks = rng.integers(0, 256, (shape[0], shape[1] // size, width), dtype=np.uint8)
    for place in {Kind.Q4_K: (0, 2), Kind.Q6_K: (208,), Kind.Q5_0: (0,)}[kind]:
        scales = rng.uniform(1e-4, 1e-2, (*blocks.shape[:2], 1)).astype("<f2")
        blocks[..., place : place + 2] = scales.view(np.uint8)
    return blocks.reshape(shape[0], -1)


def _store(kinds: dict[str, Kind], kept: dict[str, Numbers]) -> Any:
    """Store the matrices by ``kinds`` (part of a name, "" for the others); ``kept`` gets what gguf-py reads of them."""

    def store(name: str, values: Numbers) -> tuple[np.ndarray[Any, Any], Kind]:
        kind = next((kind for part, kind in kinds.items() if part in name), Kind.F32)
        made = kind in (Kind.Q4_K, Kind.Q6_K, Kind.Q5_0)  # gguf-py cannot write these, or need not
        data = _blocks(kind, name, values.shape) if made else gguf.quantize(values, kind)
        kept[name] = gguf.dequantize(data, kind)
        return data, kind

    return store


def _name(tensor: str) -> str:
    if tensor in _PARTS:
        return _PARTS[tensor]
    _, layer, part, _ = tensor.split(".")
    return f"model.layers.{layer}.{_PARTS[part]}.weight"


@pytest.mark.parametrize(
    "kinds",
    [
        {"": Kind.F32},
        {"": Kind.F16},
        {"": Kind.BF16},
        {"": Kind.Q4_0},
        {"": Kind.Q4_1},
        {"": Kind.Q5_0},
        {"": Kind.Q8_0},
        {"": Kind.Q4_K},
        {"": Kind.Q6_K},
        {"ffn_down": Kind.Q6_K, "attn_v": Kind.Q6_K, "token_embd": Kind.Q6_K, "": Kind.Q4_K},  # Q4_K_M
    ],
    ids=lambda kinds: "+".join(sorted({kind.name for kind in kinds.values()})),
)
def test_every_format_is_expanded_to_the_very_numbers(tmp_path: Path, kinds: dict[str, Kind]) -> None:
    kept: dict[str, Numbers] = {}
    file = write_gguf(tmp_path / "it.gguf", hidden=256, wide=512, store=_store(kinds, kept))
    assert set(read_head(file).types) == {int(kind) for kind in kinds.values()} | {int(Kind.F32)}
    convert_gguf(file, tmp_path / "out", quiet)
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert len(kept) == 7 * LAYERS + 1
    for tensor, values in kept.items():
        if "attn_q" in tensor or "attn_k" in tensor:  # llama.cpp has the rows of each head in another order
            heads = HEADS if "attn_q" in tensor else 2
            values = values.reshape(heads, -1, 2, 256).swapaxes(1, 2).reshape(values.shape)
        assert torch.equal(found[_name(tensor)], torch.from_numpy(values.copy())), tensor
    assert all(tensor.dtype == torch.float32 and torch.isfinite(tensor).all() for tensor in found.values())


# Refused from its head


def _with_type(file: Path, number: int) -> Path:
    """``file`` with another type for the first tensor whose name is its embedding's."""
    data = bytearray(file.read_bytes())
    at = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 2 * 8
    data[at : at + 4] = number.to_bytes(4, "little")
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    ("number", "name"), [(15, "Q8_K"), (26, "I32"), (28, "F64"), (41, "Q1_0"), (31, "number 31"), (2**32 - 1, "number")]
)
def test_an_unsupported_type_is_refused_before_anything_is_converted(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    monkeypatch.setattr(convert, "convert_gguf", lambda *_: pytest.fail("it was converted"))
    file = _with_type(write_gguf(tmp_path / "odd.gguf"), number)
    with pytest.raises(RefusedError) as refused:
        pull(CatalogEntry("odd", "someone/odd", GgufSource(file)), paths, quiet)
    said = str(refused.value)
    assert f"{file} has tensors of the type {name}" in said
    assert "token_embd.weight" in said
    assert "choose a file of F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K, Q5_1, Q5_0, Q4_1 or Q4_0." in said
    assert "\n" not in said


@pytest.mark.parametrize("architecture", ["clip", "t5", "deci", "general", "tokenizer", "rwkv6", "\x1b[31mred"])
def test_an_unsupported_architecture_is_refused_before_anything_is_converted(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(convert, "convert_gguf", lambda *_: pytest.fail("it was converted"))
    file = write_gguf(tmp_path / "odd.gguf", architecture=architecture)
    with pytest.raises(RefusedError) as refused:
        pull(CatalogEntry("odd", "someone/odd", GgufSource(file)), paths, quiet)
    said = str(refused.value)
    assert f"{file} has the architecture {architecture.lstrip(chr(27))}, which cannot be converted" in said
    assert all(f"{known}," in said for known in ("gemma2", "gemma3", "gpt-oss", "llama", "phi3", "qwen2", "qwen3"))
    assert not {"\n", "\x1b"} & set(said)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen2moe", "qwen3", "gemma3", "phi3", "gpt2", "lfm2"])
def test_the_usual_architectures_and_types_pass(architecture: str) -> None:
    for number in (0, 1, 2, 3, 8, 12, 14, 30):
        check_convertible(Path("it.gguf"), GgufHead({"general.architecture": architecture}, 1, {number: "it"}))


def test_a_type_counts_for_the_architecture_that_has_it() -> None:
    """transformers unpacks Q5_0 of a Llama with gguf-py; those it unpacks itself, it cannot."""
    own = GgufHead({"general.architecture": "lfm2"}, 1, {int(Kind.Q5_0): "it"})
    with pytest.raises(RefusedError, match=r"of the type Q5_0 .* Q4_K, Q4_1 or Q4_0"):
        check_convertible(Path("it.gguf"), own)


def test_one_part_of_several_is_refused() -> None:
    part = GgufHead({"general.architecture": "llama", "split.count": 3}, 1, {0: "it"})
    with pytest.raises(RefusedError, match=r"it\.gguf is one of 3 parts of a model: join them"):
        check_convertible(Path("it.gguf"), part)


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "less.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(RefusedError, match=r'lacks 1 of its weights, "model\.layers\.1\.mlp\.up_proj\.weight" first'):
        convert_gguf(file, tmp_path / "out", quiet)
    assert not list((tmp_path / "out").iterdir())


# What lies beside it


@pytest.fixture
def planted(tiny_gguf: Path, tmp_path: Path) -> Iterator[Path]:
    """The file among others that transformers would follow, and that note when they are run."""
    folder = tmp_path / "planted"
    folder.mkdir()
    file = Path(folder / "tiny.gguf")
    file.write_bytes(tiny_gguf.read_bytes())
    other = write_gguf(tmp_path / "other.gguf", pre="gpt-2")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(other.parent)}), encoding="utf-8"
    )
    code = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "planted.X")
    settings = {"auto_map": code | {"AutoTokenizer": ["planted.X", None]}, "eos_token": "a", "padding_side": "left"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "auto_map": code}), encoding="utf-8")
    (folder / "generation_config.json").write_text('{"eos_token_id": 7}', encoding="utf-8")
    (folder / "chat_template.jinja").write_text("planted", encoding="utf-8")
    (folder / "planted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    yield file
    assert not (tmp_path / "ran").exists()


def test_what_lies_beside_the_file_changes_nothing_runs_nothing_and_asks_nothing(
    planted: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    monkeypatch.chdir(planted.parent)
    convert_gguf(planted, tmp_path / "out", quiet)
    assert _hashes(tmp_path / "out") == _hashes(converted)
    convert_gguf(Path("tiny.gguf"), tmp_path / "again", quiet)
    assert _hashes(tmp_path / "again") == _hashes(converted)


def test_a_file_of_that_name_where_one_works_is_not_taken(
    tiny_gguf: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny.gguf", "model.gguf"):
        write_gguf(tmp_path / name, hidden=32)
    monkeypatch.chdir(tmp_path)
    convert_gguf(tiny_gguf, tmp_path / "out", quiet)
    assert _hashes(tmp_path / "out") == _hashes(converted)


@pytest.mark.parametrize("refused", [("symlink",), ("symlink", "link")], ids=["a hard link", "a copy"])
def test_where_no_link_can_be_made_the_file_is_brought_otherwise(
    planted: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not here")

    for name in refused:
        monkeypatch.setattr(f"os.{name}", refuse)
    before = sha256(planted)
    convert_gguf(planted, tmp_path / "out", quiet)
    assert _hashes(tmp_path / "out") == _hashes(converted)
    assert sha256(planted) == before


def _hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


# Where a reply ends


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({}, {2}),
        ({"eot": 1}, {1, 2}),
        ({"eot": 1, "eom": 0}, {0, 1, 2}),
        ({"eot": 2}, {2}),
        ({"eot": 10**9}, {2}),
    ],
)
def test_a_reply_ends_at_every_token_that_the_head_says(
    tmp_path: Path, ends: dict[str, int], expected: set[int]
) -> None:
    convert_gguf(write_gguf(tmp_path / "it.gguf", ends=ends), tmp_path / "out", quiet)
    assert load_prompt_format(tmp_path / "out").end_ids == expected
    named = json.loads((tmp_path / "out" / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    assert named == (2 if expected == {2} else [2, *sorted(expected - {2}, reverse=True)])
