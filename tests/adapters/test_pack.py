"""The archive that is handed on: the same bytes everywhere, nothing of this machine in it, and it installs again."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from lora_chat.adapters.install import inspect_folder, install
from lora_chat.adapters.manifest import read_manifest
from lora_chat.adapters.numbers import widened
from lora_chat.adapters.outgoing.local_paths import is_path, without_homes, without_path
from lora_chat.adapters.outgoing.pack import Package, package, write_archive
from lora_chat.adapters.registry import read_installed
from lora_chat.adapters.verify import load_verified
from lora_chat.adapters.weights import read_adapter
from lora_chat.errors import RefusedError
from lora_chat.models.attach import wear
from lora_chat.paths import Paths
from tests.adapters.conftest import SIGNATURE, config, safetensors, tensors, write_adapter
from tests.adapters.test_honest import logits, saved_by_peft

TOML = 'version = "2.0.0"\nprivate = true\nlicense = "MIT"\n[training]\nsource = "/home/ann/shop/rows.jsonl"\n'


def packed(folder: Path, dtype: str = "") -> Package:
    return package(read_installed(folder), dtype)


def unpacked(package: Package, into: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(package.archive)) as archive:
        archive.extractall(into)
    return into


def test_the_same_adapter_is_the_same_bytes_at_another_place_time_and_mode(tmp_path: Path) -> None:
    first = packed(write_adapter(tmp_path / "bot", toml=TOML)).archive
    other = write_adapter(tmp_path / "elsewhere" / "bot", toml=TOML)
    for file in other.iterdir():
        file.chmod(0o600)
        os.utime(file, (1, 1))
    assert packed(other).archive == first


def test_the_same_adapter_is_the_same_bytes_in_another_process_zone_and_language(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "bot", toml=TOML)
    script = (
        "import hashlib, sys; from pathlib import Path\n"
        "from lora_chat.adapters.outgoing.pack import package; from lora_chat.adapters.registry import read_installed\n"
        "print(hashlib.sha256(package(read_installed(Path(sys.argv[1]))).archive).hexdigest())"
    )
    env = os.environ | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/", "USER": "bob", "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", script, folder], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(packed(folder).archive).hexdigest()


def test_an_archive_once_packed_is_packed_so_for_ever(tmp_path: Path) -> None:
    """A new zipfile, tomli-w or card would show here: an archive's hash is what people compare."""
    plain = {name: (kind, shape, bytes(math.prod(shape) * 4)) for name, (kind, shape, _) in tensors().items()}
    out = packed(write_adapter(tmp_path / "bot", weights=plain, toml=TOML))
    assert hashlib.sha256(out.archive).hexdigest() == (
        "1a2ab7c4d529c82180b04c88dc621d84066ff4bf4805ad99c902c5f1227c769e"
    )


def test_members_are_sorted_stored_and_say_nothing_of_when_where_and_who(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "bot", toml=TOML)
    (folder / "LICENSE").write_text("Do as you like.\n")
    (folder / "notes.txt").write_text("mine")
    raw = packed(folder).archive
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = archive.namelist()
        assert names == ["LICENSE", "README.md", "adapter.toml", "adapter_config.json", "adapter_model.safetensors"]
        for member in archive.infolist():
            assert (member.date_time, member.extra, member.comment) == ((1980, 1, 1, 0, 0, 0), b"", b"")
            assert (member.create_system, member.external_attr >> 16) == (3, 0o100644)
            assert (member.compress_type, member.file_size) == (zipfile.ZIP_STORED, member.compress_size)
            # The local header has an extra field of its own, which zipfile does not show.
            assert struct.unpack_from("<H", raw, member.header_offset + 28) == (0,)


def test_what_is_unpacked_is_an_adapter_that_fits_and_is_no_longer_private(tmp_path: Path, paths: Paths) -> None:
    folder = write_adapter(tmp_path / "bot", toml=TOML)
    out = packed(folder)
    assert out.private
    again = inspect_folder(unpacked(out, tmp_path / "out"), signature=SIGNATURE)
    assert (again.manifest.name, again.manifest.version, again.manifest.private) == ("bot", "2.0.0", False)
    assert again.files.weights == read_adapter(folder).weights
    assert again.files.config == read_adapter(folder).config
    assert install(again, paths).adapter.name == "bot"
    assert read_installed(folder).manifest.private, "the adapter itself stays private"


def test_packing_what_was_unpacked_gives_the_same_archive(tmp_path: Path) -> None:
    out = packed(write_adapter(tmp_path / "bot", toml=TOML))
    assert packed(unpacked(out, tmp_path / "again" / "bot")).archive == out.archive


