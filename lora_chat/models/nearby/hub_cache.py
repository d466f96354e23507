"""The Hugging Face cache. Owns its layout: which snapshot of a model is the whole one; never decides what a base is.

Each model is a folder ``models--org--name``; ``refs/main`` names a commit, ``snapshots/<commit>`` holds its files,
links into ``blobs/`` where the system has links. Format: huggingface.co/docs/hub/local-cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lora_chat.models.entry import FolderSource
from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Find, broken
from lora_chat.models.nearby.gguf_files import gguf_finds
from lora_chat.models.nearby.model_folder import folder_facts
from lora_chat.models.nearby.within import HARM, Within

PLACE = "Hugging Face's cache"
_KIND = "models--"
_COMMIT = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z_-]{0,127}")
_LONGEST_REF = 256


def hub_cache(environ: Mapping[str, str], home: Path) -> Path:
    """Where it is, as huggingface_hub decides it."""
    for variable, below in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if said := environ.get(variable):
            return whole(said, home) / below
    return home / ".cache" / "huggingface" / "hub"


def whole(path: str, home: Path) -> Path:
    """``path`` from the top, its ``~`` replaced by ``home``."""
    return home / path[2:] if path.startswith("~/") else Path(path).absolute()


def in_hub_cache(within: Within, place: str = PLACE) -> Iterator[Find | Problem]:
    """Every base in it, one for each model, and what is broken."""
    for repo in within.folders(within.root):
        if not repo.name.startswith(_KIND):
            continue
        lineage = repo.name.removeprefix(_KIND).replace("--", "/")
        for snapshot in _snapshots(repo, within):
            found = list(_in_snapshot(snapshot, lineage, within, place))
            yield from found
            if any(isinstance(each, Find) for each in found):
                break


def _in_snapshot(snapshot: Path, lineage: str, within: Within, place: str) -> Iterator[Find | Problem]:
    try:
        facts = folder_facts(snapshot, within)
        if facts is not None:
            yield Find(place, FolderSource(snapshot), facts, lineage)
    except HARM as error:
        yield broken(snapshot, error)
    for folder in (snapshot, *within.folders(snapshot)):
        yield from gguf_finds(folder, within, place, repo=lineage)


def _snapshots(repo: Path, within: Within) -> list[Path]:
    """The one that ``main`` means, then the others, the newest first."""
    there = {folder.name: folder for folder in within.folders(repo / "snapshots")}
    try:
        main = within.read_text(repo / "refs" / "main", _LONGEST_REF).strip()
    except HARM:
        main = ""
    first = [there.pop(main)] if _COMMIT.fullmatch(main) and main in there else []
    return first + sorted(there.values(), key=_changed, reverse=True)


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
