"""``adapter list`` and ``adapter info``: what there is. Owns how it is shown; never opens a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_chat.cli.adapter.options import Json, Name
from lora_chat.cli.adapter.places import places

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Adapter


def list_adapters(json: Json = False) -> None:
    """List the adapters that can be worn, and the folders that cannot."""
    from lora_chat.adapters.index import Index
    from lora_chat.cli.console import answer_json, answer_table, note

    index = Index(places()[0])
    catalog = index.catalog()
    if json:
        problems = [{"path": str(problem.path), "reason": problem.reason} for problem in catalog.problems]
        answer_json({"adapters": [_row(adapter) for adapter in catalog.adapters], "problems": problems})
        index.keep()  # the sums of what has no adapter.toml: they take reading every byte
        return
    answer_table(
        ["NAME", "VERSION", "RANK", "SIZE", "FROM", "DESCRIPTION"], [_cells(each) for each in catalog.adapters]
    )
    for problem in catalog.problems:
        note(problem.reason)


def info(name: Name, json: Json = False) -> None:
    """Say what is known of one adapter."""
    from lora_chat.adapters.index import Index
    from lora_chat.adapters.outgoing.card import figures
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.text import clean_line

    facts = _facts(Index(places()[0]).catalog().get(name))
    if json:
        answer_json(facts)
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            for name, figure in figures(value, f"{key}, "):
                answer(clean_line(f"{name}: {figure}"))
        elif value not in (None, "", []):
            answer(f"{key.replace('_', ' ')}: {clean_line(_plain(value))}")


def _row(adapter: Adapter) -> dict[str, Any]:
    return {
        "name": adapter.name,
        "version": adapter.version,
        "description": adapter.description,
        "base_model": adapter.base_model,
        "rank": adapter.rank,
        "parameters": adapter.parameters,
        "bytes": adapter.bytes,
        "sha256": adapter.sha256,
        "origin": adapter.origin,
        "path": str(adapter.path),
    }


def _cells(adapter: Adapter) -> list[str]:
    size = f"{adapter.bytes / 1e6:.1f} MB"
    return [adapter.name, adapter.version, str(adapter.rank), size, adapter.origin, adapter.description]


def _facts(adapter: Adapter) -> dict[str, Any]:
    manifest = adapter.manifest
    return _row(adapter) | {
        "license": manifest.license,
        "authors": list(manifest.authors),
        "private": manifest.private,
        "targets": list(adapter.targets),
        "system_prompt": adapter.system_prompt,
        "temperature": adapter.temperature,
        "base_fingerprint": manifest.base.fingerprint,
        "base_weights": manifest.base.weights,
        "starters": list(adapter.starters),
        "training": dict(manifest.training),
        "evaluation": dict(manifest.evaluation),
    }


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " · ".join(map(str, value)) if isinstance(value, list) else str(value)
