"""One base model that lies on this machine. Owns what its own files say of it; never decides what it is called."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lora_chat.errors import LoraChatError
from lora_chat.models.entry import FolderSource, GgufSource
from lora_chat.models.installed import Problem
from lora_chat.models.sizes import Sizes
from lora_chat.text import clean_line


@dataclass(frozen=True)
class Facts:
    """What the head of its files says; 0, "" and None mean unknown."""

    bytes: int
    """On the disk, once it is a base: four for each weight of a GGUF, which is converted."""
    parameters: int
    context_window: int
    """In tokens."""
    sizes: Sizes | None
    quantisation: str = ""
    """Of a GGUF, such as ``Q4_K_M``."""
    template: str = ""
    """``none`` where it brings no chat template."""
    licence: str = ""
    obstacle: str = ""
    """Why it cannot be converted, and what to do."""
    words: frozenset[str] = field(default=frozenset())
    """In lower case, of the names that a GGUF gives itself."""
    origins: tuple[str, ...] = ()
    """The hub ids that a GGUF says it was made from."""
    title: str = ""
    """The name that a GGUF gives itself."""


@dataclass(frozen=True)
class Find:
    """One that was found."""

    place: str
    """Whose folder it lies in, such as ``Ollama``."""
    source: FolderSource | GgufSource
    facts: Facts
    lineage: str
    """What it is called there: a hub id, an Ollama name, a file's name."""
    titles: tuple[str, ...] = ()
    """Names of a GGUF's file and repository, which may have its quantisation in them."""
    tags: tuple[str, ...] = ()
    """Ollama's names of it, the first the one it is listed under."""
    note: str = ""
    """What is not taken along, as a sentence."""


def broken(path: Path, error: BaseException) -> Problem:
    """What lies at ``path`` and cannot be used, told in one sentence."""
    if isinstance(error, LoraChatError):
        return Problem(path, clean_line(str(error), 400), foreign=True)
    why = error.strerror if isinstance(error, OSError) else str(error) or type(error).__name__
    remedy = "correct its permissions" if isinstance(error, PermissionError) else "fetch it again"
    said = f"{clean_line(str(path), 200)} cannot be read ({clean_line(str(why), 80)}): {remedy}."
    return Problem(path, said, foreign=True)
