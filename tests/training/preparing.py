"""What a training is held to, as the trainer gets it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from lora_chat.training.dataset import Batch, in_pieces, supervised_targets
from lora_chat.training.events import Preparing
from lora_chat.training.fast.base import FastBase
from lora_chat.training.losses import cross_entropy
from lora_chat.training.opening import Base
from lora_chat.training.peft.forward import Forward
from lora_chat.training.rehearsal import Rehearsal, prepare
from lora_chat.training.trainee import Trainee


def nothing() -> None:
    """A check that lets everything through."""


def exact(base: Base) -> Base:
    """``base`` with its products in float32, whatever this machine multiplies fastest."""
    return replace(base, products=torch.float32) if isinstance(base, FastBase) else base


def learn(learner: Trainee | Forward, batch: Batch) -> float:
    """Add the gradients of the summed loss of ``batch``, which is returned."""
    targets = supervised_targets(batch)
    sizes, total = in_pieces(len(targets)), 0.0

    def loss_of(index: int, logits: torch.Tensor) -> torch.Tensor:
        nonlocal total
        loss = cross_entropy(logits, targets.split(sizes)[index])[0].sum()
        total += float(loss.detach())
        return loss

    learner.backward(batch, sizes, loss_of)
    return total


def prepared(base: Base, weights: str, kept: Path) -> tuple[Rehearsal, bool]:
    """The rehearsal, and whether it had to be made."""
    found: list[Rehearsal] = []

    def run() -> Generator[Preparing, None, None]:
        found.append((yield from prepare(base, weights, kept, nothing)))

    before = list(run())
    assert all(isinstance(each, Preparing) for each in before)
    return found[0], bool(before)
