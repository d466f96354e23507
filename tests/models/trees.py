"""The folders of other programs, made small: a Hugging Face cache, an Ollama store, LM Studio's models."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from lora_chat.models.entry import CatalogEntry, HubSource
from lora_chat.models.nearby import Nearby, Surroundings, look_around
from lora_chat.models.sizes import Sizes
from tests.models.conftest import HEADS, HIDDEN, LAYERS, WIDE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGE = "application/vnd.ollama.image."

KNOWN = CatalogEntry(
    name="tiny-0.6b",
    lineage="Org/Tiny-0.6B",
    source=HubSource("Org/Tiny-0.6B"),
    aliases=("tiny-small",),
    parameters=123_456,
    licence="MIT",
    download_bytes=1_000_000,
    installed_bytes=1_000_000,
    description="Tiny.",
    gated=True,
    languages=("English",),
    context_window=99,
    thinking=True,
    template="ChatML",
    sizes=Sizes("llama", LAYERS, HIDDEN, WIDE, HEADS, 2, HIDDEN // HEADS, 0),
    ollama=("tiny:0.6b",),
)
"""A catalog's entry of the shape that ``write_gguf`` makes."""


def around(tmp_path: Path, *folders: str, **environ: str) -> Surroundings:
    """A machine whose home is ``tmp_path``."""
    return Surroundings(environ, tmp_path, folders, system=())


def look(tmp_path: Path, *folders: str, known: tuple[CatalogEntry, ...] = (KNOWN,), **environ: str) -> Nearby:
    return look_around(around(tmp_path, *folders, **environ), known)


def cache(hub: Path, model: Path, lineage: str = "Org/Tiny-0.6B", commit: str = COMMIT, *, main: bool = True) -> Path:
    """Put the files of ``model`` into the cache at ``hub`` as huggingface_hub does; return the snapshot."""
    repo = hub / f"models--{lineage.replace('/', '--')}"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir(exist_ok=True)
    for file in model.iterdir():
        blob = repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    if main:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / "main").write_text(commit, encoding="utf-8")
    return snapshot


def store(
    root: Path,
    gguf: Path,
    name: str = "registry.ollama.ai/library/tiny/0.6b",
    *,
    kinds: tuple[str, ...] = ("template", "params"),
    top: str = "manifests",
) -> Path:
    """Put ``gguf`` into the Ollama store at ``root``; return its blob."""
    blob = _blob(root, gguf.read_bytes())
    layers = [_layer("model", blob)] + [_layer(kind, _blob(root, kind.encode())) for kind in kinds]
    manifest(root, {"schemaVersion": 2, "layers": layers}, name, top=top)
    return blob


def manifest(
    root: Path, content: Any, name: str = "registry.ollama.ai/library/tiny/0.6b", *, top: str = "manifests"
) -> Path:
    file = root / top / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def _blob(root: Path, data: bytes) -> Path:
    file = root / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def _layer(kind: str, blob: Path) -> dict[str, Any]:
    return {"mediaType": IMAGE + kind, "digest": blob.name.replace("-", ":"), "size": blob.stat().st_size}
