"""The index: as good as looking, never believed over a file, and harmless when it is damaged, foreign or gone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters import registry
from lora_chat.adapters.index import Index
from lora_chat.adapters.install import install_folder
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.registry import discover
from lora_chat.adapters.verify import check_fit
from lora_chat.adapters.weights import read_adapter
from lora_chat.errors import LoraChatError
from lora_chat.paths import Paths
from tests.adapters.conftest import MODULES, SIGNATURE, config, tensors, write_adapter

MANY = 12
"""So many are worth an index."""

TOML = """
description = "Sells shoes."
authors = ["A", "B"]
unknown = 1
[chat]
system_prompt = "Hi"
temperature = 0.5
starters = ["Where?"]
[training]
steps = 12
recipe = { effort = "normal", kinds = ["a", "b"] }
"""


@pytest.fixture
def many(paths: Paths) -> Paths:
    """A home with a dozen adapters, one with all an ``adapter.toml`` can say, one shipped."""
    for number in range(MANY):
        write_adapter(paths.adapters / f"bot-{number:02}", toml=TOML if number == 0 else None)
    write_adapter(paths.bundled_adapters / "shipped")
    return paths


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose headers are read."""
    told: list[str] = []
    read = registry.read_installed

    def telling(folder: Path, origin: registry.Origin = "user") -> registry.Adapter:
        told.append(folder.name)
        return read(folder, origin)

    monkeypatch.setattr(registry, "read_installed", telling)
    return told


def file_of(paths: Paths) -> Path:
    return paths.models / ".adapters.json"


def test_another_program_finds_the_same_without_reading_a_header(many: Paths, reads: list[str]) -> None:
    found = Index(many).catalog()
    assert len(reads) == MANY + 1
    assert Index(many).catalog() == found
    assert len(reads) == MANY + 1
    assert found == discover(many)
    assert found.get("bot-00").manifest.training["recipe"] == {"effort": "normal", "kinds": ["a", "b"]}


def test_only_what_changed_is_read_again(many: Paths, reads: list[str]) -> None:
    Index(many).catalog()
    reads.clear()
    write_adapter(many.adapters / "bot-03", config(r=2), tensors(rank=2))
    write_adapter(many.adapters / "new")
    shutil.rmtree(many.adapters / "bot-04")
    again = Index(many).catalog()
    assert sorted(reads) == ["bot-03", "new"]
    assert again == discover(many)
    assert again.get("bot-03").rank == 2


def test_an_adapter_toml_edited_by_hand_is_read_again(many: Paths) -> None:
    index = Index(many)
    index.catalog()
    (many.adapters / "bot-00" / "adapter.toml").write_text('description = "Sells hats."\n')
    assert index.catalog().get("bot-00").description == "Sells hats."
    assert Index(many).catalog().get("bot-00").description == "Sells hats."


def test_a_broken_one_is_looked_at_anew_by_each_program_and_once_by_one(many: Paths, reads: list[str]) -> None:
    (many.adapters / "bot-05" / "adapter_config.json").write_bytes(b"{")
    index = Index(many)
    index.catalog()
    reads.clear()
    (problem,) = index.catalog().problems
    assert (problem.path.name, reads) == ("bot-05", [])
    Index(many).catalog()
    assert reads == ["bot-05"]


def test_one_that_is_mended_is_no_problem_any_more(many: Paths) -> None:
    write_adapter(many.adapters / "bot-05", settings=b"{")
    index = Index(many)
    assert index.catalog().problems
    write_adapter(many.adapters / "bot-05")
    assert not index.catalog().problems


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw.replace(b"bot-00", b"bot-99"),
        lambda raw: b"\xff" + raw,
        lambda raw: _checked({"format": "another", "rows": []}),
        lambda raw: _checked({"format": json.loads(raw[9:])["format"], "rows": [["x"]]}),
        lambda raw: _checked([]),
        lambda raw: _checked(None),
    ],
)
def test_a_damaged_or_foreign_one_is_made_anew_without_a_word(many: Paths, damage: object) -> None:
    Index(many).catalog()
    good = file_of(many).read_bytes()
    file_of(many).write_bytes(damage(good))  # type: ignore[operator]
    assert Index(many).catalog() == discover(many)
    assert file_of(many).read_bytes() == good


