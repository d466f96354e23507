"""LM Studio's folder. Owns where it is and its layout, ``publisher/model/file.gguf``; never decides what a base is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_chat.models.installed import Problem
from lora_chat.models.nearby.find import Find
from lora_chat.models.nearby.own_folder import in_folder
from lora_chat.models.nearby.within import HARM, Within

PLACE = "LM Studio"
_LONGEST_POINTER, _LONGEST_SETTINGS = 1 << 12, 1 << 20


def lm_studio_folders(home: Path) -> tuple[Path, ...]:
    """Where its models may be: where its pointer and its settings say, and its usual places."""
    found = []
    for root in (_pointed(home), home / ".lmstudio"):
        if root is not None:
            found += [_set(root), root / "models"]
    return tuple(dict.fromkeys(each for each in (*found, home / ".cache" / "lm-studio" / "models") if each is not None))


def in_lm_studio(within: Within) -> Iterator[Find | Problem]:
    """Every base in it, and what is broken."""
    for publisher in within.folders(within.root):
        for model in within.folders(publisher):
            yield from in_folder(model, within, PLACE, repo=f"{publisher.name}/{model.name}")


def _pointed(home: Path) -> Path | None:
    try:
        said = Within(home).read_text(home / ".lmstudio-home-pointer", _LONGEST_POINTER).strip()
    except HARM:
        return None
    return Path(said) if said and Path(said).is_absolute() else None


def _set(root: Path) -> Path | None:
    try:
        said = Within(root).read_json(root / "settings.json", _LONGEST_SETTINGS).get("downloadsFolder")
    except HARM:
        return None
    return Path(said) if isinstance(said, str) and Path(said).is_absolute() else None
