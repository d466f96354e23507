"""What a training is refused for at its start is what its plan said: weights kept in two bytes are widened to four."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.errors import RefusedError
from lora_chat.models.base_model import load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.training.estimate import estimate
from lora_chat.training.events import DatasetReady
from lora_chat.training.opening import open_base
from lora_chat.training.peak import peak_bytes
from lora_chat.training.recipe import choose_recipe
from lora_chat.training.room import check_room
from tests.conftest import installed

CPU = torch.device("cpu")
COUNTED = DatasetReady(6, 6, {}, 300, 100, 0)


@pytest.fixture(params=["F32", "BF16"])
def base(request: pytest.FixtureRequest, tiny_llama: InstalledBase, tmp_path: Path) -> InstalledBase:
    """The tiny Llama, with its weights kept in this type."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_llama.folder, folder)
    if request.param == "BF16":
        file = folder / "model.safetensors"
        save_file({name: each.bfloat16() for name, each in load_file(file).items()}, file, {"format": "pt"})
    found = installed(folder, tmp_path / "home")
    weights = (folder / "model.safetensors").stat().st_size
    return replace(found, bytes=weights)  # a tokenizer is larger than such a model


def test_the_start_refuses_by_the_figure_of_the_plan(base: InstalledBase, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = choose_recipe(6, base.parameters)
    loaded = open_base(base.name, base.folder)
    said = estimate(COUNTED, recipe, base, (), prepared=True).bytes
    monkeypatch.setattr("lora_chat.training.room.free", lambda: said)
    check_room(COUNTED, recipe, loaded, base.signature)
    monkeypatch.setattr("lora_chat.training.room.free", lambda: said - 1)
    with pytest.raises(RefusedError, match="Training needs about"):
        check_room(COUNTED, recipe, loaded, base.signature)


def test_transformers_needs_room_for_four_bytes_of_weights_of_two(
    base: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = choose_recipe(6, base.parameters)
    loaded = load_base_model(base.name, base.folder, CPU)
    mapped = peak_bytes(COUNTED, recipe, base.parameters, base.signature)
    assert mapped < peak_bytes(COUNTED, recipe, base.parameters, base.signature, "widened")
    assert loaded.widened is not base.is_wide
    monkeypatch.setattr("lora_chat.training.room.free", lambda: mapped)
    if base.is_wide:
        check_room(COUNTED, recipe, loaded, base.signature)
    else:
        with pytest.raises(RefusedError, match="Training needs about"):
            check_room(COUNTED, recipe, loaded, base.signature)
