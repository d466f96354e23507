"""The tiny base and its answers to general questions, as most trainings here need them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.training.opening import Base, open_base
from tests.training.preparing import exact, prepared


@pytest.fixture(scope="module")
def base(tiny_llama: InstalledBase) -> BaseModel:
    return load_base_model(tiny_llama.name, tiny_llama.folder, torch.device("cpu"))


@pytest.fixture(scope="module", params=["fast path", "transformers and PEFT"])
def learner(request: pytest.FixtureRequest, base: BaseModel, tiny_llama: InstalledBase) -> Base:
    """The tiny base as either path trains it."""
    return base if request.param != "fast path" else exact(open_base(tiny_llama.name, tiny_llama.folder))


@pytest.fixture(scope="module")
def general(base: BaseModel, tiny_llama: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's answers, made once."""
    kept = tmp_path_factory.mktemp("general") / "answers.safetensors"
    prepared(base, tiny_llama.signature.weights, kept)
    return kept
