"""The person's own base models. Owns the entries of ``config.toml`` and what is wrong with them; never fetches one.

Problems are values: a wrong entry is told in a sentence that names file and entry and says what to do; it hides nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_chat.config import BASES, load_config, load_own_bases
from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.hub import is_hub_id, split_hub
from lora_chat.models import catalog
from lora_chat.models.catalog import CATALOG, is_name, local_entry, resolve
from lora_chat.models.entry import CatalogEntry, FolderSource, GgufSource, HubSource
from lora_chat.models.hubs import lineage_on, placed
from lora_chat.models.nearby import Nearby, Surroundings, look_around
from lora_chat.text import clean_line, spelt

_LONGEST = 200
"""Characters of a text."""
_MOST = 10**13
"""Parameters and bytes: far above any model, far below what overflows."""
KEYS: dict[str, tuple[type, str]] = {
    "source": (str, "a text in quotes"),
    "revision": (str, "a text in quotes"),
    "description": (str, "a text in quotes"),
    "licence": (str, "a text in quotes"),
    "template": (str, "a text in quotes"),
    "languages": (list, "a list of texts in quotes"),
    "parameters": (int, "a whole number"),
    "download_bytes": (int, "a whole number"),
    "context_window": (int, "a whole number"),
    "gated": (bool, "true or false"),
    "thinking": (bool, "true or false"),
}
"""Each key of an entry; all but ``source`` may be left out."""


@dataclass(frozen=True)
class Problem:
    """An entry that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Own:
    """The person's entries, the usable and the wrong."""

    entries: tuple[CatalogEntry, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_own(config: Path) -> Own:
    """Read the entries of ``config``.

    Raises:
        RefusedError: the file is no TOML, or its ``bases`` is no table.
    """
    entries, problems = [], []
    for name, found in load_own_bases(config).items():
        try:
            entries.append(_entry(name, found, f'The base model "{clean_line(name, 80)}" in {config}'))
        except RefusedError as error:
            problems.append(Problem(name, str(error)))
    return Own(tuple(entries), tuple(problems))


def find_entry(text: str, config: Path, *, around: bool = True) -> CatalogEntry:
    """What ``text`` means, the person's own entries and the hub of their settings included, and what lies on this
    machine unless not ``around``.

    Raises as ``catalog.resolve``, ``read_own`` and ``load_config``, and:

    Raises:
        RefusedError: it names an own entry that is wrong, saying how.
    """
    own = read_own(config)
    if text.casefold() not in {entry.name for entry in CATALOG}:
        for problem in own.problems:
            if problem.name == text:
                raise RefusedError(problem.reason)
    found = found_here(config, own).entries if around else ()
    return placed(resolve(text, own.entries, found), load_config(config).hub)


def found_here(config: Path, own: Own) -> Nearby:
    """The bases that lie on this machine and are not lora-chat's yet, the person's folders included.

    Raises:
        RefusedError: the settings cannot be used.
    """
    around = Surroundings.here(load_config(config).model_folders)
    return look_around(around, (*catalog.CATALOG, *own.entries))


def _entry(name: str, found: Any, what: str) -> CatalogEntry:
    if not is_name(name):
        raise RefusedError(f'{what} needs another name: use up to 64 of a-z, 0-9, ".", "_" and "-".')
    _refuse_taken(name, what)
    if not isinstance(found, dict):
        raise RefusedError(f"{what} is no table: write [{BASES}.{name}] and its source below.")
    for key, value in found.items():
        if isinstance(value, dict) and key not in KEYS:
            whole = f"{name}.{clean_line(key, 80)}"
            raise RefusedError(f'{what} has a table inside: a name with a dot stands in quotes, [{BASES}."{whole}"].')
        _check(key, value, what)
    if "source" not in found:
        raise RefusedError(f"{what} has no source: add a hub id org/name, a folder, or a .gguf file.")
    return _described(_placed(name, found, what), found)


def _refuse_taken(name: str, what: str) -> None:
    for entry in CATALOG:
        if name in {each.casefold() for each in (entry.name, *entry.aliases)}:
            raise RefusedError(f"{what} has a name of the shipped {entry.name}: choose another.")


def _check(key: str, value: Any, what: str) -> None:
    if key not in KEYS:
        raise RefusedError(
            f'{what} has an unknown "{clean_line(key, 80)}"{did_you_mean(key, KEYS) or ": remove that line."}'
        )
    kind, called = KEYS[key]
    texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    if type(value) is not kind or not all(isinstance(each, str) for each in texts):
        raise RefusedError(f'The "{key}" of {_inside(what)} must be {called}, not {clean_line(spelt(value), 80)}.')
    if len(texts) > _LONGEST or not all(clean_line(each) and len(each) <= _LONGEST for each in texts):
        raise RefusedError(f'The "{key}" of {_inside(what)} must be of 1 to {_LONGEST} characters: correct it.')
    if isinstance(value, int) and kind is int and not 1 <= value <= _MOST:
        raise RefusedError(
            f'The "{key}" of {_inside(what)} must lie between 1 and {_MOST:,}: correct it or leave it out.'
        )


def _inside(what: str) -> str:
    return f"t{what[1:]}"


def _placed(name: str, found: Mapping[str, Any], what: str) -> CatalogEntry:
    """The bare entry: where it comes from, and so what adapters call it."""
    source, revision = found["source"], found.get("revision")
    hub, repo = split_hub(source)
    if is_hub_id(repo) and not repo.casefold().endswith(".gguf"):
        return CatalogEntry(name=name, lineage=lineage_on(hub, repo), source=HubSource(repo, revision, hub))
    if revision is not None:
        raise RefusedError(f"{what} has a revision, which only a hub id can have: remove that line.")
    try:
        path = Path(source).expanduser()
    except RuntimeError:  # an unknown ~user
        path = Path(source)
    if not path.is_absolute():
        raise RefusedError(
            f'The "source" of {_inside(what)} is no hub id org/name and no full path: write one, such as '
            f'"Qwen/Qwen3-0.6B" or "~/models/mine".'
        )
    if path.suffix.casefold() == ".gguf":
        return replace(local_entry(path.with_suffix(""), GgufSource(path)), name=name)
    return replace(local_entry(path, FolderSource(path)), name=name)


def _described(entry: CatalogEntry, found: Mapping[str, Any]) -> CatalogEntry:
    """With what the person says of it, every text cleaned."""
    parameters = found.get("parameters", 0)
    on_hub = isinstance(entry.source, HubSource)
    size = found.get("download_bytes", 2 * parameters if on_hub else 0)
    return replace(
        entry,
        own=True,
        parameters=parameters,
        download_bytes=size,
        installed_bytes=size,
        description=clean_line(found.get("description", "")),
        licence=clean_line(found.get("licence", "")),
        template=clean_line(found.get("template", "")),
        languages=tuple(clean_line(each) for each in found.get("languages", ())),
        context_window=found.get("context_window", 0),
        gated=found.get("gated", False),
        thinking=found.get("thinking"),
    )
