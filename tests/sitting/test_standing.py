"""How adapters stand to a base, and what becomes of one that is worn: real folders, no engine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters import verify
from lora_chat.adapters.index import Index
from lora_chat.adapters.install import install_folder
from lora_chat.adapters.registry import Adapter
from lora_chat.engine.effects import Effects
from lora_chat.engine.kept import kept_for
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.sitting.changes import Change, what_became_of
from lora_chat.sitting.standing import Standing, Standings, provenance, standing_facts
from tests.adapters.conftest import MODULES, SIGNATURE, config, paths, safetensors, tensors, write_adapter  # noqa: F401

BASE = InstalledBase("tiny", Path("/nowhere"), "test", 1, 1, 512, SIGNATURE)
EDITED = "was edited after it was installed"


class Shelf:
    """A home, its index, and how what is in it stands to the tiny base."""

    def __init__(self, home: Paths, source: Path) -> None:
        self.home, self._source = home, source
        self.index = Index(home)
        self.standings = Standings(self.index, BASE, home)
        self.effects = Effects(kept_for(BASE, home).effects, SIGNATURE.weights)

    def install(self, name: str = "bot", *, seed: int = 0, base: str = "tiny/Llama-Random") -> Adapter:
        source = write_adapter(
            self._source / name, config(base_model_name_or_path=base or None), safetensors(tensors(seed=seed))
        )
        install_folder(source, self.home)
        return self.get(name)

    def get(self, name: str) -> Adapter:
        return self.index.catalog().get(name)

    def change(self, worn: Adapter) -> Change:
        return what_became_of(worn, self.index.catalog(), self.standings)


@pytest.fixture
def shelf(paths: Paths, tmp_path: Path) -> Shelf:  # noqa: F811
    return Shelf(paths, tmp_path / "sources")


def flip(adapter: Adapter) -> None:
    file = adapter.path / "adapter_model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)


def test_one_made_for_this_base_fits_and_says_what_it_was_measured_to_change(shelf: Shelf) -> None:
    adapter = shelf.install()
    before = shelf.standings.of(adapter)
    assert (before.fit("x"), before.measured, before.refusal, before.doubt) == ("fits", "not measured", "", "")
    shelf.effects.put(adapter.sha256, adapter.config_sha256, 2.5)
    assert shelf.standings.of(adapter).measured == "changes 2.5"
    shelf.effects.put(adapter.sha256, adapter.config_sha256, 0.0)
    known = shelf.standings.known(adapter, shelf.standings.effects())
    assert known is not None
    assert known.measured == "changes nothing"


@pytest.mark.parametrize(("base", "word"), [("someone/Else-1B", "made for Else-1B"), ("", "base not said")])
def test_one_made_for_another_fits_with_a_doubt(shelf: Shelf, base: str, word: str) -> None:
    adapter = shelf.install(base=base)
    standing = shelf.standings.of(adapter)
    assert standing.fit(adapter.base_model) == word
    assert "its shapes fit tiny/Llama-Random" in standing.doubt
    assert standing_facts(adapter, standing, "tiny")[0] == ("fit", standing.doubt)


def test_one_of_another_shape_is_refused_with_the_reason(shelf: Shelf) -> None:
    wide = replace(BASE, signature=replace(SIGNATURE, modules=dict.fromkeys(MODULES, (8, 8))))
    adapter = shelf.install()
    standing = Standings(shelf.index, wide, shelf.home).of(adapter)
    assert standing.fit("x") == "does not fit"
    assert "does not fit" in standing.refusal
    assert standing_facts(adapter, standing, "tiny")[0] == ("fit", standing.refusal)


def test_one_that_grew_or_changed_while_looked_on_is_held_against_what_was_installed(shelf: Shelf) -> None:
    adapter = shelf.install()
    flip(adapter)
    now = shelf.get("bot")
    assert now == adapter, "its header says the same"
    assert now is not adapter
    assert EDITED in shelf.standings.of(now, changed=True).refusal
    assert EDITED in shelf.standings.of(now).refusal, "it is remembered until it changes again"
    write_adapter(adapter.path, weights=safetensors(tensors(dtype="F16")))
    assert EDITED in Standings(shelf.index, BASE, shelf.home).of(shelf.get("bot")).refusal


def test_bytes_are_read_only_where_there_is_reason_to(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = shelf.install()
    monkeypatch.setattr(verify, "read_bytes", None)
    assert shelf.standings.of(adapter).fit("x") == "fits"


def test_one_that_is_gone_says_so(shelf: Shelf) -> None:
    adapter = shelf.install()
    shutil.rmtree(adapter.path)
    assert "There is no adapter folder" in shelf.standings.of(adapter).refusal


def test_what_is_told_of_it_is_one_line_each(shelf: Shelf) -> None:
    adapter = shelf.install()
    said = replace(
        adapter,
        manifest=replace(
            adapter.manifest,
            authors=("a\nb",),
            private=True,
            training={"steps": 1234, "seconds": 12.345, "recipe": {"rank": 8}, "total_parameters": 9},
            evaluation={"loss_before": 3.4576, "loss_after": 0.02673, "other_after": 1.0, "quiz": 0.5},
        ),
    )
    assert provenance(said) == [
        ("version", "1.0.0"), ("authors", "a b"), ("is private", "trained here, not exported yet"),
        ("trained", "steps 1,234, seconds 12.3"), ("evaluated", "loss 3.46 → 0.0267, other after 1, quiz 0.5"),
    ]  # fmt: skip
    assert standing_facts(adapter, None, "tiny") == []
    assert standing_facts(adapter, Standing(None, "Gone."), "tiny") == [("fit", "Gone.")]


# What became of one that is worn


def test_one_that_is_as_it_was_is_worn_on(shelf: Shelf) -> None:
    worn = shelf.install()
    shelf.install("another", seed=2)
    assert shelf.change(worn) == Change(worn)
    assert shelf.index.is_as_listed(worn)


def test_one_that_is_gone_is_taken_off(shelf: Shelf) -> None:
    worn = shelf.install()
    shutil.rmtree(worn.path)
    assert not shelf.index.is_as_listed(worn)
    assert shelf.change(worn) == Change(None, "bot is no longer installed: the base answers.")


def test_one_that_is_damaged_is_taken_off_with_the_reason(shelf: Shelf) -> None:
    worn = shelf.install()
    (worn.path / "adapter_config.json").write_bytes(b"{")
    change = shelf.change(worn)
    assert change.now is None
    assert "JSON is not valid" in change.said
    assert change.said.endswith("The base answers.")


def test_one_that_was_edited_is_taken_off_with_its_sentence(shelf: Shelf) -> None:
    worn = shelf.install()
    flip(worn)
    change = shelf.change(worn)
    assert change.now is None
    assert EDITED in change.said


def test_another_description_of_the_same_bytes_is_worn_on_without_a_word(shelf: Shelf) -> None:
    worn = shelf.install()
    toml = worn.path / "adapter.toml"
    toml.write_text(toml.read_text("utf-8").replace('description = ""', 'description = "New."'), "utf-8")
    change = shelf.change(worn)
    assert change.now is not None
    assert (change.now.description, change.said) == ("New.", "")


def test_another_version_in_its_place_is_worn_and_that_is_said(shelf: Shelf) -> None:
    worn = shelf.install()
    shutil.rmtree(worn.path)
    shutil.copytree(shelf.install("other", seed=5).path, worn.path)
    change = shelf.change(worn)
    assert change.now is not None
    assert change.now.sha256 != worn.sha256
    assert "bot was replaced by another version" in change.said