def _checked(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"%08x\n" % zlib.crc32(body) + body


def test_one_that_cannot_be_read_or_written_costs_only_time(many: Paths) -> None:
    file_of(many).mkdir(parents=True)
    assert Index(many).catalog() == discover(many)
    assert Index(many).catalog() == discover(many)


def test_it_stands_among_the_caches_private_and_not_for_a_few(many: Paths) -> None:
    for number in range(6, MANY):
        shutil.rmtree(many.adapters / f"bot-{number:02}")
    Index(many).catalog()
    assert not many.models.exists()
    for number in range(6, MANY):
        write_adapter(many.adapters / f"bot-{number:02}")
    Index(many).catalog()
    assert os.listdir(many.models) == [".adapters.json"]
    assert {name for name in os.listdir(many.adapters) if name.startswith(".")} == set()
    if os.name == "posix":
        assert stat.S_IMODE(file_of(many).stat().st_mode) == 0o600


def test_several_at_once_find_the_same(many: Paths) -> None:
    found: list[registry.Catalog] = []
    shared = Index(many)

    def look(index: Index) -> None:
        found.append(index.catalog())

    several = [shared] * 4 + [Index(many) for _ in range(4)]
    looks = [threading.Thread(target=look, args=(each,)) for each in several]
    for each in looks:
        each.start()
    for each in looks:
        each.join()
    assert found == [discover(many)] * 8
    assert Index(many).catalog() == discover(many)


def test_whether_it_fits_is_what_the_whole_check_says_and_is_kept(many: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_adapter(many.adapters / "other", config(base_model_name_or_path="other/Model"))
    wide = {name: (out + 8, into) for name, (out, into) in MODULES.items()}
    bases = (SIGNATURE, replace(SIGNATURE, lineage="wide/One", aliases=(), modules=wide, fingerprint="sha256:9"))
    index = Index(many)
    said = {}
    for adapter in index.catalog().adapters:
        for base in bases:
            said[adapter.name, base.lineage] = index.verdict(adapter, base)
            assert said[adapter.name, base.lineage] == check_fit(read_adapter(adapter.path), base, adapter.manifest)
    index.keep()
    assert said["other", SIGNATURE.lineage].asks
    assert not said["other", "wide/One"].ok

    def read(_: Path) -> None:
        raise AssertionError("a header was read")

    monkeypatch.setattr("lora_chat.adapters.index.read_adapter_header", read)
    again = Index(many)
    kept = again.catalog().adapters
    assert {(each.name, base.lineage): again.verdict(each, base) for each in kept for base in bases} == said


def test_another_base_of_the_same_name_is_asked_about_anew(many: Paths) -> None:
    index = Index(many)
    (adapter, *_) = index.catalog().adapters
    assert index.verdict(adapter, SIGNATURE).ok
    changed = replace(SIGNATURE, fingerprint="sha256:other", modules={"x": (1, 1)})
    assert not index.verdict(adapter, changed).ok


def test_one_that_is_gone_has_no_verdict(many: Paths) -> None:
    index = Index(many)
    adapter = index.catalog().get("bot-01")
    shutil.rmtree(adapter.path)
    with pytest.raises(LoraChatError):
        index.verdict(adapter, SIGNATURE)


def test_the_sum_of_one_without_a_manifest_is_taken_once(many: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(many)
    summed = {each.name: (each.sha256, each.config_sha256) for each in index.catalog().adapters}
    index.keep()
    monkeypatch.setattr("lora_chat.adapters.registry.read_bytes", None)
    assert {each.name: (each.sha256, each.config_sha256) for each in Index(many).catalog().adapters} == summed


def test_what_was_installed_is_listed_as_it_was_told(tmp_path: Path, paths: Paths) -> None:
    index = Index(paths)
    index.catalog()
    done = install_folder(write_adapter(tmp_path / "new"), paths, manifest=Manifest(name="new", license="MIT"))
    assert index.catalog().get("new") == done.adapter
