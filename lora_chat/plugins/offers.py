"""What a plugin has registered, as it is remembered. Owns the way into plain data and back; never holds code.

It is asked for once, when the plugin is enabled, and kept beside the hash it was enabled with: a start reads it
and runs nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from lora_chat.text import clean_line

_LONGEST = {"name": 32, "help": 54, "suffix": 16, "table": 32, "arguments": 24}
_CALLED = {
    "importers": "importer {}",
    "exporters": "exporter {}",
    "engines": "engine {}",
    "commands": "command {}",
    "example_filters": "example filter {}",
    "model_sources": "model source {}",
}


@dataclass(frozen=True)
class Offer:
    """One thing of a plugin."""

    name: str
    help: str = ""
    suffix: str = ""
    """Of an exporter: its files' ending."""
    suffixes: tuple[str, ...] = ()
    """Of an importer: the endings that are worth a sniff."""
    table: str = ""
    """Of an engine: where its settings stand."""
    arguments: str = ""
    """Of a command: what may follow it."""


@dataclass(frozen=True)
class Offers:
    """All of them, by hook."""

    importers: tuple[Offer, ...] = ()
    exporters: tuple[Offer, ...] = ()
    engines: tuple[Offer, ...] = ()
    commands: tuple[Offer, ...] = ()
    example_filters: tuple[Offer, ...] = ()
    model_sources: tuple[Offer, ...] = ()

    @property
    def told(self) -> str:
        """Such as ``importer chatgpt; exporter html``."""
        return "; ".join(called(hook.name, one.name) for hook in fields(self) for one in getattr(self, hook.name))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


NOTHING = Offers()


def called(hook: str, name: str) -> str:
    """One thing of a hook: ``example filter brief``."""
    return _CALLED[hook].format(name) if hook in _CALLED else f"{hook.removesuffix('s')} {name}"


def read_offers(value: Any) -> Offers:
    """Read what ``plain`` made, or a plugin's process sent: cleaned, cut, and checked in its types.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, dict):
        raise ValueError("its offers are no object")
    return Offers(**{each.name: tuple(map(_offer, _list(value.get(each.name, [])))) for each in fields(Offers)})


def _offer(value: Any) -> Offer:
    if not isinstance(value, dict):
        raise ValueError("an offer is no object")
    texts = {}
    for key, longest in _LONGEST.items():
        if not isinstance(text := value.get(key, ""), str):
            raise ValueError(f"the {key} of an offer is no text")
        texts[key] = clean_line(text, longest)
    suffixes = tuple(clean_line(str(each), 16) for each in _list(value.get("suffixes", [])))
    return Offer(**texts, suffixes=suffixes)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > 100:
        raise ValueError("offers are no list of up to a hundred")
    return list(value)
