"""Bases in other programs' folders: each is found where it lies, under the right name, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters.signature import BaseSignature
from lora_chat.models import catalog
from lora_chat.models.catalog import CATALOG, EMBEDDED, resolve
from lora_chat.models.entry import FolderSource, GgufSource, HubSource
from lora_chat.models.nearby import Surroundings
from lora_chat.models.nearby.hub_cache import hub_cache
from lora_chat.models.nearby.lm_studio import lm_studio_folders
from lora_chat.models.nearby.naming import bare
from lora_chat.models.nearby.ollama import stores
from lora_chat.models.sources import gguf
from lora_chat.models.sources.gguf import read_head
from tests.conftest import HOME
from tests.models.conftest import write_gguf
from tests.models.trees import COMMIT, KNOWN, cache, look, manifest, store

OTHER = COMMIT[::-1]


def hub(tmp_path: Path) -> Path:
    return tmp_path / ".cache" / "huggingface" / "hub"


# Where is looked


def test_the_tests_look_at_no_real_cache() -> None:
    here = Surroundings.here()
    assert here.home == HOME
    places = (
        hub_cache(here.environ, here.home),
        *stores(here.environ, here.home, here.system),
        *lm_studio_folders(here.home),
    )
    assert all(place.is_relative_to(HOME) for place in places)


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({}, "/home/x/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HF_HOME": "/hf", "XDG_CACHE_HOME": "/c"}, "/hf/hub"),
        ({"HF_HUB_CACHE": "/hub", "HF_HOME": "/hf"}, "/hub"),
        ({"HF_HOME": "~/hf"}, "/home/x/hf/hub"),
        ({"HF_HOME": ""}, "/home/x/.cache/huggingface/hub"),
    ],
)
def test_the_hub_cache_is_where_its_own_client_has_it(environ: dict[str, str], where: str) -> None:
    assert hub_cache(environ, Path("/home/x")) == Path(where)


def test_ollama_s_store_is_the_environment_s_else_the_person_s_and_the_service_s() -> None:
    home, system = Path("/home/x"), (Path("/usr/share/ollama/.ollama/models"),)
    assert stores({"OLLAMA_MODELS": "/data/o"}, home, system) == (Path("/data/o"),)
    assert stores({}, home, system) == (home / ".ollama" / "models", *system)


def test_lm_studio_s_folder_is_where_its_pointer_and_its_settings_say(tmp_path: Path) -> None:
    usual = (tmp_path / ".lmstudio" / "models", tmp_path / ".cache" / "lm-studio" / "models")
    assert lm_studio_folders(tmp_path) == usual
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path}/elsewhere\n", encoding="utf-8")
    (tmp_path / ".lmstudio").mkdir()
    (tmp_path / ".lmstudio" / "settings.json").write_text('{"downloadsFolder": "/big/disk"}', encoding="utf-8")
    assert lm_studio_folders(tmp_path) == (tmp_path / "elsewhere" / "models", Path("/big/disk"), *usual)
    for nonsense in ("[]", "{", '{"downloadsFolder": 7}', '{"downloadsFolder": "models"}', "[" * 100_000):
        (tmp_path / ".lmstudio" / "settings.json").write_text(nonsense, encoding="utf-8")
        assert lm_studio_folders(tmp_path) == (tmp_path / "elsewhere" / "models", *usual)


def test_nothing_there_is_nothing_found_and_no_problem(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.entries, found.problems) == ((), ())
    assert list(tmp_path.iterdir()) == []


# The Hugging Face cache


def test_a_snapshot_of_a_known_page_keeps_its_name_and_facts_and_is_used_in_place(
    tmp_path: Path, converted: Path
) -> None:
    snapshot = cache(hub(tmp_path), converted)
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage, entry.source) == ("tiny-0.6b", "Org/Tiny-0.6B", FolderSource(snapshot))
    assert (entry.place, entry.download_bytes, entry.gated) == ("Hugging Face's cache", 0, False)
    assert entry.installed_bytes == sum(file.stat().st_size for file in converted.iterdir())
    assert (entry.licence, entry.parameters, entry.context_window, entry.thinking) == ("MIT", 123_456, 99, True)
    known, others = catalog.with_found([KNOWN], [entry])
    assert (known, others) == ((entry,), ())


def test_a_snapshot_of_an_unknown_page_tells_what_its_headers_say(tmp_path: Path, converted: Path) -> None:
    from safetensors.numpy import load_file

    cache(hub(tmp_path), converted, "Some.Org/Other_Model-2B")
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage) == ("other_model-2b", "Some.Org/Other_Model-2B")
    tensors = load_file(converted / "model.safetensors")
    tied = json.loads((converted / "config.json").read_text())["tie_word_embeddings"]
    assert entry.parameters == sum(
        each.size for name, each in tensors.items() if not (tied and name == "lm_head.weight")
    )
    assert entry.context_window == 128
    assert entry.sizes is not None
    assert (entry.sizes.family, entry.sizes.layers, entry.sizes.hidden) == ("llama", 2, 16)


def test_main_s_snapshot_comes_before_the_newest_and_a_whole_one_before_main_s(tmp_path: Path, converted: Path) -> None:
    first = cache(hub(tmp_path), converted)
    second = cache(hub(tmp_path), converted, commit=OTHER, main=False)
    os.utime(first, (1, 1))
    assert [entry.source for entry in look(tmp_path).entries] == [FolderSource(first)]
    (first / "model.safetensors").unlink()
    assert [entry.source for entry in look(tmp_path).entries] == [FolderSource(second)]
    (first.parent.parent / "refs" / "main").write_text("../../../elsewhere", encoding="utf-8")
    assert [entry.source for entry in look(tmp_path).entries] == [FolderSource(second)]


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_download_that_did_not_end_is_not_offered(tmp_path: Path, converted: Path, missing: str) -> None:
    (cache(hub(tmp_path), converted) / missing).unlink()
    found = look(tmp_path)
    assert (found.entries, found.problems) == ((), ())


def test_a_shard_that_is_missing_is_a_download_that_did_not_end(tmp_path: Path, tiny_folder: Path) -> None:
    whole = tiny_folder / "model.safetensors"
    whole.rename(tiny_folder / "one.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tiny_folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    snapshot = cache(hub(tmp_path), tiny_folder)
    assert look(tmp_path).entries == ()
    shutil.copyfile(tiny_folder / "one.safetensors", snapshot / "two.safetensors")
    assert [entry.source for entry in look(tmp_path).entries] == [FolderSource(snapshot)]


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["BertModel"]},
        {"architectures": ["T5ForConditionalGeneration"]},
        {"architectures": None},
        {"architectures": "LlamaForCausalLM"},
        {"quantization_config": {"quant_method": "gptq"}},
        {"quantization": {"bits": 4}},
    ],
)
def test_what_is_no_plain_base_is_not_offered(tmp_path: Path, tiny_folder: Path, change: dict[str, object]) -> None:
    config = json.loads((tiny_folder / "config.json").read_text(encoding="utf-8"))
    (tiny_folder / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    cache(hub(tmp_path), tiny_folder)
    found = look(tmp_path)
    assert (found.entries, found.problems) == ((), ())


def test_adapters_data_sets_and_spaces_are_not_offered(tmp_path: Path, tiny_folder: Path) -> None:
    (tiny_folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    cache(hub(tmp_path), tiny_folder)
    (tiny_folder / "adapter_config.json").unlink()
    for kind in ("datasets--Org--Tiny", "spaces--Org--Tiny"):
        shutil.copytree(tiny_folder, hub(tmp_path) / kind / "snapshots" / COMMIT)
    assert look(tmp_path).entries == ()


def test_damaged_weights_are_told(tmp_path: Path, tiny_folder: Path) -> None:
    weights = tiny_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    snapshot = cache(hub(tmp_path), tiny_folder)
    found = look(tmp_path)
    assert found.entries == ()
    (problem,) = found.problems
    assert problem.path == snapshot
    assert "is damaged or cut short" in problem.reason


def test_a_gguf_in_the_hub_cache_is_found_too(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    shutil.copyfile(tiny_gguf, folder / "Tiny-0.6B-F32.gguf")
    snapshot = cache(hub(tmp_path), folder, "someone/Org_Tiny-0.6B-GGUF")
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage) == ("tiny-0.6b-f32", "Org/Tiny-0.6B")
    assert entry.source == GgufSource(snapshot / "Tiny-0.6B-F32.gguf")


# Ollama


def test_a_model_of_ollama_s_library_is_the_catalog_s_under_a_name_with_its_quantisation(
    tmp_path: Path, tiny_gguf: Path
) -> None:
    blob = store(tmp_path / ".ollama" / "models", tiny_gguf)
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage, entry.source) == ("tiny-0.6b-f32", "Org/Tiny-0.6B", GgufSource(blob))
    assert (entry.place, entry.quantisation, entry.download_bytes) == ("Ollama", "F32", 0)
    assert (entry.parameters, entry.licence, entry.template) == (123_456, "MIT", "ChatML")
    assert entry.aliases == ("tiny-small", "tiny:0.6b")
    assert entry.installed_bytes == 4 * read_head(tiny_gguf).elements
    assert resolve("tiny:0.6b", found=[entry]) == entry
    assert resolve("tiny-0.6b-f32", [KNOWN], [entry]) == entry
    assert resolve("Org/Tiny-0.6B", [KNOWN], [entry]) == KNOWN


def test_the_quantisation_is_the_file_s_own_word_else_that_of_most_weights(tmp_path: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    store(root, write_gguf(tmp_path / "a.gguf", fields={"general.file_type": 15}))
    assert look(tmp_path).entries[0].name == "tiny-0.6b-q4_k_m"
    store(root, write_gguf(tmp_path / "b.gguf", fields={"general.file_type": 1024 + 7}))
    assert look(tmp_path).entries[0].quantisation == "Q8_0"
    store(root, write_gguf(tmp_path / "c.gguf", fields={"general.file_type": 9999}))
    assert look(tmp_path).entries[0].quantisation == "F32"


def test_several_names_of_one_file_are_one_base(tmp_path: Path, tiny_gguf: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    for tag in ("latest", "0.6b"):
        store(root, tiny_gguf, f"registry.ollama.ai/library/tiny/{tag}")
    store(root, tiny_gguf, "registry.ollama.ai/library/tiny/0.6b", top="manifests-v2")
    (entry,) = look(tmp_path).entries
    assert entry.aliases == ("tiny-small", "tiny:0.6b", "tiny:latest")


def test_another_s_model_keeps_its_own_name(tmp_path: Path, tiny_gguf: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    store(root, tiny_gguf, "registry.ollama.ai/somebody/tiny/0.6b", kinds=("adapter", "projector"))
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage) == ("tiny-0.6b-f32", "somebody/tiny:0.6b")
    assert "adapter on it is not taken along" in entry.description
    assert "part for pictures" in entry.description
    assert entry.aliases == ("somebody/tiny:0.6b",)


def test_a_repository_of_the_hub_in_ollama_is_told_by_its_name(tmp_path: Path, tiny_gguf: Path) -> None:
    store(tmp_path / ".ollama" / "models", tiny_gguf, "hf.co/someone/Org_Tiny-0.6B-GGUF/F32")
    (entry,) = look(tmp_path).entries
    assert (entry.name, entry.lineage) == ("tiny-0.6b-f32", "Org/Tiny-0.6B")
    assert "hf.co/someone/Org_Tiny-0.6B-GGUF:F32" in entry.aliases


def test_a_list_of_manifests_gives_the_one_that_reads_gguf(tmp_path: Path, tiny_gguf: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    blob = store(root, tiny_gguf, "registry.ollama.ai/library/gone/now")
    inside = (root / "manifests/registry.ollama.ai/library/gone/now").read_bytes()
    (root / "manifests/registry.ollama.ai/library/gone/now").unlink()
    listed = "application/vnd.ollama.manifest.list.v2+json"
    whole = json.loads(inside)
    for child in (
        {"runner": "ollama", "format": "gguf", **whole},
        {"runner": "llamacpp", "digest": f"sha256:{'0' * 64}"},
    ):
        if "digest" in child:
            (root / "blobs" / f"sha256-{'0' * 64}").write_bytes(inside)
        manifests = [{"runner": "mlx", "format": "safetensors", "layers": []}, child]
        manifest(root, {"mediaType": listed, "manifests": manifests})
        assert [entry.source for entry in look(tmp_path).entries] == [GgufSource(blob)]


def test_what_embeds_or_sees_is_no_base(tmp_path: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    for number, (architecture, fields) in enumerate(
        [
            ("bert", {}),
            ("nomic-bert", {}),
            ("clip", {}),
            ("llama", {"llama.pooling_type": 1}),
            ("llama", {"general.type": "adapter"}),
            ("llama", {"split.count": 3, "split.no": 1}),
        ]
    ):
        gguf = write_gguf(tmp_path / f"{number}.gguf", architecture=architecture, fields=fields)  # type: ignore[arg-type]
        store(root, gguf, f"registry.ollama.ai/library/m{number}/latest")
    found = look(tmp_path)
    assert (found.entries, found.problems) == ((), ())


# LM Studio and folders of the person's own


def test_lm_studio_s_files_are_found_but_not_what_belongs_to_them(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "Tiny-0.6B-GGUF"
    folder.mkdir(parents=True)
    for name in ("Tiny-0.6B-Q4_K_M.gguf", "mmproj-Tiny-0.6B-F16.gguf", "Tiny-0.6B.Q8_0.gguf.part", "notes.txt"):
        shutil.copyfile(tiny_gguf, folder / name)
    (entry,) = look(tmp_path).entries
    assert (entry.place, entry.name, entry.lineage) == ("LM Studio", "tiny-0.6b-f32", "Org/Tiny-0.6B")


def test_one_of_several_parts_is_listed_once_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "Big-GGUF"
    folder.mkdir(parents=True)
    for part in range(3):
        fields = {"split.count": 3, "split.no": part}
        write_gguf(folder / f"Big-Q8_0-0000{part + 1}-of-00003.gguf", fields=fields)  # type: ignore[arg-type]
    (entry,) = look(tmp_path).entries
    assert entry.name == "big-f32"
    assert entry.obstacle == "it is one of 3 parts of a model: join them with llama.cpp's gguf-split --merge"


def test_a_rotary_embedding_that_a_conversion_would_lose_is_an_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "Long"
    folder.mkdir(parents=True)
    write_gguf(folder / "long.gguf", fields={"llama.rope.scaling.type": "yarn"})
    (entry,) = look(tmp_path).entries
    assert "a rotary embedding of the kind yarn, which a conversion would lose" in entry.obstacle
    assert str(folder) not in entry.obstacle


def test_own_folders_are_searched_two_folders_down(tmp_path: Path, tiny_gguf: Path, converted: Path) -> None:
    root = tmp_path / "models"
    (root / "a" / "b" / "c").mkdir(parents=True)
    for name in ("zero.gguf", "a/one.gguf", "a/b/two.gguf", "a/b/c/three.gguf"):
        shutil.copyfile(tiny_gguf, root / name)
    shutil.copytree(converted, root / "folder-model")
    found = look(tmp_path, "~/models")
    assert sorted(entry.name for entry in found.entries) == ["folder-model", "one-f32", "two-f32", "zero-f32"]
    assert {entry.place for entry in found.entries} == {"your folders"}
    assert look(tmp_path, str(root)) == found


def test_a_hub_cache_and_an_ollama_store_elsewhere_are_known_as_such(
    tmp_path: Path, tiny_gguf: Path, converted: Path
) -> None:
    cache(tmp_path / "disk" / "hub", converted, "Org/Other")
    store(tmp_path / "disk" / "ollama", tiny_gguf)
    found = look(tmp_path, "~/disk/hub", "~/disk/ollama")
    assert sorted(entry.name for entry in found.entries) == ["other", "tiny-0.6b-f32"]


def test_an_own_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = look(tmp_path, "~/models").problems
    assert f"{tmp_path}/models is no folder: correct model_folders" in problem.reason


def test_one_file_in_two_lists_is_found_once(tmp_path: Path, tiny_gguf: Path) -> None:
    (tmp_path / "models").mkdir()
    shutil.copyfile(tiny_gguf, tmp_path / "models" / "x.gguf")
    assert len(look(tmp_path, "~/models", str(tmp_path / "models")).entries) == 1


# Names


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Qwen3-0.6B-Q4_K_M", "Qwen3-0.6B"),
        ("Qwen_Qwen3-0.6B-GGUF", "Qwen_Qwen3-0.6B"),
        ("Qwen3-0.6B-UD-Q4_K_XL", "Qwen3-0.6B"),
        ("smollm2-135m-instruct.q8_0", "smollm2-135m-instruct"),
        ("gemma-3-1b-it-BF16", "gemma-3-1b-it"),
        ("Big-IQ2_XXS-00001-of-00003", "Big"),
        ("Llama-3.2-1B-Instruct-Q8_0-GGUF", "Llama-3.2-1B-Instruct"),
        ("Phi-4-mini-instruct", "Phi-4-mini-instruct"),
    ],
)
def test_a_title_without_how_its_weights_are_kept(title: str, model: str) -> None:
    assert bare(title) == model


def place(tmp_path: Path, name: str, **written: object) -> str:
    """The lineage of a file of this name in a folder of one's own."""
    (tmp_path / "models").mkdir(exist_ok=True)
    file = write_gguf(tmp_path / "models" / name, **written)  # type: ignore[arg-type]
    (entry,) = look(tmp_path, "~/models").entries
    file.unlink()
    return entry.lineage


