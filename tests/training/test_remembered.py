"""What the lower layers make of general questions is kept from one training to the next, and changes none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from lora_chat.models.attach import twin
from lora_chat.models.base_model import BaseModel
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import find_layers
from lora_chat.training.events import Trained
from lora_chat.training.general import REHEARSED
from lora_chat.training.lower import Lower
from lora_chat.training.peft.lower_layers import LowerLayers
from lora_chat.training.remembered import STATES, Remembered
from lora_chat.training.trainer import train
from tests.engine.conftest import make_job
from tests.training.preparing import nothing, prepared

CPU = torch.device("cpu")


def trained(base: BaseModel, tiny_llama: InstalledBase, general: Path, folder: Path, **changes: Any) -> bytes:
    job = make_job(folder, max_steps=2, rehearsed=len(REHEARSED), **changes)
    *_, end = train(base, tiny_llama.signature, job, general, nothing)
    assert isinstance(end, Trained)
    return (Path(end.folder) / "adapter_model.safetensors").read_bytes()


def test_the_next_training_finds_them_and_comes_out_the_same(
    base: BaseModel, tiny_llama: InstalledBase, general: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, made, states = general.with_name(STATES), list[int](), Lower.states

    def counted(self: Lower, sequences: Any, make: Any) -> list[torch.Tensor]:
        def one(ids: Any) -> Any:
            made.append(len(ids))
            return make(ids)

        return states(self, sequences, one)

    monkeypatch.setattr(Lower, "states", counted)
    kept.unlink(missing_ok=True)
    first = trained(base, tiny_llama, general, tmp_path / "1")
    anew, written, states_kept = sum(made), kept.read_bytes(), load(kept.read_bytes())
    rehearsal = prepared(base, tiny_llama.signature.weights, general)[0]
    assert len(states_kept) == len(set(rehearsal.sequences))
    made.clear()
    assert trained(base, tiny_llama, general, tmp_path / "2") == first
    assert sum(made) == anew - len(set(rehearsal.sequences))
    kept.write_bytes(written[: len(written) // 2])
    assert trained(base, tiny_llama, general, tmp_path / "3") == first
    made_again = load(kept.read_bytes())
    assert all(torch.equal(made_again[name], each) for name, each in states_kept.items())
    written = kept.read_bytes()
    trained(base, tiny_llama, general, tmp_path / "4", upper=1.0)
    assert kept.read_bytes() == written


@pytest.mark.parametrize("other", ["weights", "layers", "threads"])
def test_what_something_else_made_is_not_taken(
    base: BaseModel, tmp_path: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    general = [(1, 2, 3), (1, 4)]

    def lower(trained: int) -> Lower:
        tree = twin(base.tree)
        for parameter in find_layers(tree)[trained].parameters():
            parameter.requires_grad_(True)
        return LowerLayers(find_layers(tree))

    def make(sequences: Any) -> list[torch.Tensor]:
        return [torch.ones(len(ids), 4) for ids in sequences]

    path = tmp_path / STATES
    one = lower(1)
    Remembered(path, "weights", one, general)
    one.states(general, make)
    Remembered(path, "weights", one, general).keep()
    two = lower(1)
    Remembered(path, "weights", two, general)
    assert set(two.kept(general)) == set(general)
    if other == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    three = lower(0 if other == "layers" else 1)
    Remembered(path, "others" if other == "weights" else "weights", three, general)
    assert not three.kept(general)
