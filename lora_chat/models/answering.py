"""Who answers: a base of this machine, or a model on a server. Owns what is known of the latter; never asks it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import LoraChatError
from lora_chat.models.installed import InstalledBase, find_base

UNTOLD_WINDOW = 8192
"""Tokens, where nobody tells the context window of a model that is elsewhere."""


@dataclass(frozen=True)
class Served:
    """A model that an engine of a plugin asks; it says of itself what an ``InstalledBase`` does too."""

    name: str
    """The engine's own name until it told who answers."""
    window: int
    """Tokens that a conversation and its answer may take together."""
    signature: BaseSignature
    """What adapters are held against: of the same base as it lies on this machine, else of its names alone."""
    place: str = ""
    """Where it answers, such as a server's host and port."""
    here: InstalledBase | None = None
    """The same base as it lies on this machine; None where it does not."""
    is_met: bool = True
    """Whether the engine told who answers."""


Answerer = InstalledBase | Served
"""Whoever answers: both have a name, as it is shown and kept with each answer, a window and a signature."""


class Telling(Protocol):
    """An engine that knows itself who answers."""

    @property
    def served(self) -> Answerer:
        """As far as it is known by now."""

    def meet(self) -> Answerer:
        """As it is, which is asked now. Raises as ``Engine.load``."""


def base_of(who: Answerer) -> InstalledBase | None:
    """What of ``who`` is on this machine."""
    return who.here if isinstance(who, Served) else who


def served(name: str, window: int, place: str, aliases: tuple[str, ...], models: Path, near: str = "") -> Served:
    """What an engine told of its model, with the same base as it lies below ``models``; ``near`` is the likeliest."""
    here = _installed(models, (name, *aliases), near)
    names = BaseSignature.of_names(name, aliases)
    return Served(name, window, here.signature if here is not None else names, place, here)


def _installed(models: Path, names: tuple[str, ...], near: str) -> InstalledBase | None:
    """The base of this machine that is called so; a broken one is none."""
    for wanted in filter(None, (near, *names)):
        with suppress(LoraChatError):
            found = find_base(models, wanted, declared=True)
            if found.is_any_of(names):
                return found
    return None