def test_a_file_is_the_catalog_s_model_by_its_page_s_name_and_its_shape_alone(tmp_path: Path) -> None:
    assert place(tmp_path, "Tiny-0.6B-Q4_K_M.gguf") == "Org/Tiny-0.6B"
    assert place(tmp_path, "org_tiny-0.6b.Q8_0.gguf") == "Org/Tiny-0.6B"
    assert place(tmp_path, "tiny-0.6b-q8_0.gguf", wide=64) == "tiny-0.6b-F32"
    assert place(tmp_path, "my-tiny-0.6b.gguf") == "my-tiny-0.6b"
    assert place(tmp_path, "tiny-0.6b-distill.gguf") == "tiny-0.6b-distill"


@pytest.mark.parametrize(
    "fields",
    [
        {"general.finetune": "Thinking"},
        {"general.version": "2507"},
        {"general.basename": "Tiny-abliterated"},
        {"general.finetune": "Base"},
    ],
)
def test_a_file_that_calls_itself_a_variant_is_another_model(tmp_path: Path, fields: dict[str, str]) -> None:
    lineage = place(tmp_path, "Tiny-0.6B-Q4_K_M.gguf", fields=fields)
    assert lineage == "Tiny-0.6B-F32"
    signature = BaseSignature(lineage, "", {}, "", "", "")
    assert not signature.is_called("Org/Tiny-0.6B")


