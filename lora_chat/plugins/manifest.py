"""What a plugin says of itself. Owns ``plugin.toml``; never believes more of it than its types, and runs nothing."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.adapters.reading import quoted, read_bytes, refusal, shown
from lora_chat.errors import NotFoundError, did_you_mean
from lora_chat.text import clean_line

MANIFEST_NAME = "plugin.toml"
MANIFEST_LIMIT = 64_000
"""Bytes."""
API = 1
"""The version of ``plugins/api`` that this program has."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.py")
_TEXTS = {"name": 32, "version": 40, "description": 200, "license": 60, "module": 70}
"""Each with the most characters that are shown of it."""
_KNOWN = (*_TEXTS, "authors", "api", "reads")
_ENDING = re.compile(r"\.[a-z0-9.]{1,15}")
_MOST_READ = 20


@dataclass(frozen=True)
class Reads:
    """What the files that a plugin reads are like: who has one is told of the plugin while it does not run."""

    endings: tuple[str, ...] = ()
    """Of their names, lower case with the dot; none: it does not say."""
    keys: tuple[str, ...] = ()
    """Names that all stand at the beginning of the JSON array in such a file, or in a zip of it."""


@dataclass(frozen=True)
class Manifest:
    """What stands in it, one line each and cleaned."""

    name: str
    version: str = ""
    description: str = ""
    license: str = ""
    authors: tuple[str, ...] = ()
    module: str = "plugin.py"
    """The file of the plugin's folder that has the hooks."""
    reads: Reads = Reads()


def is_name(text: str) -> bool:
    """Whether ``text`` can be a plugin's name, and so a folder's."""
    return bool(_NAME.fullmatch(text))


def read_manifest(folder: Path) -> Manifest:
    """Read the ``plugin.toml`` of ``folder``, whose name must be the plugin's.

    Raises:
        RefusedError: there is none, or what it says cannot be used.
    """
    path = folder / MANIFEST_NAME
    try:
        found = tomllib.loads(read_bytes(path, MANIFEST_LIMIT).decode("utf-8"))
    except NotFoundError as error:
        raise refusal(folder, f"it has no {MANIFEST_NAME}; write one with name and version") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise refusal(path, f"it is not valid TOML ({shown(str(error), 120)}); correct it") from error
    return _checked(found, path)


def _checked(found: dict[str, Any], path: Path) -> Manifest:
    for key in found:
        if key not in _KNOWN:
            near = did_you_mean(key, _KNOWN) or "; remove it"
            raise refusal(path, f"it has the key {quoted(key)}, which is unknown{near}")
    for key, longest in _TEXTS.items():
        if not isinstance(value := found.get(key, ""), str) or len(value) > 20 * longest:
            raise refusal(path, f"its {key} must be a short text in quotes, not {quoted(value)}; correct it")
    authors = found.get("authors", [])
    if not isinstance(authors, list) or not all(isinstance(each, str) for each in authors) or len(authors) > 50:
        raise refusal(path, 'its authors must be a list of texts, such as ["Ada"]; correct it')
    if type(api := found.get("api", API)) is not int or api != API:
        raise refusal(path, f"it is written for version {quoted(api)} of the plugins' interface, and this program has "
                            f"{API}; get the plugin for it")  # fmt: skip
    if found.get("name") != path.parent.name or not is_name(path.parent.name):
        raise refusal(path, f"its name is {quoted(found.get('name', ''))}, and must be that of its folder, up to 32 of "
                            "a-z, 0-9 and -; make them the same")  # fmt: skip
    texts = {key: clean_line(found[key], longest) for key, longest in _TEXTS.items() if found.get(key)}
    if not _MODULE.fullmatch(module := found.get("module", Manifest.module)):
        raise refusal(path, f"its module must be a file of its folder such as plugin.py, not {quoted(module)}")
    reads = _reads(found.get("reads", {}), path)
    return Manifest(**texts, authors=tuple(clean_line(each, 80) for each in authors), reads=reads)


def _reads(found: Any, path: Path) -> Reads:
    table: dict[str, Any] = found if isinstance(found, dict) else {"endings": None}
    if unknown := next((key for key in table if key not in ("endings", "keys")), None):
        raise refusal(path, f"its reads has the key {quoted(unknown)}, which is unknown; remove it")
    if not all(_are_texts(each) for each in table.values()):
        raise refusal(path, 'its reads must be a table such as { endings = [".json"], keys = ["mapping"] }; correct it')
    endings, keys = table.get("endings", []), table.get("keys", [])
    if wrong := next((each for each in endings if not _ENDING.fullmatch(each)), None):
        raise refusal(path, f"its reads needs endings such as .json in lower case, not {quoted(wrong)}; correct it")
    return Reads(tuple(endings), tuple(keys))


def _are_texts(found: object) -> bool:
    return isinstance(found, list) and len(found) <= _MOST_READ and all(isinstance(each, str) for each in found)
