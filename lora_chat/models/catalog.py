"""Base models by name. Owns what each name means and where it comes from; never fetches or opens one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lora_chat.errors import NotFoundError, RefusedError, did_you_mean
from lora_chat.hub import is_hub_id, split_hub
from lora_chat.models.entry import CatalogEntry, FolderSource, GgufSource, HubSource, Source, WheelSource, WrittenSource
from lora_chat.models.hubs import from_hub, lineage_on
from lora_chat.models.shipped import EMBEDDED, SHIPPED
from lora_chat.text import clean_line

__all__ = [
    "CATALOG",
    "EMBEDDED",
    "CatalogEntry",
    "FolderSource",
    "GgufSource",
    "HubSource",
    "Source",
    "WheelSource",
    "WrittenSource",
    "as_name",
    "checked_name",
    "is_name",
    "local_entry",
    "renamed",
    "resolve",
    "with_found",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


CATALOG: tuple[CatalogEntry, ...] = SHIPPED


def resolve(text: str, own: Iterable[CatalogEntry] = (), found: Iterable[CatalogEntry] = ()) -> CatalogEntry:
    """Say what ``text`` means: a catalog name, a folder, a ``.gguf`` file, a base that was found on this machine, or a
    hub id ``org/name``, in this order.

    ``own`` are the person's entries, which stand behind the shipped ones. A ``found`` one that has the name of one of
    these is that one, and is given in its place. ``modelscope:`` and ``huggingface:``
    before a name or an id say where it is fetched, whatever was found.

    Raises:
        NotFoundError: none of these, naming the nearest catalog name.
    """
    there = (*CATALOG, *own)
    known, others = with_found(there, found)
    return (
        _in_catalog(text, known)
        or from_hub(text, there)
        or _on_disk(text)
        or _in_catalog(text, others)
        or _hub_id(text)
        or _nothing(text, (*known, *others))
    )


def with_found(
    known: Iterable[CatalogEntry], found: Iterable[CatalogEntry]
) -> tuple[tuple[CatalogEntry, ...], tuple[CatalogEntry, ...]]:
    """The ``known`` entries, each as it was ``found`` if it was, and the other found ones."""
    by_name = {entry.name: entry for entry in found}
    return tuple(by_name.pop(entry.name, entry) for entry in known), tuple(by_name.values())


def checked_name(name: str) -> str:
    """Return ``name`` if it can be a base model's name.

    Raises:
        RefusedError: other characters than a-z, 0-9, ``.``, ``_`` and ``-``, or too long.
    """
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f'"{clean_line(name, 80)}" cannot be a base model\'s name: use up to 64 of a-z, 0-9, ".", "_" and "-".'
        )
    return name


def is_name(text: str) -> bool:
    """Whether ``text`` can be a base model's name, and so a folder's."""
    return bool(_NAME.fullmatch(text))


def _in_catalog(text: str, known: Iterable[CatalogEntry]) -> CatalogEntry | None:
    wanted = text.casefold()
    for entry in known:
        if wanted in {name.casefold() for name in (entry.name, entry.lineage, *entry.aliases)}:
            return entry
    return None


def _on_disk(text: str) -> CatalogEntry | None:
    if not text:  # to Path, nothing is the working folder
        return None
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            return local_entry(path, FolderSource(path.resolve()))
        if path.suffix.casefold() == ".gguf" and path.is_file():
            return local_entry(path.with_suffix(""), GgufSource(path.resolve()))
    except (OSError, ValueError, RuntimeError):  # a name too long for the file system, a NUL byte, an unknown ~user
        return None
    return None


def local_entry(path: Path, source: FolderSource | GgufSource) -> CatalogEntry:
    """Name a local model after its file or folder, or after its repository inside a hub cache."""
    for part in path.resolve().parts:
        if part.startswith("models--") and part.count("--") == 2:
            lineage = part.removeprefix("models--").replace("--", "/")
            break
    else:
        lineage = path.resolve().name
    return CatalogEntry(name=as_name(lineage), lineage=lineage, source=source)


def _hub_id(text: str) -> CatalogEntry | None:
    hub, repo = split_hub(text)
    if not is_hub_id(repo):
        return None
    return CatalogEntry(name=as_name(repo), lineage=lineage_on(hub, repo), source=HubSource(repo, hub=hub))


def as_name(lineage: str) -> str:
    """A base model's name made of ``lineage``'s last part."""
    name = re.sub(r"[^a-z0-9._-]+", "-", lineage.rsplit("/", 1)[-1].casefold()).strip("._-")
    return name[:64] or "model"


def _nothing(text: str, known: Iterable[CatalogEntry]) -> CatalogEntry:
    shown = clean_line(text, 120)
    hint = did_you_mean(text, [entry.name for entry in known]) or "."
    none = f'"{shown}" is no base model in the catalog, no folder, no .gguf file and no hub id like org/name{hint}'
    raise NotFoundError(" ".join((none, "Run `lora-chat model list` to see the catalog.")))


def renamed(entry: CatalogEntry, name: str | None) -> CatalogEntry:
    """The same entry under another name; None keeps it."""
    return replace(entry, name=checked_name(name)) if name else entry
