"""Places of a machine in what leaves it. Owns finding and hiding them; never looks at a disk.

The rules look at text alone, so that the same adapter becomes the same bytes on every machine.
"""

from __future__ import annotations

import re

_PATH = re.compile(r"(/|~[/\\]|\.{1,2}[/\\]|file:|\\\\|[A-Za-z]:[/\\])")
_HOME = re.compile(r"(?:(?<![\w.])/(?:home|Users)/[^/\s\"'`()<>|,;:]+|(?<![\w.])/root(?=/)"
                   r"|\b[A-Za-z]:[/\\]+Users[/\\]+[^/\\\s\"'`()<>|,;:]+)")  # fmt: skip


def is_path(text: str) -> bool:
    """Whether ``text`` begins as the path of a file does, rather than as a name or a hub id."""
    return bool(_PATH.match(text))


def without_path(text: str) -> str:
    """What a path points to, without where: its last part, or the repository inside a hub cache; a name stays."""
    if not is_path(text):
        return text
    parts = [part for part in re.split(r"[/\\]+", text) if part]
    cached = next((part for part in parts if part.startswith("models--") and part.count("--") == 2), None)
    if cached:
        return cached.removeprefix("models--").replace("--", "/")
    return parts[-1] if parts and parts[-1] not in ("~", ".", "..", "file:") else ""


def without_homes(text: str) -> str:
    """``text`` with every person's home folder written as ``~``."""
    return _HOME.sub("~", text)


def mentions_path(value: object) -> bool:
    """Whether ``value``, as parsed from JSON or TOML, is or holds a path."""
    if isinstance(value, dict):
        return any(mentions_path(each) for each in (*value, *value.values()))
    if isinstance(value, list):
        return any(mentions_path(each) for each in value)
    return isinstance(value, str) and (is_path(value) or without_homes(value) != value)


def hidden(value: object) -> object:
    """``value``, as parsed from TOML, with paths cut to their last part and homes written as ``~``."""
    if isinstance(value, dict):
        return {str(hidden(key)): hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    return without_homes(without_path(value)) if isinstance(value, str) else value
