"""What other programs' folders may hold of broken and hostile things: told or left out, never followed, no crash."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.models.nearby import Nearby, Surroundings, look_around, within
from lora_chat.models.nearby.within import Within
from lora_chat.text import clean_line
from tests.models.trees import IMAGE, cache, look, manifest, store

DIGEST = f"sha256:{'a' * 64}"


def hub(tmp_path: Path) -> Path:
    return tmp_path / ".cache" / "huggingface" / "hub"


def ollama(tmp_path: Path) -> Path:
    return tmp_path / ".ollama" / "models"


def lm_studio(tmp_path: Path) -> Path:
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "model"
    folder.mkdir(parents=True)
    return folder


def model_layer(digest: object) -> dict[str, object]:
    return {"layers": [{"mediaType": f"{IMAGE}model", "digest": digest}]}


@pytest.mark.parametrize(
    "content",
    [
        model_layer("sha256:../../../../secret.gguf"),
        model_layer("../secret.gguf"),
        model_layer("/etc/passwd"),
        model_layer(f"sha256:{'a' * 63}/"),
        model_layer(7),
        model_layer(None),
        model_layer(DIGEST),
        {"layers": "model"},
        {"layers": [7]},
        {"layers": {"a": "b"}},
        {"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": [{"digest": "../x"}]},
        {"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": 7},
        [],
        "",
        "{",
        "[" * 200_000,
        '{"layers": ' * 100_000,
        '{"layers": 1' + "0" * 10_000 + "}",
        '{"a": "' + "x" * 2_000_000 + '"}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told_in_a_sentence(tmp_path: Path, tiny_gguf: Path, content: object) -> None:
    shutil.copyfile(tiny_gguf, tmp_path / "secret.gguf")
    blob = store(ollama(tmp_path), tiny_gguf, "registry.ollama.ai/library/good/latest")
    file = manifest(ollama(tmp_path), content)
    found = look(tmp_path)
    assert [entry.source.path for entry in found.entries] == [blob]  # type: ignore[union-attr]
    (problem,) = found.problems
    assert problem.path == file
    assert clean_line(problem.reason) == problem.reason
    assert len(problem.reason) < 500


def test_a_blob_that_leads_out_is_not_read(tmp_path: Path, tiny_gguf: Path) -> None:
    blob = store(ollama(tmp_path), tiny_gguf)
    blob.unlink()
    blob.symlink_to(tiny_gguf)
    found = look(tmp_path)
    assert found.entries == ()
    assert "its weights are not there" in found.problems[0].reason


def test_weights_that_lead_out_of_the_hub_cache_are_not_read(tmp_path: Path, converted: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        lineage = f"Org/{name.split('.')[0]}"
        snapshot = cache(hub(tmp_path), converted, lineage)
        (snapshot / name).unlink()
        (snapshot / name).symlink_to(converted / name)
    found = look(tmp_path)
    assert found.entries == ()
    (problem,) = found.problems
    assert "3 links" in problem.reason
    assert "model_folders" in problem.reason


def test_an_index_that_names_files_outside_is_no_base(tmp_path: Path, tiny_folder: Path) -> None:
    (tiny_folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    maps: list[object] = [{"a": "../../outside.safetensors"}, {"a": str(tmp_path / "outside.safetensors")}]
    for names in [*maps, {"a": 7}, {}, []]:
        index = tiny_folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
        shutil.rmtree(hub(tmp_path), ignore_errors=True)
        cache(hub(tmp_path), tiny_folder)
        assert look(tmp_path).entries == ()


def test_links_in_a_circle_end(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = lm_studio(tmp_path)
    shutil.copyfile(tiny_gguf, folder / "good.gguf")
    (folder / "loop.gguf").symlink_to(folder / "loop.gguf")
    (folder / "a.gguf").symlink_to(folder / "b.gguf")
    (folder / "b.gguf").symlink_to(folder / "a.gguf")
    (folder / "up").symlink_to(folder.parent.parent)
    (folder / "round").symlink_to(folder / "round")
    (tmp_path / ".lmstudio" / "models" / "again").symlink_to(folder.parent)
    (hub(tmp_path) / "models--a--b" / "snapshots").mkdir(parents=True)
    (hub(tmp_path) / "models--a--b" / "snapshots" / "self").symlink_to(hub(tmp_path))
    found = look(tmp_path)
    assert len(found.entries) == 1
    assert found.problems == ()


def test_names_that_could_steer_a_screen_are_counted_and_left_out(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = lm_studio(tmp_path)
    for name in ("\x1b[31mred.gguf", "a\u202eb.gguf", "line\nbreak.gguf", os.fsdecode(b"\xff.gguf"), "good.gguf"):
        shutil.copyfile(tiny_gguf, folder / name)
    manifest(ollama(tmp_path), model_layer(DIGEST), "registry.ollama.ai/library/\x1b]0;title\x07/latest")
    found = look(tmp_path)
    assert [entry.name for entry in found.entries] == ["good-f32"]
    assert any("4 names in" in problem.reason for problem in found.problems)
    assert all(clean_line(problem.reason) == problem.reason for problem in found.problems)


def test_what_a_head_says_of_itself_is_cleaned(tmp_path: Path) -> None:
    from tests.models.conftest import write_gguf

    fields = {"general.license": "\x1b[31mMIT\u202e", "general.name": "\x1b[2J" * 100}
    write_gguf(lm_studio(tmp_path) / "it.gguf", fields=fields)  # type: ignore[arg-type]
    (entry,) = look(tmp_path).entries
    assert entry.licence == "[31mMIT"
    assert clean_line(repr(entry)) == repr(entry)


def test_a_file_that_is_cut_short_is_told(tmp_path: Path, tiny_gguf: Path) -> None:
    data, folder = tiny_gguf.read_bytes(), lm_studio(tmp_path)
    for name, cut in (
        ("head", data[:300]),
        ("empty", b""),
        ("text", b"not a model"),
        ("weights", data[: len(data) // 2]),
    ):
        (folder / f"{name}.gguf").write_bytes(cut)
    found = look(tmp_path)
    assert found.entries == ()
    assert {problem.path.stem for problem in found.problems} == {"head", "empty", "text", "weights"}


def test_a_head_that_promises_more_weights_than_there_are_bytes_is_told(tmp_path: Path) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    tensor = text("a") + struct.pack("<I8QIQ", 8, *[2**63] * 8, 0, 0)
    fields = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    (lm_studio(tmp_path) / "huge.gguf").write_bytes(
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + fields + tensor + b"x" * 99
    )
    found = look(tmp_path)
    assert found.entries == ()
    assert "is cut short" in found.problems[0].reason


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, converted: Path) -> None:
    folder = lm_studio(tmp_path)
    os.mkfifo(folder / "pipe.gguf")
    os.mkfifo(tmp_path / ".lmstudio-home-pointer")
    snapshot = cache(hub(tmp_path), converted)
    (snapshot / "config.json").unlink()
    os.mkfifo(snapshot / "config.json")
    (snapshot.parent.parent / "refs" / "main").unlink()
    os.mkfifo(snapshot.parent.parent / "refs" / "main")
    os.mkfifo(manifest(ollama(tmp_path), "x").parent / "pipe")
    found = look(tmp_path)
    assert found.entries == ()
    assert [problem.path.name for problem in found.problems] == ["0.6b"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = lm_studio(tmp_path)
    shutil.copyfile(tiny_gguf, folder / "it.gguf")
    folder.chmod(0)
    try:
        (problem,) = look(tmp_path).problems
    finally:
        folder.chmod(0o700)
    assert "cannot be read" in problem.reason


def test_a_folder_that_the_system_refuses_is_told_and_the_others_are_searched(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lm_studio(tmp_path)
    shutil.copyfile(tiny_gguf, folder / "it.gguf")
    store(ollama(tmp_path), tiny_gguf)
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = look(tmp_path)
    assert [entry.place for entry in found.entries] == ["Ollama"]
    (problem,) = found.problems
    assert f"{folder} (Permission denied) cannot be read" in problem.reason


def test_a_place_that_cannot_even_be_asked_for_is_told(tmp_path: Path) -> None:
    (problem,) = look(tmp_path, HF_HUB_CACHE="/" + "x" * 300).problems
    assert "cannot be read, so no base is found there" in problem.reason


def test_who_has_no_home_has_nothing_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert look_around(Surroundings.here(), ()) == Nearby()


def test_a_search_has_an_end_and_says_so(tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within, "MOST", 10)
    folder = tmp_path / "models"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.txt").touch()
    (problem,) = look(tmp_path, "~/models").problems
    assert "more than 10 files" in problem.reason


def test_many_broken_ones_are_told_as_a_number(tmp_path: Path) -> None:
    folder = lm_studio(tmp_path)
    for number in range(20):
        (folder / f"{number:02}.gguf").write_bytes(b"x")
    problems = look(tmp_path).problems
    assert len(problems) == 6
    assert problems[-1].reason.startswith("15 more in ")
    assert all(problem.foreign for problem in problems)


def test_nothing_is_written(tmp_path: Path, tiny_gguf: Path, converted: Path) -> None:
    store(ollama(tmp_path), tiny_gguf)
    cache(hub(tmp_path), converted)
    shutil.copyfile(tiny_gguf, lm_studio(tmp_path) / "it.gguf")

    def state() -> list[tuple[str, int, int]]:
        return sorted((str(each), each.lstat().st_mtime_ns, each.lstat().st_size) for each in tmp_path.rglob("*"))

    before = state()
    look(tmp_path)
    assert state() == before


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_whatever_bytes_are_changed_nothing_is_raised(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = random.Random(seed)
    root = tmp_path_factory.getbasetemp() / "changed"
    source = next(iter(tmp_path_factory.getbasetemp().glob("gguf*/tiny.gguf")), None)
    shutil.rmtree(root, ignore_errors=True)
    folder = lm_studio(root)
    data = bytearray(source.read_bytes()[:9000] if source else b"GGUF" + bytes(500))
    for _ in range(rng.randrange(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    (folder / "it.gguf").write_bytes(data)
    found = look(root)
    assert len(found.entries) + len(found.problems) <= 1


def test_what_is_within_stays_within(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("{}", encoding="utf-8")
    inside = Within(tmp_path / "in")
    for path in (tmp_path / "out" / "x", tmp_path / "in" / ".." / "out" / "x"):
        with pytest.raises(ValueError, match="no plain file"):
            inside.read_json(path, 100)
