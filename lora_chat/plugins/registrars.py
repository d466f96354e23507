"""What a plugin registers and what it is called with. Owns the public types; never runs what was registered.

Raised by every ``add``: ValueError, for a name that is none or stands twice; the plugin is then switched off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.chat.conversation import Turn
from lora_chat.chat.transcript import Problem, Transcript
from lora_chat.config import BASES, KEYS, Config
from lora_chat.errors import RefusedError

if TYPE_CHECKING:
    from lora_chat.engine.protocol import Engine
    from lora_chat.models.installed import InstalledBase

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Refused(RefusedError):
    """A plugin's own no: one sentence with what, where and what to do. The person reads it, and the plugin stays on."""


@dataclass(frozen=True)
class SavedMessage(Turn):
    """One message of a saved conversation."""

    adapter: str | None = None
    """The adapter's name, for answers that wore one."""
    base: str | None = None
    """The base model's name, for answers."""
    created_at: float = 0.0
    """Unix seconds."""
    status: str = "done"
    """``done``, or why it is cut off: ``stopped``, ``interrupted``, ``failed``."""


@dataclass(frozen=True)
class SavedConversation:
    """The visible branch of a saved conversation."""

    id: str
    title: str
    system: str
    """The system prompt; empty where it has none of its own."""
    created_at: float
    """Unix seconds."""
    messages: tuple[SavedMessage, ...]


Sniff = Callable[[Path], bool]
"""Whether a file is this importer's. Has 5 s; reads no more than its beginning."""
Read = Callable[[Path], Iterable[Transcript | Problem]]
"""Yields a file's conversations one by one, and what of it is none. Has 20 s from one to the next."""
Write = Callable[[Iterator[SavedConversation]], Iterable[str]]
"""Yields the text of a file piece by piece. Has 20 s from one piece to the next."""


@dataclass(frozen=True)
class Example:
    """One conversation as it would be learnt: with what is private in it masked, as far as the person has it masked."""

    turns: tuple[Turn, ...]
    """From the system prompt, where there is one, to the last answer that is learnt."""
    learnt: tuple[int, ...]
    """Which of ``turns`` are learnt, by index: answers; the others are context."""
    source: str
    """Where it comes from: the id of a saved conversation, or ``line 12`` of a file."""
    why: tuple[str, ...] = ()
    """Of each of ``learnt``: ``edited``, ``rated good``, ``unrated``, ``example`` of a file, ``replayed`` of an earlier
    version; empty where nobody knows."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts that are learnt."""
        return tuple(self.turns[index].content for index in self.learnt)


Keep = Callable[[Example], bool | str]
"""Whether an example is learnt; a text leaves it out, with these few words as the reason. Has 5 s for each."""


@dataclass(frozen=True)
class ExampleFilter:
    """One rule for what is learnt."""

    name: str
    keep: Keep
    help: str


@dataclass(frozen=True)
class Progress:
    """How far a model has come."""

    done: float
    """Bytes that are there."""
    total: float = 0
    """Bytes of all of it; 0 where nobody knows. What is more than the disk has room for ends the fetch."""
    what: str = ""
    """What is done now, in a few words; empty is fetching."""


Fetch = Callable[[str, Path], Iterable[Progress | str] | None]
"""Writes the model of that name into the empty folder, as transformers reads one, and yields how far it is, or what it
does in a few words. Has 60 s from one sign of life to the next: what it yields, or a file of the folder that grows."""


@dataclass(frozen=True)
class ModelSource:
    """One place where base models are."""

    name: str
    """What stands before the colon."""
    fetch: Fetch
    help: str


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is opened with."""

    table: Mapping[str, Any]
    """What stands below the table that the engine named, unchecked."""
    base: InstalledBase | None
    """The base model that is chosen, as it lies on this machine; None where it does not."""
    name: str = ""
    """What the engine was registered as."""


@dataclass(frozen=True)
class Importer:
    """One format that can be read."""

    name: str
    suffixes: tuple[str, ...]
    """Endings of file names, lower case with the dot, that are worth a sniff."""
    sniff: Sniff
    read: Read
    help: str


@dataclass(frozen=True)
class Exporter:
    """One format that can be written."""

    name: str
    suffix: str
    """Ending of the files it makes, with the dot."""
    write: Write
    help: str


OpenEngine = Callable[[EngineSettings], "Engine"]
"""Makes an engine, in a process of its own; asks nobody yet."""


@dataclass(frozen=True)
class OfferedEngine:
    """One engine that can be chosen."""

    name: str
    open: OpenEngine
    table: str
    help: str


@dataclass
class ImporterRegistrar:
    """Takes importers."""

    added: dict[str, Importer] = field(default_factory=dict)

    def add(self, name: str, suffixes: Sequence[str], sniff: Sniff, read: Read, help: str = "") -> None:
        """``suffixes`` are endings of file names such as ``.json``; ``help`` says what it reads in a few words."""
        if isinstance(suffixes, str) or not suffixes or not all(_is_suffix(each) for each in suffixes):
            raise ValueError(f'the importer {name} needs a list of endings such as [".json"]')
        importer = Importer(_checked(name, self.added), tuple(each.lower() for each in suffixes), sniff, read, help)
        self.added[name] = importer


@dataclass
class ExporterRegistrar:
    """Takes exporters."""

    added: dict[str, Exporter] = field(default_factory=dict)

    def add(self, name: str, suffix: str, write: Write, help: str = "") -> None:
        """``name`` is what follows ``/export``; ``help`` says what it writes in a few words."""
        if not _is_suffix(suffix):
            raise ValueError(f'the exporter {name} needs an ending such as ".html"')
        self.added[name] = Exporter(_checked(name, self.added), suffix, write, help)


@dataclass
class ExampleFilterRegistrar:
    """Takes filters of examples."""

    added: dict[str, ExampleFilter] = field(default_factory=dict)

    def add(self, name: str, keep: Keep, help: str = "") -> None:
        """``help`` says what it leaves out in a few words."""
        self.added[name] = ExampleFilter(_checked(name, self.added), keep, help)


@dataclass
class ModelSourceRegistrar:
    """Takes places of base models."""

    added: dict[str, ModelSource] = field(default_factory=dict)

    def add(self, name: str, fetch: Fetch, help: str = "") -> None:
        """``model pull NAME:…`` calls ``fetch``; ``help`` says what place it is in a few words."""
        if len(_checked(name, self.added)) < 2:
            raise ValueError(f"the model source {name} needs a name of two letters or more: one is a drive's")
        self.added[name] = ModelSource(name, fetch, help)


@dataclass
class EngineRegistrar:
    """Takes engines."""

    added: dict[str, OfferedEngine] = field(default_factory=dict)

    def add(self, name: str, open: OpenEngine, table: str = "", help: str = "") -> None:
        """``name`` is what ``engine`` is set to; its own settings stand below ``[table]``, by default its name."""
        table = _checked(table or name, (BASES, KEYS, *(each.name for each in fields(Config))))
        self.added[name] = OfferedEngine(_checked(name, self.added), open, table, help)


def _checked(name: str, taken: Iterable[str]) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: use up to 32 of a-z, 0-9 and -")
    if name in taken:
        raise ValueError(f"{name} is registered twice or lora-chat's own")
    return name


def _is_suffix(text: str) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(r"\.[A-Za-z0-9.]{1,15}", text))
