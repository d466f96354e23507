"""The door in and out: only what is allowed is copied, whole or not at all, and never twice."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from lora_chat.adapters.incoming.source import folder_at
from lora_chat.adapters.install import Candidate, inspect, install, install_folder
from lora_chat.adapters.manifest import BaseClaim, Manifest, read_manifest
from lora_chat.adapters.registry import discover
from lora_chat.adapters.verify import check_fit, load_verified
from lora_chat.adapters.weights import read_adapter
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from tests.adapters.conftest import SIGNATURE, config, safetensors, tensors, write_adapter


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "My-Adapter")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_the_five_files_are_copied_and_the_rest_is_named(source: Path, paths: Paths) -> None:
    for name in ("README.md", "LICENSE", "tokenizer.json", "training_args.bin", "modeling_x.py", "\x1b[31mx"):
        (source / name).write_text("text \x1b[31m\n")
    (source / "checkpoint-1").mkdir()
    done = install_folder(source, paths, signature=SIGNATURE)
    assert names_in(done.adapter.path) == [
        "LICENSE", "README.md", "adapter.toml", "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip
    assert done.ignored == ("[31mx", "checkpoint-1", "modeling_x.py", "tokenizer.json", "training_args.bin")
    assert (done.adapter.path / "README.md").read_text() == "text [31m\n"
    assert (done.adapter.path / "adapter_config.json").read_bytes() == (source / "adapter_config.json").read_bytes()


def test_the_manifest_is_written_from_the_bytes(source: Path, paths: Paths) -> None:
    done = install_folder(source, paths)
    manifest = read_manifest((done.adapter.path / "adapter.toml").read_bytes())
    adapter = read_adapter(done.adapter.path)
    assert (manifest.name, manifest.base.model) == ("my-adapter", "tiny/Llama-Random")
    assert (manifest.weights.sha256, manifest.weights.config_sha256) == (adapter.sha256, adapter.config_sha256)
    assert (manifest.weights.rank, manifest.weights.bytes) == (4, len(adapter.weights))
    assert done.adapter == discover(paths).get("my-adapter")


def test_a_given_manifest_and_name_come_first(source: Path, paths: Paths) -> None:
    mine = Manifest(name="trained", private=True, base=BaseClaim("tiny", "sha256:" + "1" * 64))
    assert install_folder(source, paths, manifest=mine).adapter.name == "trained"
    assert install_folder(source, paths, name="other", manifest=mine).adapter.manifest.private


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_is_installed_is_private(source: Path, paths: Paths) -> None:
    folder = install_folder(source, paths).adapter.path
    assert folder.stat().st_mode & 0o077 == 0


def test_the_same_bytes_again_are_already_installed(source: Path, paths: Paths) -> None:
    first = install_folder(source, paths)
    again = install_folder(source, paths)
    assert (first.already, again.already) == (False, True)
    assert again.adapter == first.adapter
    assert names_in(paths.adapters) == ["my-adapter"]


def test_other_bytes_of_the_same_name_stand_side_by_side(source: Path, paths: Paths) -> None:
    install_folder(source, paths)
    write_adapter(source, weights=tensors(seed=1))
    assert install_folder(source, paths).adapter.name == "my-adapter-2"
    assert install_folder(source, paths).already
    write_adapter(source, config(lora_alpha=99), weights=tensors(seed=1))
    assert install_folder(source, paths).adapter.name == "my-adapter-3"
    assert names_in(paths.adapters) == ["my-adapter", "my-adapter-2", "my-adapter-3"]


def test_a_long_name_still_finds_a_free_one(source: Path, paths: Paths) -> None:
    install_folder(source, paths, name="a" * 64)
    write_adapter(source, weights=tensors(seed=1))
    assert install_folder(source, paths, name="a" * 64).adapter.name == "a" * 62 + "-2"


def test_what_another_program_installs_meanwhile_is_neither_overwritten_nor_in_the_way(
    source: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = inspect(folder_at(source))
    for seed, name, already in ((0, "my-adapter", True), (1, "my-adapter-2", False)):
        other = write_adapter(paths.adapters.parent / "other", weights=tensors(seed=seed))
        theirs = inspect(folder_at(other), "my-adapter")

        def in_between(stage: Path, target: Path, theirs: Candidate = theirs) -> None:
            monkeypatch.undo()
            install(theirs, paths)
            os.replace(stage, target)

        monkeypatch.setattr("lora_chat.files.os.replace", in_between)
        done = install(mine, paths)
        assert (done.adapter.name, done.already) == (name, already)
        for each in names_in(paths.adapters):
            load_verified(paths.adapters / each, SIGNATURE)
            shutil.rmtree(paths.adapters / each)


def test_an_oddly_spelled_folder_is_no_obstacle_and_an_odder_one_is_told_what_to_do(
    tmp_path: Path, paths: Paths
) -> None:
    for spelled, name in (("My Bot (1)", "my-bot-1"), ("-dash", "dash"), ("SmolLM2_Shop", "smollm2_shop")):
        assert install_folder(write_adapter(tmp_path / spelled), paths).adapter.name == name
    for spelled in ("con", "[bold]x", "\x1b[31mred", "\u202egpj.exe", "a" * 200):
        with pytest.raises(RefusedError, match="rename the folder, or say --name"):
            install_folder(write_adapter(tmp_path / spelled), paths)


def test_a_stranger_does_not_take_the_name_of_a_shipped_one(source: Path, paths: Paths) -> None:
    write_adapter(paths.bundled_adapters / "support-bot", weights=tensors(seed=5))
    write_adapter(source, toml='name = "support-bot"\n')
    assert install_folder(source, paths).adapter.name == "support-bot-2"


def test_a_source_that_changes_after_the_check_changes_nothing(source: Path, paths: Paths) -> None:
    candidate = inspect(folder_at(source), signature=SIGNATURE)
    (source / "adapter_model.safetensors").write_bytes(b"evil")
    (source / "adapter_config.json").unlink()
    done = install(candidate, paths)
    assert load_verified(done.adapter.path, SIGNATURE).sha256 == candidate.files.sha256


@pytest.mark.parametrize("failing", ["mkdtemp", "replace", "write", "fsync"])
def test_a_disk_that_fails_leaves_nothing(
    failing: str, source: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if failing == "mkdtemp":
        monkeypatch.setattr("lora_chat.files.tempfile.mkdtemp", fail)
    elif failing == "write":
        monkeypatch.setattr(Path, "write_bytes", fail)
    else:
        monkeypatch.setattr(f"lora_chat.files.os.{failing}", fail)
    with pytest.raises(RefusedError, match="No space left on device"):
        install_folder(source, paths)
    monkeypatch.undo()
    assert names_in(paths.adapters) == []


def test_an_edit_after_install_is_refused_at_load(source: Path, paths: Paths) -> None:
    folder = install_folder(source, paths).adapter.path
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors(seed=9)))
    with pytest.raises(RefusedError, match="edited after it was installed"):
        load_verified(folder, SIGNATURE)


def test_another_alpha_after_install_is_an_edit_as_well(source: Path, paths: Paths) -> None:
    folder = install_folder(source, paths).adapter.path
    write_adapter(folder, config(lora_alpha=99))
    with pytest.raises(RefusedError, match="edited after it was installed"):
        load_verified(folder, SIGNATURE)


def test_a_source_that_is_not_what_was_packed_is_refused(source: Path, paths: Paths) -> None:
    write_adapter(source, toml=f'[weights]\nsha256 = "{"0" * 64}"\n')
    with pytest.raises(RefusedError, match="edited after it was installed or packed: remove it and install it again"):
        install_folder(source, paths)
    assert not paths.adapters.exists() or list(paths.adapters.iterdir()) == []


def test_other_bytes_than_the_request_names_are_refused(source: Path) -> None:
    with pytest.raises(RefusedError, match="edited after it was installed"):
        load_verified(source, SIGNATURE, sha256="0" * 64)


def test_a_folder_that_is_gone_is_not_found(source: Path) -> None:
    shutil.rmtree(source)
    with pytest.raises(NotFoundError):
        load_verified(source, SIGNATURE)


def test_another_lineage_of_the_same_shape_fits_and_asks(tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "a", config(base_model_name_or_path="other/Model"))
    verdict = check_fit(read_adapter(other), SIGNATURE)
    assert (verdict.ok, verdict.asks) == (True, True)
    assert any("other/Model" in warning for warning in verdict.warnings)
    none = write_adapter(tmp_path / "b", config(base_model_name_or_path=None))
    assert any("does not say" in warning for warning in check_fit(read_adapter(none), SIGNATURE).warnings)


def test_a_local_path_or_alias_is_the_same_base(tmp_path: Path) -> None:
    unsloths = ("unsloth/llama-random-bnb-4bit", "unsloth/Llama-Random-unsloth-bnb-4bit")
    for number, name in enumerate(("/home/x/models/Llama-Random", "C:\\models\\tiny", "tiny/llama-random", *unsloths)):
        folder = write_adapter(tmp_path / str(number), config(base_model_name_or_path=name))
        assert check_fit(read_adapter(folder), SIGNATURE).warnings == ()


def test_the_bases_own_folder_is_the_same_base_and_is_written_down_by_its_name(tmp_path: Path, paths: Paths) -> None:
    here = dataclasses.replace(SIGNATURE, place="/home/x/models/smol")
    folder = write_adapter(tmp_path / "a", config(base_model_name_or_path="/home/x/models/smol/"))
    done = install_folder(folder, paths, signature=here)
    assert (done.warnings, done.adapter.base_model) == ((), "tiny/Llama-Random")
    assert done.adapter.is_for(here)
    elsewhere = dataclasses.replace(SIGNATURE, place="/home/y/models/smol")
    assert check_fit(read_adapter(folder), elsewhere).asks


def test_what_does_not_fit_its_own_base_is_not_sent_to_another(tmp_path: Path) -> None:
    head = {f"base_model.model.lm_head.lora_{side}.weight": ("F32", shape, bytes(4 * 4 * max(shape)))
            for side, shape in (("A", (4, 32)), ("B", (64, 4)))}  # fmt: skip
    folder = write_adapter(tmp_path / "a", config(target_modules=["q_proj", "v_proj", "lm_head"]), tensors() | head)
    reason = check_fit(read_adapter(folder), SIGNATURE).reason
    assert reason.endswith(
        'it adapts the output head, "lm_head", which is not supported; train it without that, or take another.'
    )
    folder = write_adapter(tmp_path / "b", config(target_modules=["q_proj", "v_proj", "o_proj"]))
    reason = check_fit(read_adapter(folder), SIGNATURE).reason
    assert '2 of the 6 modules its config names have no tensors, "model.layers.0.self_attn.o_proj" first' in reason
    assert reason.endswith("it is incomplete; fetch it again.")


def test_another_shape_is_refused_naming_both_bases(tmp_path: Path) -> None:
    found = tensors()
    name = next(iter(found))
    found[name] = ("F32", (4, 64), bytes(4 * 4 * 64))
    folder = write_adapter(tmp_path / "a", config(base_model_name_or_path="big/Model"), found)
    verdict = check_fit(read_adapter(folder), SIGNATURE)
    assert not verdict.ok
    assert "big/Model" in verdict.reason
    assert "tiny/Llama-Random" in verdict.reason
