"""The table ``[remote]`` of the settings. Owns its names, kinds and bounds; never holds a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

from lora_chat.plugins.engine_api import RefusedError, clean_line, did_you_mean, spelt

TABLE = "remote"
DIALECTS = ("auto", "openai", "vllm", "llama-server")
_SECRET = ("key", "api_key", "apikey", "token", "password", "secret", "authorization", "bearer")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Settings:
    """Every setting; a key of the table has the field's name."""

    url: str
    """The server's address, as other clients call its base URL: ``http://127.0.0.1:8000/v1``."""
    model: str = ""
    """The model's name on the server; empty takes the only one that it has."""
    dialect: str = "auto"
    """What is spoken: openai, vllm, llama-server, or auto: what the server's list of models says that it is."""
    key_variable: str = ""
    """The environment variable that holds the key; empty takes the dialect's own."""
    context_window: int = 0
    """In tokens, for a server that does not tell it; 0 takes the base model's, else 8192."""
    connect_seconds: float = 10.0
    """How long a connection may take."""
    first_seconds: float = 300.0
    """How long an answer may take to begin, its place in the server's queue and the reading of the prompt included."""
    stall_seconds: float = 60.0
    """How long an answer may stand still once it has begun."""
    retries: int = 2
    """How often a call is made again that nothing came of yet."""
    max_loaded: int = 8
    """Adapters that this program lets a vLLM server hold at once."""
    insecure: bool = False
    """Whether http:// may leave this machine: what is said, and the key, can be read on the way."""
    adapters_at: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Folders here, each with the path under which the server sees it."""
    copies: str = ""
    """The folder here for adapters that are written anew for the server; empty takes one of the system's for a time."""


_BOUNDS: dict[str, tuple[float, float]] = {
    "context_window": (0, 100_000_000),
    "connect_seconds": (0.1, 300),
    "first_seconds": (0.1, 86_400),
    "stall_seconds": (0.1, 86_400),
    "retries": (0, 10),
    "max_loaded": (1, 10_000),
}
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def read_settings(found: object) -> Settings:
    """Read what stands below ``[remote]``.

    Raises:
        RefusedError: no address, an unknown name (the nearest is named), a value of the wrong kind, or a key.
    """
    if not isinstance(found, Mapping):
        raise RefusedError(f"{TABLE} must be a table of the settings: begin it by [{TABLE}].")
    for name in found:
        if isinstance(name, str) and name.casefold().replace("-", "_") in _SECRET:
            raise RefusedError(
                f'A key never stands in the settings: remove "{clean_line(name, 40)}" below [{TABLE}], put it '
                "into an environment variable and write that one's name as key_variable."
            )
    if not found.get("url"):
        raise RefusedError(f'There is no server to ask: write url = "http://127.0.0.1:8000/v1" below [{TABLE}].')
    return Settings(**{str(name): _checked(name, value) for name, value in found.items()})


def _checked(name: Any, value: Any) -> Any:
    kinds: dict[str, type] = {each.name: type(each.default) for each in fields(Settings)} | {"url": str}
    if name not in kinds:
        hint = did_you_mean(str(name), kinds) or ": remove that line."
        raise RefusedError(f'Unknown setting "{clean_line(str(name), 60)}" below [{TABLE}]{hint}')
    if name == "adapters_at":
        return _folders(value)
    kind = kinds[name]
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise RefusedError(f'"{name}" below [{TABLE}] must be {_KINDS[kind]}, not {_told(value)}.')
    if isinstance(value, str) and (clean_line(value) != value or len(value) > 2000):
        raise RefusedError(f'"{name}" below [{TABLE}] must be one line without control characters.')
    if name == "dialect" and value not in DIALECTS:
        raise RefusedError(f'"{name}" below [{TABLE}] must be {" or ".join(DIALECTS)}, not {_told(value)}.')
    if name == "key_variable" and value and not _VARIABLE.fullmatch(value):
        raise RefusedError(
            f'"{name}" below [{TABLE}] must be the name of an environment variable in capital letters, such as '
            "VLLM_API_KEY: a key itself never stands there."
        )
    if name == "copies" and value and not _is_place(value):
        raise RefusedError(f'"{name}" below [{TABLE}] must be a full path such as "/srv/copies", not {_told(value)}.')
    low, high = _BOUNDS.get(name, (float("-inf"), float("inf")))
    if isinstance(value, int | float) and not low <= value <= high:
        raise RefusedError(f'"{name}" below [{TABLE}] must lie between {low:g} and {high:g}, not {_told(value)}.')
    return float(value) if kind is float and isinstance(value, int) else value


def _folders(value: Any) -> Mapping[str, str]:
    pairs = list(value.items()) if isinstance(value, Mapping) else []
    if not isinstance(value, Mapping) or not all(_is_place(each) for pair in pairs for each in pair):
        raise RefusedError(
            f'"adapters_at" below [{TABLE}] must hold full paths, {{ "/home/me/adapters" = "/adapters" }} for example: '
            f"not {_told(value)}."
        )
    return MappingProxyType(dict(pairs))


def _is_place(path: object) -> bool:
    return isinstance(path, str) and clean_line(path) == path and _is_whole(path)


def _is_whole(path: str) -> bool:
    """Whether it is a full path, here or on a server of another system."""
    return path.startswith("~/") or PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()


def _told(value: object) -> str:
    return clean_line(spelt(value), 120)
