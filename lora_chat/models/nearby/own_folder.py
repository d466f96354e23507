"""A folder that a person names in ``config.toml``. Owns what is looked for in it; never decides what a base is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_chat.models.entry import FolderSource
from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Find, broken
from lora_chat.models.nearby.gguf_files import gguf_finds
from lora_chat.models.nearby.hub_cache import in_hub_cache
from lora_chat.models.nearby.model_folder import folder_facts
from lora_chat.models.nearby.ollama import in_ollama
from lora_chat.models.nearby.within import HARM, Within

PLACE = "your folders"


def in_own_folder(within: Within) -> Iterator[Find | Problem]:
    """Every base in it and two folders down, and what is broken; a hub cache and an Ollama store are known as such."""
    root = within.root
    if (root / "manifests").is_dir() and (root / "blobs").is_dir():
        yield from in_ollama(within, PLACE)
        return
    yield from in_hub_cache(within, PLACE)
    yield from in_folder(root, within, PLACE)
    for child in within.folders(root):
        if not child.name.startswith("models--"):
            yield from in_folder(child, within, PLACE)
            for grandchild in within.folders(child):
                yield from in_folder(grandchild, within, PLACE, repo=f"{child.name}/{grandchild.name}")


def in_folder(folder: Path, within: Within, place: str, repo: str = "") -> Iterator[Find | Problem]:
    """What ``folder`` itself holds: one that transformers loads, and GGUF files."""
    try:
        facts = folder_facts(folder, within)
        if facts is not None:
            yield Find(place, FolderSource(folder), facts, repo or folder.name)
    except HARM as error:
        yield broken(folder, error)
    yield from gguf_finds(folder, within, place, repo=repo)
