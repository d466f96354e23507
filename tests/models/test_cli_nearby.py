"""``lora-chat model`` with bases that lie in other programs' folders: listed, asked for, taken, left when removed."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lora_chat import memory
from lora_chat.cli import console, model
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models import catalog
from lora_chat.models.installed import find_base, list_bases
from lora_chat.paths import Paths
from lora_chat.services import open_services
from lora_chat.sitting.bases import list_choices
from tests.models.conftest import write_gguf
from tests.models.trees import KNOWN, cache, store


def run(*words: str) -> None:
    model.app(list(words), standalone_mode=False)


@pytest.fixture
def machine(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of other programs, and a catalog with one tiny base."""
    home = tmp_path / "person"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("OLLAMA_MODELS", str(home / "ollama"))
    monkeypatch.setattr(catalog, "CATALOG", (KNOWN,))
    monkeypatch.setattr(memory, "free", lambda: 64 * 10**9)
    monkeypatch.setattr(memory, "total", lambda: 64 * 10**9)
    return home


@pytest.fixture
def cached(machine: Path, converted: Path) -> Path:
    """The base in the Hugging Face cache."""
    return cache(machine / ".cache" / "huggingface" / "hub", converted)


@pytest.fixture
def in_ollama(machine: Path, tiny_gguf: Path) -> Path:
    """The base in Ollama's store."""
    return store(machine / "ollama", tiny_gguf)


def says(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    run("list", "--json")
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}


