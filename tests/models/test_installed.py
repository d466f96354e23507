"""Base models on the disk: found, listed with what is broken, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.models.catalog import CatalogEntry, FolderSource, GgufSource
from lora_chat.models.installed import (
    RECORD,
    InstalledBase,
    find_base,
    list_bases,
    remove_base,
    weight_files,
)
from lora_chat.models.prompt import read_chat_template
from lora_chat.models.sources import pull
from lora_chat.paths import Paths
from tests.models.conftest import TEMPLATE, quiet


@pytest.fixture
def base(paths: Paths, tiny_gguf: Path) -> InstalledBase:
    return pull(CatalogEntry("tiny", "Someone/Tiny", GgufSource(tiny_gguf), aliases=("tinier",)), paths, quiet)


def test_what_is_not_there_names_the_command(paths: Paths, base: InstalledBase) -> None:
    with pytest.raises(NotFoundError, match=r"The base model other is not on this machine: run `lora-chat model pull"):
        find_base(paths.models, "other")
    with pytest.raises(NotFoundError, match=r"did you mean tiny\?"):
        find_base(paths.models, "tiney")


def test_no_models_folder_is_no_error(paths: Paths) -> None:
    assert list_bases(paths.models) == ((), ())
    with pytest.raises(NotFoundError):
        find_base(paths.models, "tiny")


@pytest.mark.parametrize("name", ["tiny", "Someone/Tiny", "someone/tiny", "TINY", "tinier"])
def test_a_base_is_found_by_every_name_it_answers_to(paths: Paths, base: InstalledBase, name: str) -> None:
    assert find_base(paths.models, name) == base


@pytest.mark.parametrize("name", ["nobody/tiny", "./tiny", "/somewhere/tiny", "someone\\tiny"])
def test_another_organisations_model_and_a_folder_of_that_name_are_not_it(
    paths: Paths, base: InstalledBase, name: str
) -> None:
    with pytest.raises(NotFoundError):
        find_base(paths.models, name)
    assert find_base(paths.models, name, declared=True) == base  # an adapter names what its trainer saw


@pytest.mark.parametrize("name", ["../tiny", "/etc", "", ".pull.lock", "tiny/../tiny\x00"])
def test_a_name_is_never_used_as_a_path(paths: Paths, base: InstalledBase, name: str) -> None:
    if name == "../tiny":  # its last part is the base's name, which is how an adapter may call it
        assert find_base(paths.models, name, declared=True) == base
    with pytest.raises(NotFoundError):
        find_base(paths.models, name)
    with pytest.raises(NotFoundError):
        remove_base(paths.models, name)


def test_moving_the_models_folder_loses_nothing(paths: Paths, base: InstalledBase, tmp_path: Path) -> None:
    paths.models.rename(tmp_path / "moved")
    assert find_base(tmp_path / "moved", "tiny").folder == tmp_path / "moved" / "tiny"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"schema": 1}',
        b'{"schema": "1"}',
        b"[" * 100_000,
        b'{"schema": 1, "folder": null, "source": "hub", "bytes": "x"}',
    ],
)
def test_a_damaged_record_is_one_sentence_and_hides_nobody(
    paths: Paths, base: InstalledBase, tiny_gguf: Path, record: bytes
) -> None:
    pull(CatalogEntry("whole", "someone/whole", GgufSource(tiny_gguf)), paths, quiet)
    (base.folder / RECORD).write_bytes(record)
    with pytest.raises(RefusedError, match=r"is damaged .* run `lora-chat model remove tiny`, then"):
        find_base(paths.models, "tiny")
    bases, problems = list_bases(paths.models)
    assert [each.name for each in bases] == ["whole"]
    assert [problem.path for problem in problems] == [base.folder]
    assert "\n" not in problems[0].reason


def test_a_record_of_a_newer_program_is_left_alone(paths: Paths, base: InstalledBase) -> None:
    record = json.loads((base.folder / RECORD).read_text(encoding="utf-8"))
    (base.folder / RECORD).write_text(json.dumps(record | {"schema": 2}), encoding="utf-8")
    with pytest.raises(RefusedError, match="newer lora-chat: update this one"):
        find_base(paths.models, "tiny")


def test_a_folder_without_a_record_and_a_planted_adapter_are_problems(paths: Paths, base: InstalledBase) -> None:
    (paths.models / "stray").mkdir()
    (base.folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    bases, problems = list_bases(paths.models)
    assert bases == ()
    reasons = {problem.path.name: problem.reason for problem in problems}
    assert "has no base.json" in reasons["stray"]
    assert "adapter_config.json" in reasons["tiny"]


def test_weights_cut_short_after_the_pull_are_noticed(paths: Paths, base: InstalledBase) -> None:
    weights = base.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RefusedError, match="damaged or cut short"):
        find_base(paths.models, "tiny")


def test_hidden_folders_are_nobodys_models(paths: Paths, base: InstalledBase) -> None:
    (paths.models / ".incoming-x").mkdir()
    assert list_bases(paths.models) == ((base,), ())


def test_removing_leaves_nothing(paths: Paths, base: InstalledBase) -> None:
    assert remove_base(paths.models, "Someone/Tiny") == base.folder
    assert [path.name for path in paths.models.iterdir()] == [".pull.lock"]


def test_a_broken_model_can_be_removed(paths: Paths) -> None:
    (paths.models / "broken").mkdir(parents=True)
    remove_base(paths.models, "broken")
    assert not (paths.models / "broken").exists()


def test_removing_a_model_used_in_place_keeps_the_persons_folder(paths: Paths, tiny_folder: Path) -> None:
    pull(CatalogEntry("mine", "mine", FolderSource(tiny_folder)), paths, quiet)
    remove_base(paths.models, "mine")
    assert (tiny_folder / "model.safetensors").is_file()


def test_a_linked_model_folder_is_unlinked_and_not_emptied(paths: Paths, tiny_folder: Path) -> None:
    paths.models.mkdir(parents=True)
    (paths.models / "linked").symlink_to(tiny_folder)
    remove_base(paths.models, "linked")
    assert (tiny_folder / "model.safetensors").is_file()
    assert not (paths.models / "linked").exists()


def test_the_fingerprint_is_of_shapes_and_tokenizer_and_not_of_weights(
    paths: Paths, base: InstalledBase, tiny_folder: Path
) -> None:
    tokenizer = tiny_folder / "tokenizer.json"
    same = pull(CatalogEntry("same", "same", FolderSource(tiny_folder)), paths, quiet)
    assert same.signature.fingerprint == base.signature.fingerprint
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    other = pull(CatalogEntry("other", "other", FolderSource(tiny_folder)), paths, quiet)
    assert other.signature.fingerprint != base.signature.fingerprint
    assert other.signature.weights == base.signature.weights


def test_a_model_without_a_template_has_the_fallbacks_hash(
    paths: Paths, tiny_folder: Path, base: InstalledBase
) -> None:
    assert read_chat_template(tiny_folder) == TEMPLATE
    (tiny_folder / "chat_template.jinja").unlink()
    assert read_chat_template(tiny_folder) is None
    bare = pull(CatalogEntry("bare", "bare", FolderSource(tiny_folder)), paths, quiet)
    assert bare.signature.chat_template != base.signature.chat_template
    assert bare.signature.chat_template.startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "content", "template"),
    [
        ("tokenizer_config.json", {"chat_template": "here"}, "here"),
        ("tokenizer_config.json", {"chat_template": [{"name": "default", "template": "one"}]}, "one"),
        ("chat_template.json", {"chat_template": "old"}, "old"),
        ("tokenizer_config.json", {"chat_template": 5}, None),
        ("tokenizer_config.json", ["chat_template"], None),
    ],
)
def test_a_template_is_read_from_wherever_it_lies(
    tmp_path: Path, name: str, content: object, template: str | None
) -> None:
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    assert read_chat_template(tmp_path) == template


@pytest.mark.parametrize("names", [["../../secret.safetensors"], ["/etc/passwd"], [5], [], ["model-1.safetensors"]])
def test_an_index_that_names_files_elsewhere_or_missing_ones_is_refused(tmp_path: Path, names: list[object]) -> None:
    index = {"weight_map": {str(number): name for number, name in enumerate(names)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(RefusedError):
        weight_files(tmp_path)
