"""Loading a base: as it is, frozen, and refused in one sentence where it is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lora_chat.errors import EngineError, LoraChatError, RefusedError
from lora_chat.models.base_model import cache_keyword, check_length, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import StopAsked, find_layers, watch_layers


@pytest.fixture
def folder(tiny_llama: InstalledBase, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_llama.folder, tmp_path / "copy"))


@pytest.mark.parametrize(("name", "window"), [("tiny_llama", 512), ("tiny_opt", 256)])
def test_a_base_is_loaded_in_full_precision_frozen_and_ready(
    name: str, window: int, request: pytest.FixtureRequest
) -> None:
    installed: InstalledBase = request.getfixturevalue(name)
    base = load_base_model(installed.name, installed.folder)
    parameters = list(base.tree.parameters())
    assert {each.dtype for each in parameters} == {torch.float32}
    assert not any(each.requires_grad for each in parameters)
    assert not base.tree.training
    assert (base.context_window, base.parameters) == (window, installed.parameters)


def test_the_checksum_tells_one_changed_number(folder: Path) -> None:
    base = load_base_model("copy", folder)
    before = base.checksum()
    assert load_base_model("copy", folder).checksum() == before
    with torch.no_grad():
        next(iter(base.tree.parameters())).view(-1)[7] += 1e-6
    assert base.checksum() != before


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "nobody-knows-this"}'),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{}      "),
        ("model.safetensors", b"no weights"),
        ("tokenizer.json", b"\0"),
    ],
)
def test_a_broken_base_is_one_sentence_that_names_it(folder: Path, file: str, data: bytes) -> None:
    (folder / file).write_bytes(data)
    with pytest.raises(LoraChatError, match="copy") as caught:
        load_base_model("copy", folder)
    assert "\n" not in str(caught.value)


def test_weights_that_are_gone_are_the_engines_failure(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="lora-chat model pull copy"):
        load_base_model("copy", folder)


def test_code_that_lies_beside_the_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    import json

    (folder / "planted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "planted",
        "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForCausalLM"), "planted.X"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError):
        load_base_model("copy", folder)
    assert not (tmp_path / "ran").exists()


def test_a_prompt_must_leave_room_for_one_token(tiny_llama: InstalledBase) -> None:
    check_length(tiny_llama.name, 512, 511, 1)
    with pytest.raises(RefusedError, match="512 tokens in 1 message"):
        check_length(tiny_llama.name, 512, 512, 1)


# Watching the layers


def test_a_check_runs_before_each_layer_forward_and_backward(tiny_llama: InstalledBase) -> None:
    tree = load_base_model(tiny_llama.name, tiny_llama.folder).tree
    calls: list[int] = []
    watch_layers(tree, lambda: calls.append(1))
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        tree(input_ids=ids)
    assert len(calls) == 2
    calls.clear()
    tree.requires_grad_(True)
    torch.autograd.backward(tree(input_ids=ids).logits.sum())
    assert len(calls) == 4


def test_a_check_that_raises_ends_forward_and_backward(tiny_llama: InstalledBase) -> None:
    tree = load_base_model(tiny_llama.name, tiny_llama.folder).tree
    tree.requires_grad_(True)
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == stop_at:
            raise StopAsked

    watch_layers(tree, check)
    for stop_at in (1, 2, 3, 4):
        calls.clear()
        with pytest.raises(StopAsked):
            torch.autograd.backward(tree(input_ids=torch.arange(3, 9)[None]).logits.sum())
        assert len(calls) == stop_at


def test_the_layers_are_the_longest_list_of_modules_or_the_tree_itself(tiny_llama: InstalledBase) -> None:
    tree = load_base_model(tiny_llama.name, tiny_llama.folder).tree
    assert find_layers(tree) == list(tree.model.layers)
    alone = torch.nn.Linear(2, 2)
    assert find_layers(alone) == [alone]


def test_the_cache_is_passed_by_the_name_that_the_models_class_has() -> None:
    class Old:
        def forward(self, input_ids: object, past_key_values: object = None) -> None: ...

    class New:
        def forward(self, input_ids: object, cache: object = None) -> None: ...

    assert (cache_keyword(Old), cache_keyword(New)) == ("past_key_values", "cache")
