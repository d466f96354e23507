"""What a training is held to, as the trainer gets it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from lora_chat.training.events import Preparing
from lora_chat.training.opening import Base
from lora_chat.training.rehearsal import Rehearsal, prepare


def nothing() -> None:
    """A check that lets everything through."""


def prepared(base: Base, weights: str, kept: Path) -> tuple[Rehearsal, bool]:
    """The rehearsal, and whether it had to be made."""
    found: list[Rehearsal] = []

    def run() -> Generator[Preparing, None, None]:
        found.append((yield from prepare(base, weights, kept, nothing)))

    before = list(run())
    assert all(isinstance(each, Preparing) for each in before)
    return found[0], bool(before)