def test_the_page_that_a_file_says_it_was_made_from_counts_where_its_name_agrees(tmp_path: Path) -> None:
    page = {"general.base_model.0.repo_url": "https://huggingface.co/Org/Unknown-1B"}
    assert place(tmp_path, "Unknown-1B.Q8_0.gguf", fields=page) == "Org/Unknown-1B"
    assert place(tmp_path, "my-finetune.gguf", fields=page) == "my-finetune"
    foreign = {"general.base_model.0.repo_url": "https://huggingface.co/../../etc"}
    assert place(tmp_path, "etc.gguf", fields=foreign) == "etc"


def test_no_two_have_one_name_and_none_has_a_known_one(tmp_path: Path, tiny_gguf: Path, converted: Path) -> None:
    store(tmp_path / ".ollama" / "models", tiny_gguf)
    for publisher in ("one", "two", "three"):
        folder = tmp_path / ".lmstudio" / "models" / publisher / "Tiny-0.6B"
        folder.mkdir(parents=True)
        shutil.copyfile(tiny_gguf, folder / "Tiny-0.6B.gguf")
        shutil.copyfile(tiny_gguf, folder / "tiny-small.gguf")
    for org in ("Org", "Else"):
        cache(hub(tmp_path), converted, f"{org}/Tiny-0.6B")
        cache(hub(tmp_path), converted, f"{org}/Same")
    entries = look(tmp_path).entries
    names = [entry.name for entry in entries]
    assert len(names) == 11
    assert len(set(names)) == len(names)
    assert [entry.source_kind for entry in entries if entry.name == "tiny-0.6b"] == ["folder"]
    assert "else-tiny-0.6b" in names
    assert all(catalog.is_name(name) for name in names)


