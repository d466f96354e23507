"""What can never have room in memory is refused with the numbers; what might have is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_chat.engine.kept import Kept
from lora_chat.engine.loaded import Loaded
from lora_chat.errors import EngineError
from lora_chat.models import convert
from lora_chat.models.catalog import CatalogEntry, GgufSource
from lora_chat.models.installed import InstalledBase
from lora_chat.models.room import check_loads
from lora_chat.models.sources import pull
from lora_chat.models.sources.gguf import read_head
from lora_chat.paths import Paths
from tests.conftest import installed
from tests.models.conftest import quiet


def _have(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("lora_chat.memory.total", lambda: count)


def _in_bf16(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({name: each.bfloat16() for name, each in load_file(file).items()}, file, {"format": "pt"})


def test_a_gguf_larger_than_memory_once_converted_is_refused_before_the_conversion(
    paths: Paths, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 4 * read_head(tiny_gguf).elements
    entry = CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf))
    with monkeypatch.context() as patched:
        _have(patched, needed - 1)
        patched.setattr(convert, "convert_gguf", lambda *_: pytest.fail("it was converted"))
        said = rf"tiny needs at least {needed} bytes .* this machine has {needed - 1} bytes, swap included: choose"
        with pytest.raises(EngineError, match=said):
            pull(entry, paths, quiet)
    assert [path.name for path in paths.models.iterdir()] == [".pull.lock"]
    _have(monkeypatch, needed)
    assert pull(entry, paths, quiet).name == "tiny"


def test_weights_that_are_widened_must_have_room(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_bf16(tiny_folder)
    base = installed(tiny_folder, tmp_path)
    _have(monkeypatch, 4 * base.parameters - 1)
    with pytest.raises(EngineError, match=rf"The base model {base.name} needs at least .*: choose a smaller one\."):
        check_loads(base, "F32")
    check_loads(base, "BF16")
    _have(monkeypatch, 4 * base.parameters)
    check_loads(base, "F32")


def test_weights_that_are_mapped_as_they_lie_need_none(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _have(monkeypatch, 1)
    check_loads(installed(tiny_folder, tmp_path), "F32")


def test_parts_of_the_files_that_the_model_does_not_have_do_not_count(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_bf16(tiny_folder)
    base = installed(tiny_folder, tmp_path)
    file = tiny_folder / "model.safetensors"
    tower = {"vision_tower.weight": torch.zeros(1000, 1000, dtype=torch.bfloat16)}
    save_file(load_file(file) | tower, file, {"format": "pt"})
    _have(monkeypatch, 4 * base.parameters)
    check_loads(base, "F32")


def test_damaged_files_are_left_to_who_loads_them(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = installed(tiny_folder, tmp_path)
    (tiny_folder / "model.safetensors").write_bytes(b"no weights")
    _have(monkeypatch, 1)
    check_loads(base, "F32")
    check_loads(replace(base, folder=tmp_path / "gone"), "F32")


def test_the_engine_asks_before_it_loads(
    tiny_opt: InstalledBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPT goes the general path, which loads the whole model at the start."""
    monkeypatch.setattr("lora_chat.models.room._stored_otherwise", lambda *_: 10**12)
    _have(monkeypatch, 1000)
    monkeypatch.setattr("lora_chat.engine.loaded.load_base_model", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(EngineError, match=re.escape(f"The base model {tiny_opt.name} needs at least")):
        Loaded(tiny_opt, Kept(tmp_path / "kept", tmp_path / "kernels"), "auto", torch.device("cpu"))
