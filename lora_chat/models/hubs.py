"""Which hub a base model comes from. Owns what the catalog's bases are called on ModelScope; never asks a hub.

Where a base is the same model, it keeps its lineage, and so its adapters, whichever hub it came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lora_chat.hub import Hub, HubName, hub_called, split_hub
from lora_chat.models.entry import CatalogEntry, HubSource, WheelSource

_ON_MODELSCOPE = {
    "meta-llama/Llama-3.2-1B-Instruct": "LLM-Research/Llama-3.2-1B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct": "LLM-Research/Llama-3.2-3B-Instruct",
    "google/gemma-3-1b-it": "LLM-Research/gemma-3-1b-it",
    "google/gemma-3-4b-it": "LLM-Research/gemma-3-4b-it",
    "microsoft/Phi-4-mini-instruct": "LLM-Research/Phi-4-mini-instruct",
}
"""Repositories that another organisation keeps there, as ms-swift's tables of models name them."""
_LINEAGES = {there.casefold(): lineage for lineage, there in _ON_MODELSCOPE.items()}


def hub_of(entry: CatalogEntry) -> Hub:
    """The hub that ``entry`` is fetched from, or would be."""
    return hub_called(entry.source.hub if isinstance(entry.source, HubSource) else None)


def placed(entry: CatalogEntry, hub: HubName) -> CatalogEntry:
    """``entry`` from ``hub``, the person's setting, unless its source is none or names one itself."""
    if hub == "huggingface" or not isinstance(entry.source, HubSource) or entry.source.hub is not None:
        return entry
    return _moved(entry, hub)


def from_hub(text: str, known: Iterable[CatalogEntry]) -> CatalogEntry | None:
    """What ``hub:name`` means where ``name`` is a name of one of ``known``, or its repository there."""
    hub, name = split_hub(text)
    if hub is None:
        return None
    wanted = lineage_on(hub, name).casefold()
    for entry in known:
        if not isinstance(entry.source, (HubSource, WheelSource)):
            continue
        if wanted in {each.casefold() for each in (entry.name, entry.lineage, *entry.aliases)}:
            return _moved(entry, hub)
    return None


def lineage_on(hub: HubName | None, repo: str) -> str:
    """What adapters call the model that ``hub`` keeps as ``repo``."""
    return _LINEAGES.get(repo.casefold(), repo) if hub == "modelscope" else repo


def _moved(entry: CatalogEntry, hub: HubName) -> CatalogEntry:
    repo, revision = entry.lineage, None
    if isinstance(entry.source, HubSource):
        repo, revision = entry.source.repo, entry.source.revision
    else:  # the catalog's wheel is smaller than the repository
        size = 2 * entry.parameters
        entry = replace(entry, download_bytes=size, installed_bytes=size)
    if hub == "huggingface":
        return replace(entry, source=HubSource(repo, revision, hub))
    there = _ON_MODELSCOPE.get(repo, repo)
    # What asks for an account at Hugging Face does not there; it says so itself where it does.
    gated = entry.gated and entry.own
    lineage = lineage_on(hub, entry.lineage)
    aliases = entry.aliases if there in (lineage, *entry.aliases) else (*entry.aliases, there)
    return replace(entry, lineage=lineage, aliases=aliases, gated=gated, source=HubSource(there, revision, hub))
