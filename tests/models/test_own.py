"""A person's own base models in ``config.toml``: read as written, and each mistake told in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.config import Config, load_config, save_settings
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models import own as own_module
from lora_chat.models.catalog import EMBEDDED
from lora_chat.models.entry import FolderSource, GgufSource, HubSource
from lora_chat.models.own import KEYS, find_entry, read_own
from lora_chat.text import clean_line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(config: Path, text: str) -> Path:
    config.write_text(text, encoding="utf-8")
    return config


WHOLE = """
model = "mine"

[bases.mine]
source = "someone/Mine-1B"
revision = "v2"
parameters = 1_000_000_000
licence = "MIT"
languages = ["Basque", "Spanish"]
context_window = 4096
thinking = true
gated = true
template = "ChatML"
description = "Speaks Basque."
"""


def test_an_entry_is_read_as_it_stands(config: Path) -> None:
    (entry,) = read_own(written(config, WHOLE)).entries
    assert (entry.name, entry.lineage, entry.source) == ("mine", "someone/Mine-1B", HubSource("someone/Mine-1B", "v2"))
    assert (entry.parameters, entry.download_bytes, entry.context_window) == (10**9, 2 * 10**9, 4096)
    assert (entry.licence, entry.languages, entry.template) == ("MIT", ("Basque", "Spanish"), "ChatML")
    assert entry.own
    assert entry.thinking
    assert entry.gated
    assert find_entry("mine", config) == find_entry("someone/mine-1b", config) == entry


def test_the_settings_beside_it_are_read_and_a_change_keeps_it(config: Path) -> None:
    assert load_config(written(config, WHOLE)) == Config(model="mine")
    before = read_own(config)
    save_settings(config, temperature=1.0)
    assert load_config(config) == Config(model="mine", temperature=1.0)
    assert read_own(config) == before


def test_a_source_alone_is_enough_and_the_rest_is_unknown(config: Path) -> None:
    (entry,) = read_own(written(config, '[bases.small]\nsource = "a/b"')).entries
    assert (entry.parameters, entry.download_bytes, entry.licence, entry.thinking) == (0, 0, "", None)


def test_a_folder_and_a_file_are_taken_by_their_full_path(config: Path, tmp_path: Path) -> None:
    text = f'[bases.one]\nsource = "{tmp_path}/Some-Model"\n[bases.two]\nsource = "{tmp_path}/x.Q4_1.GGUF"'
    one, two = read_own(written(config, text)).entries
    assert (one.source, one.lineage) == (FolderSource(tmp_path / "Some-Model"), "Some-Model")
    assert two.source == GgufSource(tmp_path / "x.Q4_1.GGUF")


def test_a_home_folder_is_found(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (entry,) = read_own(written(config, '[bases.mine]\nsource = "~/models/mine"')).entries
    assert entry.source == FolderSource(tmp_path / "models" / "mine")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[bases.qwen3-0.6b]\nsource = "a/b"', 'a name with a dot stands in quotes, \\[bases."qwen3-0.6b"\\]'),
        ('[bases."qwen3-0.6b"]\nsource = "a/b"', "name of the shipped qwen3-0.6b: choose another"),
        ('[bases.smollm2]\nsource = "a/b"', "name of the shipped smollm2-135m: choose another"),
        ('[bases.Mine]\nsource = "a/b"', "needs another name"),
        ('[bases."../x"]\nsource = "a/b"', "needs another name"),
        ("[bases.mine]\nparameters = 1", "has no source: add"),
        ('[bases.mine]\nsource = "models/mine/x"', "no hub id org/name and no full path"),
        ('[bases.mine]\nsource = "mine"', "no hub id org/name and no full path"),
        ('[bases.mine]\nsource = "/models/mine"\nrevision = "v1"', "which only a hub id can have"),
        ('[bases.mine]\nsource = "a/b"\nlicense = "MIT"', 'unknown "license"; did you mean licence\\?'),
        ('[bases.mine]\nsource = "a/b"\nzzz = 1', 'unknown "zzz": remove that line'),
        ('[bases.mine]\nsource = "a/b"\nparameters = "1B"', '"parameters".*must be a whole number'),
        ('[bases.mine]\nsource = "a/b"\nparameters = true', '"parameters".*must be a whole number'),
        ('[bases.mine]\nsource = "a/b"\nparameters = -1', '"parameters".*between 1 and'),
        (f'[bases.mine]\nsource = "a/b"\nparameters = 0x{"F" * 6000}', '"parameters".*between 1 and'),
        ('[bases.mine]\nsource = "a/b"\ngated = 1', '"gated".*true or false'),
        ('[bases.mine]\nsource = "a/b"\nlanguages = "Basque"', '"languages".*a list of texts'),
        ('[bases.mine]\nsource = "a/b"\nlanguages = [1]', '"languages".*a list of texts'),
        (f'[bases.mine]\nsource = "a/b"\nlicence = "{"x" * 300}"', '"licence".*1 to 200 characters'),
        ('[bases.mine]\nsource = ""', '"source".*1 to 200 characters'),
        ('[bases]\nmine = "a/b"', "is no table: write \\[bases.mine\\]"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_file_and_entry_and_hides_nobody(
    config: Path, text: str, reason: str
) -> None:
    after = text if text.startswith("[bases]") else text + '\n[bases.fine]\nsource = "c/d"'
    own = read_own(written(config, after))
    (problem,) = own.problems
    assert str(config) in problem.reason
    assert problem.name.casefold() in problem.reason.casefold()
    assert "\n" not in problem.reason
    assert len(problem.reason) < 500
    with pytest.raises(RefusedError, match=reason):
        raise RefusedError(problem.reason)
    assert [entry.name for entry in own.entries] == ([] if text == after else ["fine"])
    assert load_config(config) == Config()


def test_who_asks_for_a_wrong_entry_is_told_what_is_wrong_with_it(config: Path) -> None:
    written(config, "[bases.mine]\nparameters = 1")
    with pytest.raises(RefusedError, match="has no source"):
        find_entry("mine", config)
    with pytest.raises(NotFoundError):
        find_entry("yours", config)


def test_a_shipped_base_cannot_be_shadowed(config: Path) -> None:
    written(config, f'[bases.{EMBEDDED.name}]\nsource = "a/b"')
    assert find_entry(EMBEDDED.name, config) is EMBEDDED


def test_bases_that_are_no_table_are_refused(config: Path) -> None:
    with pytest.raises(RefusedError, match=r"must be a table.*\[bases.NAME\]"):
        read_own(written(config, "bases = 1"))


def test_foreign_text_is_cleaned(config: Path) -> None:
    written(config, '[bases.mine]\nsource = "a/b"\ndescription = "\\u001b[31mred\\u202e\\nline"')
    (entry,) = read_own(config).entries
    assert entry.description == "[31mred line"
    written(config, '[bases."\\u001b[31m"]\nsource = "a/b"')
    (problem,) = read_own(config).problems
    assert "\x1b" not in problem.reason


LEAVES = st.one_of(st.text(max_size=30), st.integers(-(10**20), 10**20), st.booleans(), st.floats(), st.none())
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
ENTRIES = st.dictionaries(st.sampled_from([*KEYS, "other", "a.b"]) | st.text(max_size=8), VALUES, max_size=6)


@given(st.dictionaries(st.text(max_size=10), ENTRIES | VALUES, max_size=4))
def test_whatever_stands_there_each_entry_is_used_or_told(found: dict[str, Any]) -> None:
    path = Path("/home/x/config.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_module, "load_own_bases", lambda config: found)
        own = read_own(path)
    assert len(own.entries) + len(own.problems) == len(found)
    for problem in own.problems:
        assert str(path) in problem.reason
        assert clean_line(problem.reason) == problem.reason
    for entry in own.entries:
        assert entry.own
        assert (
            clean_line(entry.description + entry.licence + entry.template).strip()
            == (entry.description + entry.licence + entry.template).strip()
        )


def test_the_nearest_name_may_be_an_own_one(config: Path) -> None:
    written(config, '[bases.my-basque]\nsource = "a/b"')
    with pytest.raises(NotFoundError, match=r"did you mean my-basque\?"):
        find_entry("my-basqe", config)
