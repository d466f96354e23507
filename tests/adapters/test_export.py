"""An adapter exported for PEFT is loaded by PEFT itself and makes our own logits, whatever form it had here."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from lora_chat.adapters.install import inspect_folder
from lora_chat.adapters.manifest import BaseClaim
from lora_chat.adapters.outgoing.export import export_peft
from lora_chat.adapters.outgoing.public import public_manifest
from lora_chat.adapters.verify import load_verified
from lora_chat.errors import RefusedError
from lora_chat.models.attach import wear
from tests.adapters.conftest import MODULES, SIGNATURE, write_adapter
from tests.adapters.test_honest import VARIANTS, bare_names, logits, saved_by_peft, with_default_infix


def exported(folder: Path, into: Path, dtype: str = "") -> Path:
    candidate = inspect_folder(folder, signature=SIGNATURE)
    manifest = dataclasses.replace(public_manifest(candidate.manifest), base=BaseClaim(SIGNATURE.lineage))
    export_peft(candidate, manifest, MODULES, into, dtype)
    return into


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_peft_makes_our_logits(variant: str, llama: Any, tmp_path: Path) -> None:
    settings, edit = VARIANTS[variant]
    folder = saved_by_peft(llama, tmp_path / "adapter", **settings)
    if edit is not None:
        edit(folder)
    ours = logits(wear(llama, load_verified(folder, SIGNATURE), "a1b2c3"))
    theirs = logits(PeftModel.from_pretrained(copy.deepcopy(llama), str(exported(folder, tmp_path / "out"))).eval())
    if "pattern" in variant:  # a strength that went into B is rounded at another place
        assert torch.allclose(theirs, ours, atol=1e-5, rtol=0)
    else:
        assert torch.equal(theirs, ours)
    assert not torch.allclose(theirs, logits(llama), atol=1e-3)


@pytest.mark.parametrize("edit", [bare_names, with_default_infix])
def test_names_that_peft_would_drop_arrive(edit: Any, llama: Any, tmp_path: Path) -> None:
    folder = saved_by_peft(llama, tmp_path / "adapter")
    edit(folder)
    ours = logits(wear(llama, load_verified(folder, SIGNATURE), "a1b2c3"))
    theirs = logits(PeftModel.from_pretrained(copy.deepcopy(llama), str(exported(folder, tmp_path / "out"))).eval())
    assert torch.equal(theirs, ours)


def test_what_vllm_does_not_read_is_folded_away(llama: Any, tmp_path: Path) -> None:
    """``vllm/lora/peft_helper.py`` scales every module by one lora_alpha and one r."""
    settings = {"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5}, "use_rslora": True}
    folder = saved_by_peft(llama, tmp_path / "adapter", **settings)
    out = exported(folder, tmp_path / "out")
    said = json.loads((out / "adapter_config.json").read_text())
    assert (said["r"], said["lora_alpha"], said["use_rslora"]) == (6, 6, False)
    assert not said.keys() & {"rank_pattern", "alpha_pattern"}
    ranks = {tensor.shape[0] for name, tensor in load_file(out / "adapter_model.safetensors").items() if "_A" in name}
    assert ranks == {6}


def test_short_names_are_targets_only_where_they_mean_the_same(llama: Any, tmp_path: Path) -> None:
    plain = exported(saved_by_peft(llama, tmp_path / "a"), tmp_path / "plain")
    assert json.loads((plain / "adapter_config.json").read_text())["target_modules"] == ["q_proj", "v_proj"]
    one = exported(saved_by_peft(llama, tmp_path / "b", layers_to_transform=[1]), tmp_path / "one")
    assert json.loads((one / "adapter_config.json").read_text())["target_modules"] == [
        "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj",
    ]  # fmt: skip


def test_it_goes_through_our_own_door_and_out_again_the_same(llama: Any, tmp_path: Path) -> None:
    out = exported(saved_by_peft(llama, tmp_path / "adapter", r=8, use_rslora=True), tmp_path / "out")
    again = exported(out, tmp_path / "again")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (out / name).read_bytes() == (again / name).read_bytes()
    assert inspect_folder(out, signature=SIGNATURE).warnings == ()


def test_another_data_type_is_asked_for(llama: Any, tmp_path: Path) -> None:
    out = exported(saved_by_peft(llama, tmp_path / "adapter"), tmp_path / "out", "F16")
    assert {each.dtype for each in load_file(out / "adapter_model.safetensors").values()} == {torch.float16}


def test_card_and_licence_go_along_and_others_may_read_them(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "bot")
    (folder / "LICENSE").write_text("Do as you like.\n")
    out = exported(folder, tmp_path / "out")
    assert sorted(file.name for file in out.iterdir()) == [
        "LICENSE", "README.md", "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip
    if os.name == "posix":
        assert out.stat().st_mode & 0o777 == 0o755


def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "bot")
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(RefusedError, match="is there already"):
        exported(folder, taken)
    assert list(taken.iterdir()) == []