def test_no_path_of_this_machine_leaves(tmp_path: Path) -> None:
    base = "/home/ann/models/Llama-Random"
    settings = config(base_model_name_or_path=base, auto_mapping={"parent_library": "/home/ann/lib"})
    toml = TOML + '[base]\nmodel = "/home/ann/models/Llama-Random"\n[chat]\nsystem_prompt = "See /home/ann/x."\n'
    weights = safetensors(tensors(), __metadata__={"format": "pt", "made_in": "/home/ann/train"})
    folder = write_adapter(tmp_path / "bot", settings, weights, toml)
    (folder / "README.md").write_text(
        f"---\nbase_model: {base}\n---\nMade in /home/ann/train with C:\\Users\\Ann\\x.\n"
    )
    out = packed(folder)
    everything = out.archive.decode("latin-1")
    for trace in ("ann", "Ann", str(tmp_path), "/home"):
        assert trace not in everything, trace
    again = inspect_folder(unpacked(out, tmp_path / "out"), signature=SIGNATURE)
    assert again.files.settings.base_model == "Llama-Random"
    assert again.manifest.base.model == "Llama-Random"
    assert again.manifest.training["source"] == "rows.jsonl"
    assert len(out.notes) == 3


def test_names_that_peft_would_drop_are_written_as_it_has_them(tmp_path: Path) -> None:
    bare = {name.removeprefix("base_model.model."): each for name, each in tensors().items()}
    out = packed(write_adapter(tmp_path / "bot", weights=bare))
    found, expected = load(out.files["adapter_model.safetensors"]), load(safetensors(tensors()))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_bf16_halves_the_weights_and_rounds_to_the_nearest(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "bot", toml=TOML)
    whole, half = read_adapter(folder), packed(folder, "BF16")
    found = load(half.files["adapter_model.safetensors"])
    for module, lora in whole.layout.modules.items():
        for side, view in (("A", lora.a), ("B", lora.b)):
            was = widened(whole.weights[view.start : view.stop], view.dtype, view.shape)
            assert torch.equal(
                found[f"base_model.model.{module}.lora_{side}.weight"], torch.from_numpy(np.array(was)).bfloat16()
            )
    out = unpacked(half, tmp_path / "out")
    assert load_verified(out, SIGNATURE).files.layout.parameters == whole.layout.parameters
    claim = read_manifest(half.files["adapter.toml"]).weights
    assert claim.sha256 == hashlib.sha256(half.files["adapter_model.safetensors"]).hexdigest()
    assert 2 * claim.bytes < len(whole.weights) + 2_000
    assert packed(out).files["adapter_model.safetensors"] == half.files["adapter_model.safetensors"]


@pytest.mark.parametrize(("dtype", "off"), [("", 0.0), ("F32", 0.0), ("BF16", 0.1), ("F16", 0.01)])
def test_what_arrives_is_worn_as_what_left(dtype: str, off: float, llama: Any, tmp_path: Path) -> None:
    folder = saved_by_peft(llama, tmp_path / "bot", rank_pattern={"q_proj": 6}, use_rslora=True)
    here = logits(wear(llama, load_verified(folder, SIGNATURE), "a1b2c3"))
    there = unpacked(packed(folder, dtype), tmp_path / "out")
    arrived = logits(wear(llama, load_verified(there, SIGNATURE), "a1b2c3"))
    assert (arrived - here).abs().max() <= off
    assert (logits(llama) - here).abs().max() > 3 * off


def test_one_edited_after_install_is_not_packed(tmp_path: Path, paths: Paths) -> None:
    adapter = install(inspect_folder(write_adapter(tmp_path / "bot")), paths).adapter
    (adapter.path / "adapter_config.json").write_text(json.dumps(config(lora_alpha=32)))
    with pytest.raises(RefusedError, match="edited after it was installed"):
        package(read_installed(adapter.path))


def test_an_archive_is_written_whole_and_readable_by_others(tmp_path: Path) -> None:
    write_archive(b"zip", tmp_path / "bot.zip")
    assert (tmp_path / "bot.zip").read_bytes() == b"zip"
    if os.name == "posix":
        assert (tmp_path / "bot.zip").stat().st_mode & 0o777 == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["bot.zip"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RefusedError, match=r"Cannot write .*bot\.zip \(No space left on device\)"):
        write_archive(b"zip", tmp_path / "bot.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", False, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("gpt2", False, "gpt2"),
        ("/data/models/tiny/", True, "tiny"),
        ("./out/checkpoint-5", True, "checkpoint-5"),
        ("~/m/tiny", True, "tiny"),
        (r"C:\models\tiny", True, "tiny"),
        ("D:/models/tiny", True, "tiny"),
        ("/c/hub/models--org--tiny/snapshots/0a1b", True, "org/tiny"),
        ("/", True, ""),
    ],
)
def test_a_path_is_told_from_a_name_and_cut_to_what_it_points_to(text: str, path: bool, name: str) -> None:
    assert is_path(text) is path
    assert without_path(text) == name


def test_only_homes_are_rewritten_in_running_text() -> None:
    text = (
        "In /home/ann/x, (/Users/bob/y), C:\\Users\\Ann Lee and /root/z; but /usr/bin and example.com/home/page stay."
    )
    assert without_homes(text) == ("In ~/x, (~/y), ~ Lee and ~/z; but /usr/bin and example.com/home/page stay.")
