"""What a training is held to, as the trainer gets it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from lora_chat.training.events import Preparing
from lora_chat.training.fast.base import FastBase
from lora_chat.training.opening import Base
from lora_chat.training.rehearsal import Rehearsal, prepare


def nothing() -> None:
    """A check that lets everything through."""


def exact(base: Base) -> Base:
    """``base`` with its products in float32, whatever this machine multiplies fastest."""
    return replace(base, products=torch.float32) if isinstance(base, FastBase) else base


def prepared(base: Base, weights: str, kept: Path) -> tuple[Rehearsal, bool]:
    """The rehearsal, and whether it had to be made."""
    found: list[Rehearsal] = []

    def run() -> Generator[Preparing, None, None]:
        found.append((yield from prepare(base, weights, kept, nothing)))

    before = list(run())
    assert all(isinstance(each, Preparing) for each in before)
    return found[0], bool(before)