def test_every_shipped_base_but_one_has_names_in_ollama_s_library_and_no_two_the_same() -> None:
    tags = [tag for entry in CATALOG for tag in entry.ollama]
    assert len(tags) == len(set(tags))
    assert [entry.name for entry in CATALOG if not entry.ollama] == ["opt-125m"]
    named = {tag: entry.name for entry in CATALOG for tag in entry.ollama}
    assert {
        tag: named[tag] for tag in ("qwen3:0.6b", "smollm2:135m", "llama3.2:1b", "gemma3:1b", "phi4-mini:3.8b")
    } == {
        "qwen3:0.6b": "qwen3-0.6b",
        "smollm2:135m": "smollm2-135m",
        "llama3.2:1b": "llama-3.2-1b",
        "gemma3:1b": "gemma-3-1b",
        "phi4-mini:3.8b": "phi-4-mini",
    }


def test_the_embedded_base_stays_that_of_its_wheel(tmp_path: Path, converted: Path) -> None:
    cache(hub(tmp_path), converted, EMBEDDED.lineage)
    (entry,) = look(tmp_path, known=CATALOG).entries
    assert (entry.name, entry.lineage) == ("smollm2-135m-whole", EMBEDDED.lineage)
    assert resolve("smollm2-135m", found=[entry]) is EMBEDDED
    assert resolve("smollm2-135m-whole", found=[entry]) is entry


