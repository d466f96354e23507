"""What a person may call a base model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.config import Config
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models.catalog import (
    CATALOG,
    EMBEDDED,
    CatalogEntry,
    FolderSource,
    GgufSource,
    HubSource,
    WheelSource,
    checked_name,
    renamed,
    resolve,
)
from lora_chat.models.sizes import Sizes


def test_the_default_setting_is_the_embedded_model() -> None:
    assert resolve(Config().model) is EMBEDDED
    assert "trying the loop" in EMBEDDED.description


@pytest.mark.parametrize(
    "name", ["smollm2-135m", "SmolLM2-135M", "smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct"]
)
def test_the_embedded_model_answers_to_all_its_names(name: str) -> None:
    assert resolve(name) is EMBEDDED


def test_every_entry_can_be_shown_and_named() -> None:
    for entry in CATALOG:
        assert checked_name(entry.name) == entry.name
        assert resolve(entry.lineage) is entry
        assert entry.licence
        assert entry.description.endswith(".")
        assert entry.parameters < entry.download_bytes * 2
        assert entry.source_kind in ("pypi", "hub")
        assert entry.languages
        assert entry.context_window
        assert entry.template
        assert entry.thinking is not None
    names = [name.casefold() for entry in CATALOG for name in (entry.name, entry.lineage, *entry.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_the_parameters_of_an_entry_are_what_its_sizes_make(entry: CatalogEntry) -> None:
    assert entry.sizes is not None
    assert entry.sizes.parameters() == entry.parameters


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "phi3", "opt"])
def test_sizes_name_the_modules_that_transformers_makes(family: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = Sizes(family, 2, 64, 96, 4, 4 if family == "opt" else 2, 16, 128)
    names = {"intermediate_size": 96, "ffn_dim": 96, "num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 0}
    config = AutoConfig.for_model(
        family,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=128,
        word_embed_proj_dim=64,
        tie_word_embeddings=True,
        **names,
    )
    made = AutoModelForCausalLM.from_config(config)
    linear = {
        name: (module.out_features, module.in_features)
        for name, module in made.named_modules()
        if hasattr(module, "out_features") and name != "lm_head"
    }
    assert sizes.modules() == linear
    assert sizes.parameters() == sum(each.numel() for each in made.parameters())


def test_the_article_s_base_is_there_and_says_why_it_is_not_pulled_as_it_is() -> None:
    assert "safetensors" in resolve("facebook/opt-125m").obstacle


def test_the_gated_ones_are_meta_s_and_google_s() -> None:
    assert {entry.lineage.split("/")[0] for entry in CATALOG if entry.gated} == {"meta-llama", "google"}


def test_the_wheel_is_pinned_by_version_and_both_hashes() -> None:
    assert isinstance(EMBEDDED.source, WheelSource)
    assert "==" in EMBEDDED.source.requirement
    assert len(EMBEDDED.source.wheel_sha256) == len(EMBEDDED.source.file_sha256) == 64


def test_a_hub_id_is_taken_at_its_word() -> None:
    entry = resolve("Some.Org/My_Model-2B")
    assert entry.source == HubSource("Some.Org/My_Model-2B")
    assert (entry.name, entry.lineage) == ("my_model-2b", "Some.Org/My_Model-2B")
    assert (entry.download_bytes, entry.licence) == (0, "")


def test_a_folder_comes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "Model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    entry = resolve("org/Model")
    assert entry.source == FolderSource((tmp_path / "org" / "Model").resolve())
    assert (entry.name, entry.source_kind) == ("model", "folder")


def test_a_folder_of_a_hub_cache_keeps_the_models_name(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--Org--Tiny-1B" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    entry = resolve(str(snapshot))
    assert (entry.name, entry.lineage) == ("tiny-1b", "Org/Tiny-1B")


def test_a_gguf_file_is_named_after_itself(tmp_path: Path) -> None:
    file = tmp_path / "My Model.Q4_1.GGUF"
    file.write_bytes(b"")
    entry = resolve(str(file))
    assert entry.source == GgufSource(file.resolve())
    assert (entry.name, entry.source_kind) == ("my-model.q4_1", "gguf")


@pytest.mark.parametrize(
    "text", ["smolm2-135m", "", "a/b/c", "../x/y", "none.gguf", "x" * 5_000, "a\x00b", "~nobody-here/x"]
)
def test_anything_else_is_not_found(text: str) -> None:
    with pytest.raises(NotFoundError, match="lora-chat model list") as refused:
        resolve(text)
    assert len(str(refused.value)) < 400


def test_the_nearest_name_is_offered_and_escapes_are_not_passed_on() -> None:
    with pytest.raises(NotFoundError, match=r"did you mean smollm2-135m\?"):
        resolve("smolm2-135m")
    with pytest.raises(NotFoundError) as refused:
        resolve("\x1b[31mred\u202e")
    assert not set("\x1b\u202e") & set(str(refused.value))


@pytest.mark.parametrize("name", ["", "../x", "A", ".hidden", "a/b", "x" * 65, "a\n", "-x"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="cannot be a base model's name"):
        checked_name(name)


def test_another_name_keeps_the_rest() -> None:
    assert renamed(EMBEDDED, "mine").source is EMBEDDED.source
    assert renamed(EMBEDDED, None) is EMBEDDED
