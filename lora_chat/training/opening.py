"""Which path trains a base. Owns that choice and nothing else. [torch]"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import torch

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.decoder.shape import UnknownShape
from lora_chat.models.base_model import BaseModel, load_base_model, pick_device
from lora_chat.models.prompt import load_prompt_format
from lora_chat.models.watch import Check
from lora_chat.training.fast.base import FastBase, open_fast_base
from lora_chat.training.recipe import Recipe
from lora_chat.training.trainee import Trainee

Base: TypeAlias = BaseModel | FastBase


def open_base(name: str, folder: Path, device: torch.device | None = None) -> Base:
    """The base in ``folder``, by the fast path where that knows it; on the fastest device, unless one is said.

    Raises:
        EngineError: it cannot be loaded, naming it and why.
        RefusedError: its prompt format cannot be read.
    """
    device = device or pick_device()
    if device.type == "cpu":
        with suppress(UnknownShape):
            return open_fast_base(name, folder, load_prompt_format(folder))
    return load_base_model(name, folder, device)


def path_of(base: Base) -> str:
    """Which path trains ``base``, and where: another one makes other bits."""
    return f"fast path, {base.products}" if isinstance(base, FastBase) else f"general path, {base.device.type}"


def bare(base: Base, check: Check) -> Trainee:
    """``base`` alone, to be read; ``check`` runs before each layer."""
    if isinstance(base, FastBase):
        from lora_chat.training.fast import beginning

        return beginning.bare(base, check)
    from lora_chat.training.peft.trainee import PeftTrainee

    return PeftTrainee.bare(base, check)


def trainee(
    base: Base, signature: BaseSignature, recipe: Recipe, start: VerifiedAdapter | None, check: Check
) -> Trainee:
    """``base`` with the new layers of ``recipe``, which change nothing yet, or with those of ``start``.

    Raises:
        RefusedError: ``start`` does not fit this base after all.
    """
    if isinstance(base, FastBase):
        from lora_chat.training.fast import beginning

        return beginning.new(base, signature, recipe, start, check)
    from lora_chat.training.peft.trainee import PeftTrainee

    return PeftTrainee.new(base, signature, recipe, start, check)