def test_list_and_info_say_what_was_found_and_where(
    cached: Path, in_ollama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = listed(capsys)
    whole, small = models["tiny-0.6b"], models["tiny-0.6b-f32"]
    assert (whole["found_in"], whole["found_at"]) == ("Hugging Face's cache", str(cached))
    assert (small["found_in"], small["found_at"], small["quantisation"]) == ("Ollama", str(in_ollama), "F32")
    for each in (whole, small):
        assert (each["installed"], each["path"], each["download_bytes"], each["gated"]) == (False, None, None, False)
        assert each["memory"]["chat_bytes"] > 0
    run("list")
    shown = capsys.readouterr().out
    rows = [line.split()[:2] for line in shown.splitlines()[1:3]]
    assert rows == [["tiny-0.6b", "found"], ["tiny-0.6b-f32", "found"]]
    assert "found means that it lies in another program's folder" in shown
    assert "Recommended here: tiny-0.6b," not in shown  # the catalog of this test is no real one
    run("info", "tiny-0.6b")
    page = " ".join(capsys.readouterr().out.split())
    assert "found in Hugging Face's cache, " in page
    assert "used where it lies, nothing is downloaded: `lora-chat model pull tiny-0.6b`" in page
    run("info", "tiny:0.6b")
    page = " ".join(capsys.readouterr().out.split())
    assert "found in Ollama as F32, converted once to " in page
    assert "lies in /" in page


def test_pull_takes_the_snapshot_in_place_and_the_question_says_so(
    paths: Paths, cached: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, "n\n")
    run("pull", "tiny-0.6b")
    asked = capsys.readouterr().err
    assert f"It was found in Hugging Face's cache, {cached}. It is used where it lies" in asked
    assert "nothing is downloaded" in asked
    assert "gated" not in asked
    says(monkeypatch, "y\n")
    run("pull", "tiny-0.6b")
    base = find_base(paths.models, "tiny-0.6b")
    assert (base.folder, base.source, base.signature.lineage) == (cached, "folder", "Org/Tiny-0.6B")
    assert [each.name for each in (paths.models / "tiny-0.6b").iterdir()] == ["base.json"]


def test_a_base_in_the_hub_cache_is_loaded_from_there(
    paths: Paths, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from lora_chat.models.base_model import load_base_model

    run("pull", "Org/Tiny-0.6B", "--json")
    *_, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (last["event"], last["name"], last["path"]) == ("pulled", "tiny-0.6b", str(cached))
    loaded = load_base_model("tiny-0.6b", find_base(paths.models, "tiny-0.6b").folder)
    with torch.inference_mode():
        assert loaded.tree(torch.tensor([[3, 4, 5]])).logits.shape[:2] == (1, 3)


def test_a_base_in_ollama_is_converted_from_its_blob_and_loaded(
    paths: Paths, in_ollama: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.numpy import load_file

    run("pull", "tiny-0.6b-f32", "--yes")
    base = find_base(paths.models, "tiny-0.6b-f32")
    assert (base.source, base.signature.lineage) == ("gguf", "Org/Tiny-0.6B")
    assert base.signature.is_called("Org/Tiny-0.6B")
    ours, theirs = load_file(base.folder / "model.safetensors"), load_file(converted / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    in_ollama.unlink()
    assert find_base(paths.models, "tiny-0.6b-f32") == base


def test_ensure_base_takes_what_lies_here(paths: Paths, cached: Path) -> None:
    assert model.ensure_base(paths, "tiny-0.6b", yes=True).folder == cached
    assert model.ensure_base(paths, "tiny-0.6b", yes=False).folder == cached


def test_who_would_download_is_told_of_the_copy_that_lies_here(
    in_ollama: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, "n\n")
    run("pull", "tiny-0.6b")
    asked = " ".join(capsys.readouterr().err.split())
    assert "to download" in asked
    assert "In Ollama it lies already, in F32: `lora-chat model pull tiny-0.6b-f32` takes that" in asked


def test_a_hub_before_the_name_fetches_it_whatever_was_found(
    cached: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("huggingface:tiny-0.6b", "modelscope:Org/Tiny-0.6B"):
        says(monkeypatch, "n\n")
        run("pull", name)
        assert "to download" in capsys.readouterr().err


def test_the_hub_of_the_settings_changes_nothing_about_what_lies_here(
    paths: Paths, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.config.parent.mkdir(parents=True, exist_ok=True)
    paths.config.write_text('hub = "modelscope"\n', encoding="utf-8")
    assert listed(capsys)["tiny-0.6b"]["found_at"] == str(cached)
    run("pull", "tiny-0.6b", "--yes")
    assert find_base(paths.models, "tiny-0.6b").folder == cached


def test_download_fetches_it_all_the_same(
    cached: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, "n\n")
    run("pull", "tiny-0.6b", "--download")
    asked = capsys.readouterr().err
    assert "to download" in asked
    assert "It is gated" in asked


def test_removing_one_used_in_place_leaves_its_files(
    paths: Paths, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pull", "tiny-0.6b", "--yes")
    before = sorted(each.name for each in cached.iterdir())
    run("remove", "tiny-0.6b", "--yes")
    assert f"The files in {cached} stay." in capsys.readouterr().out
    assert sorted(each.name for each in cached.iterdir()) == before
    assert listed(capsys)["tiny-0.6b"]["found_in"] == "Hugging Face's cache"
    run("pull", "tiny-0.6b", "--yes")
    assert find_base(paths.models, "tiny-0.6b").folder == cached


def test_a_cache_that_was_pruned_is_said(paths: Paths, cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("pull", "tiny-0.6b", "--yes")
    shutil.rmtree(cached.parent.parent)
    with pytest.raises(NotFoundError, match=r"lies in .*, which is gone: put it back, or run"):
        find_base(paths.models, "tiny-0.6b")
    with pytest.raises(NotFoundError, match="which is gone"):
        model.ensure_base(paths, "tiny-0.6b", yes=True)
    capsys.readouterr()
    run("list")
    assert "which is gone: put it back" in capsys.readouterr().err
    run("remove", "tiny-0.6b", "--yes")
    assert list_bases(paths.models) == ((), ())


def test_blobs_that_were_pruned_alone_are_said_too(paths: Paths, cached: Path) -> None:
    run("pull", "tiny-0.6b", "--yes")
    (cached / "model.safetensors").resolve().unlink()
    with pytest.raises(RefusedError, match=r"no model.safetensors"):
        find_base(paths.models, "tiny-0.6b")


def test_what_cannot_be_converted_is_listed_with_its_reason_and_refused(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gguf = write_gguf(tmp_path / "x.gguf", fields={"llama.rope.scaling.type": "yarn"})
    store(machine / "ollama", gguf, "registry.ollama.ai/library/long/7b")
    assert "of the kind yarn" in listed(capsys)["long-7b-f32"]["obstacle"]
    run("info", "long-7b-f32")
    assert "by hand" in capsys.readouterr().out
    for more in ((), ("--anyway",)):
        with pytest.raises(RefusedError, match="a rotary embedding of the kind yarn"):
            run("pull", "long-7b-f32", "--yes", *more)


def test_an_unknown_architecture_is_refused_on_the_pull(machine: Path, tmp_path: Path, paths: Paths) -> None:
    gguf = write_gguf(tmp_path / "x.gguf", architecture="unheard-of")
    store(machine / "ollama", gguf, "registry.ollama.ai/library/new/7b")
    with pytest.raises(RefusedError, match="has the architecture unheard-of, which cannot be converted"):
        run("pull", "new-7b-f32", "--yes")
    assert list_bases(paths.models) == ((), ())


def test_folders_of_the_settings_are_searched_and_a_wrong_one_is_told(
    machine: Path, paths: Paths, tiny_gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "models").mkdir()
    shutil.copyfile(tiny_gguf, machine / "models" / "mine.gguf")
    paths.config.parent.mkdir(parents=True, exist_ok=True)
    paths.config.write_text('model_folders = ["~/models", "/no/such"]\n', encoding="utf-8")
    assert listed(capsys)["mine-f32"]["found_in"] == "your folders"
    run("list")
    assert "/no/such is no folder: correct model_folders" in capsys.readouterr().err


def test_a_base_used_in_place_under_another_name_is_not_offered_again(
    paths: Paths, machine: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache(machine / ".cache" / "huggingface" / "hub", converted, "Org/Other")
    run("pull", "Org/Other", "--name", "mine", "--yes")
    assert sorted(listed(capsys)) == ["mine", "tiny-0.6b"]


def test_the_choices_are_ordered_by_what_they_cost(
    cached: Path, in_ollama: Path, paths: Paths, tiny_gguf: Path
) -> None:
    run("pull", str(tiny_gguf), "--name", "here", "--yes")
    with open_services() as services:
        choices = list_choices(services)
    assert [(each.name, each.found_in) for each in choices.bases] == [
        ("here", ""),
        ("tiny-0.6b", "Hugging Face's cache"),
        ("tiny-0.6b-f32", "Ollama"),
    ]
    assert [each.found_at for each in choices.bases] == [None, cached, in_ollama]
    assert all(each.download_bytes == 0 for each in choices.bases)


def test_an_own_entry_takes_the_snapshot_of_its_page(
    paths: Paths, machine: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = cache(machine / ".cache" / "huggingface" / "hub", converted, "Org/Other")
    paths.config.parent.mkdir(parents=True, exist_ok=True)
    paths.config.write_text('[bases.mine]\nsource = "Org/Other"\nlicence = "MIT"\n', encoding="utf-8")
    mine = listed(capsys)["mine"]
    assert (mine["found_at"], mine["licence"], mine["own"]) == (str(snapshot), "MIT", True)
    assert mine["parameters"] > 0
