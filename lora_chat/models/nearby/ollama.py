"""Ollama's store. Owns its layout: which blob a name means; never decides what a base is.

``manifests/<registry>/<namespace>/<model>/<tag>`` lists layers by their hash, and the layer of the model is a GGUF at
``blobs/sha256-<hash>``. Newer versions keep names in ``manifests-v2``, as links to blobs, and may list several
manifests under one name, one for each runner.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_chat.models.entry import GgufSource
from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Facts, Find, broken
from lora_chat.models.nearby.gguf_model import gguf_facts
from lora_chat.models.nearby.hub_cache import whole
from lora_chat.models.nearby.within import HARM, Within

PLACE = "Ollama"
SYSTEM = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/.ollama/models"))
"""Where its service keeps them."""
_LIBRARY = ("registry.ollama.ai", "library")
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_LONGEST_MANIFEST = 1 << 20
_LAYER = "application/vnd.ollama.image."
_LIST = "application/vnd.ollama.manifest.list.v2+json"
_RUNNERS = ("ollama", "llamacpp", "")
"""That read GGUF, the best first."""
_NOTES = {
    "adapter": "Ollama's adapter on it is not taken along.",
    "projector": "Its part for pictures is not taken along.",
}


def stores(environ: Mapping[str, str], home: Path, system: tuple[Path, ...]) -> tuple[Path, ...]:
    """Where it may be: what the environment says, else the person's own and those of the service."""
    if said := environ.get("OLLAMA_MODELS"):
        return (whole(said, home),)
    return (home / ".ollama" / "models", *system)


@dataclass
class _Blob:
    """One model's file, and every name that means it."""

    file: Path
    tags: list[str] = field(default_factory=list)
    note: str = ""


def in_ollama(within: Within, place: str = PLACE) -> Iterator[Find | Problem]:
    """Every base in it, one for each file however many names it has, and what is broken."""
    blobs: dict[tuple[Path, str], _Blob] = {}
    for manifest, tag in _manifests(within):
        try:
            found = _blob(within.read_json(manifest, _LONGEST_MANIFEST), within)
        except HARM as error:
            yield broken(manifest, error)
            continue
        if found is not None:
            known = blobs.setdefault((found.file, found.note), found)
            if tag not in known.tags:
                known.tags.append(tag)
    for blob in blobs.values():
        try:
            facts = gguf_facts(blob.file)
        except HARM as error:
            wrong = broken(blob.file, error)
            yield replace(wrong, reason=f"Ollama's {blob.tags[0]} is broken: {wrong.reason}")
            continue
        if facts is not None:
            yield _find(blob, place, facts)


def _find(blob: _Blob, place: str, facts: Facts) -> Find:
    # "qwen3:latest" says less than "qwen3:0.6b".
    tags = tuple(sorted(blob.tags, key=lambda tag: (tag.endswith(":latest"), tag)))
    repos = [tag.split(":")[0].rsplit("/", 1)[-1] for tag in tags if tag.startswith("hf.co/")]
    return Find(place, GgufSource(blob.file), facts, tags[0], titles=tuple(repos), tags=tags, note=blob.note)


def _manifests(within: Within) -> Iterator[tuple[Path, str]]:
    """Each manifest and what a person calls it, such as ``qwen3:0.6b`` or ``hf.co/org/name:Q4_K_M``."""
    for top in ("manifests-v2", "manifests"):
        if not (within.root / top).is_dir():
            continue
        for registry in within.folders(within.root / top):
            for namespace in within.folders(registry):
                for model in within.folders(namespace):
                    whose = (registry.name, namespace.name)
                    named = "" if whose == _LIBRARY else f"{namespace.name}/"
                    named = named if registry.name == _LIBRARY[0] else f"{registry.name}/{named}"
                    for tag, file in within.files(model).items():
                        yield file, f"{named}{model.name}:{tag}"


def _blob(manifest: Mapping[str, Any], within: Within) -> _Blob | None:
    """The file of the model that ``manifest`` describes; None where it is none in GGUF."""
    if manifest.get("mediaType") == _LIST:
        chosen = _of_runner(manifest["manifests"])
        if chosen is None:
            return None
        manifest = chosen
        if "layers" not in manifest:
            manifest = within.read_json(_place(manifest["digest"], within), _LONGEST_MANIFEST)
    kinds = {str(layer["mediaType"]).removeprefix(_LAYER): layer["digest"] for layer in manifest["layers"]}
    if "model" not in kinds or manifest.get("format") == "safetensors":
        return None
    file = _place(kinds["model"], within)
    if not within.is_file(file):
        raise ValueError("its weights are not there")
    return _Blob(file, note=" ".join(note for kind, note in _NOTES.items() if kind in kinds))


def _of_runner(manifests: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    fitting = [each for each in manifests if str(each.get("runner", "")).casefold() in _RUNNERS]
    return min(fitting, key=lambda each: _RUNNERS.index(str(each.get("runner", "")).casefold()), default=None)


def _place(digest: object, within: Within) -> Path:
    named = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if named is None:
        raise ValueError("a layer is named by no hash")
    return within.root / "blobs" / f"sha256-{named[1]}"