@pytest.mark.parametrize("piece", [8, 9, 100])
def test_a_vocabulary_is_stepped_over_in_pieces_of_any_size(
    tiny_gguf: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_head(tiny_gguf)
    monkeypatch.setattr(gguf, "_PIECE", piece)
    assert read_head(tiny_gguf) == whole
    assert whole.last_begins < tiny_gguf.stat().st_size
    assert sum(whole.shares.values()) == whole.elements


def test_an_own_entry_that_wants_another_revision_is_not_taken_from_the_cache(tmp_path: Path, converted: Path) -> None:
    cache(hub(tmp_path), converted)
    mine = replace(KNOWN, name="mine", own=True, sizes=None)
    (entry,) = look(tmp_path, known=(mine,)).entries
    assert (entry.name, entry.source_kind) == ("mine", "folder")
    other = replace(mine, source=HubSource("Org/Tiny-0.6B", "v2"))
    (entry,) = look(tmp_path, known=(other,)).entries
    assert entry.name != "mine"


def test_the_search_needs_no_heavy_library(tmp_path: Path, tiny_gguf: Path, converted: Path) -> None:
    store(tmp_path / ".ollama" / "models", tiny_gguf)
    cache(hub(tmp_path), converted)
    script = (
        "import sys; from pathlib import Path; from lora_chat.models.nearby import Surroundings, look_around;"
        "from lora_chat.models.catalog import CATALOG;"
        "found = look_around(Surroundings({}, Path(sys.argv[1]), (), ()), CATALOG);"
        "heavy = ('torch', 'transformers', 'peft', 'datasets', 'huggingface_hub', 'gguf');"
        "print(len(found.entries), [name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2 []\n"
