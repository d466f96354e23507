"""A job that is written out: what travels, which base it finds, what is read when it comes back."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.models.installed import InstalledBase, write_record
from lora_chat.paths import Paths
from lora_chat.training.carried import (
    GENERAL,
    REPORT,
    check_base,
    find_base_of,
    job_with_result,
    keep_result,
    read_result,
    write_out,
)
from lora_chat.training.events import DatasetReady, Report, Trained
from lora_chat.training.job import read_job
from lora_chat.training.job_file import Model
from lora_chat.training.selection import Selection
from tests.conftest import place
from tests.engine.conftest import LESSONS, short_recipe
from tests.training.carrying import MANY, written
from tests.training.test_job_file import edited

REPORTED = Report(1.5, 8, 900, 600.0, 100, 1000, 10.0, None, None, 5.0, 5.1, 0.2, "8 steps are the most")


@pytest.fixture
def job(tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "carried" / "shop-job", tiny_llama, general)


def test_what_travels_is_whole_and_for_its_owner_alone(tiny_llama: InstalledBase, general: Path, job: Path) -> None:
    names = {path.name for path in job.iterdir()}
    assert names == {"job.toml", "train.jsonl", "heldout.jsonl", GENERAL, "README.md"}
    read = read_job(job)
    assert (read.train, read.name, read.base, read.model) == (
        MANY,
        "shop",
        "tiny-llama",
        Model.of(tiny_llama.signature),
    )
    assert (job / GENERAL).read_bytes() == general.read_bytes()
    if os.name == "posix":
        assert job.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in job.iterdir()} == {0o600}
    assert [path.name for path in job.parent.iterdir()] == ["shop-job"]  # nothing half-made beside it


def test_nothing_in_it_says_where_it_was_written(tiny_llama: InstalledBase, job: Path, tmp_path: Path) -> None:
    for path in job.iterdir():
        for place_ in (tmp_path, tiny_llama.folder.parent, Path.home()):
            assert str(place_).encode() not in path.read_bytes(), path.name


def test_its_readme_says_the_commands_and_what_is_inside(job: Path) -> None:
    text = (job / "README.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for block in text.split("```sh\n")[1:] for line in block.split("```")[0].splitlines()]
    assert commands == [
        ["python", "-m", "lora_chat.training", "shop-job"],
        ["torchrun", "--nproc-per-node", "2", "-m", "lora_chat.training", "shop-job"],
        ["lora-chat", "adapter", "install", "shop-job"],
    ]
    for path in job.iterdir():
        assert path.name == "README.md" or f"| `{path.name}` | {path.stat().st_size:,} |" in text


def test_without_the_bases_answers_they_are_made_where_it_runs(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    what = ("shop", tiny_llama, "shop.jsonl", Selection(LESSONS, {}), short_recipe())
    parts = write_out(tmp_path / "job", *what, general=tmp_path / "never-made")
    assert [part.name for part in parts] == ["heldout.jsonl", "job.toml", "train.jsonl", "README.md"]
    assert [part.bytes for part in parts] == [(tmp_path / "job" / part.name).stat().st_size for part in parts]


def test_it_is_written_over_nothing(tiny_llama: InstalledBase, tmp_path: Path) -> None:
    (tmp_path / "job").write_text("mine")
    with pytest.raises(RefusedError, match=r"is there already: name a folder that is not\.$"):
        write_out(tmp_path / "job", "shop", tiny_llama, "x", Selection(LESSONS, {}), short_recipe())
    assert (tmp_path / "job").read_text() == "mine"
    with pytest.raises(LoraChatError, match="Cannot"):
        write_out(tmp_path / "job" / "in-a-file", "shop", tiny_llama, "x", Selection(LESSONS, {}), short_recipe())


def renamed(base: InstalledBase, home: Paths, name: str, **changes: str) -> None:
    """That base under another name, perhaps another one."""
    folder = home.models / name
    folder.mkdir(parents=True)
    signature = replace(base.signature, **changes)
    write_record(folder, replace(base, name=name, signature=signature), in_place=True)


def test_the_base_is_found_by_what_it_is_whatever_it_is_called(
    tiny_llama: InstalledBase, home: Paths, job: Path
) -> None:
    renamed(tiny_llama, home, "other-weights", lineage="someone/Copy", weights="sha256:other")
    assert find_base_of(read_job(job), home.models).name == "other-weights"
    renamed(tiny_llama, home, "zz-the-same", lineage="someone/Else")
    assert find_base_of(read_job(job), home.models).name == "zz-the-same"
    place(tiny_llama, home)
    assert find_base_of(read_job(job), home.models).name == "tiny-llama"


def test_another_base_is_refused_and_a_missing_one_named(
    tiny_llama: InstalledBase, tiny_opt: InstalledBase, home: Paths, job: Path
) -> None:
    read = read_job(job)
    place(tiny_opt, home)
    with pytest.raises(NotFoundError, match=r"tiny-llama .* `lora-chat model pull tiny-llama`.*--base FOLDER\.$"):
        find_base_of(read, home.models)
    renamed(tiny_llama, home, "tiny-llama", fingerprint="sha256:other")
    with pytest.raises(RefusedError, match=r"not the one .* its shapes or its tokenizer differ\.$"):
        find_base_of(read, home.models)
    with pytest.raises(RefusedError, match=r"not the base .* its shapes or its tokenizer differ\.$"):
        check_base(read, tiny_opt)
    other = replace(tiny_llama, signature=replace(tiny_llama.signature, chat_template="sha256:other"))
    with pytest.raises(RefusedError, match=r"its chat template differs\.$"):
        check_base(read, other)


def test_a_folder_given_as_the_base_is_called_as_the_job_calls_it(tiny_llama: InstalledBase, job: Path) -> None:
    elsewhere = replace(tiny_llama, signature=replace(tiny_llama.signature, lineage="SmolLM-copy"))
    assert check_base(read_job(job), elsewhere).signature.lineage == tiny_llama.signature.lineage


def finished(job: Path) -> Path:
    (job / "adapter").mkdir()
    (job / "checkpoint-000003").mkdir()
    saw = DatasetReady(14, 14, {}, 900, 300, 0)
    keep_result(job, Trained(str(job / "adapter"), REPORTED, saw, (2.0, 1.0), ((4, 1.5),)))
    return job


def test_the_report_comes_back_as_it_was_and_names_no_place_of_that_machine(job: Path, tmp_path: Path) -> None:
    finished(job)
    assert not list(job.glob("checkpoint-*"))
    assert str(tmp_path) not in (job / REPORT).read_text()
    moved = job.rename(job.with_name("elsewhere"))
    found = read_result(moved)
    assert (found.folder, found.report, found.losses) == (str(moved / "adapter"), REPORTED, (2.0, 1.0))
    assert found.heldout == ((4, 1.5),)


def test_the_job_and_its_adapter_are_both_what_is_installed(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_with_result(job) is None  # not trained yet
    finished(job)
    assert job_with_result(job) == job_with_result(job / "adapter") == job
    monkeypatch.chdir(job)
    assert job_with_result(Path("adapter")) == job
    assert job_with_result(job.parent) is None
    assert job_with_result(job / "adapter" / "adapter_model.safetensors") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda value: "[" * 100_000,
        lambda value: json.dumps(value)[:-40],
        lambda value: json.dumps(value | {"losses": [float("nan")]}),
        lambda value: json.dumps(value | {"losses": "\x1b[2J"}),
        lambda value: json.dumps(value | {"report": value["report"] | {"steps": -1}}),
        lambda value: json.dumps({"event": "trained"}),
    ],
)
def test_a_damaged_report_is_one_sentence(job: Path, change: Any) -> None:
    finished(job)
    (job / REPORT).write_text(change(json.loads((job / REPORT).read_text())))
    with pytest.raises(RefusedError, match=r"report\.json is damaged .*: train the job again\.$") as caught:
        read_result(job)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_model_table_of_other_hands_is_no_other_base(tiny_llama: InstalledBase, home: Paths, job: Path) -> None:
    place(tiny_llama, home)
    edited(job, tiny_llama.signature.fingerprint, "sha256:0")
    with pytest.raises(RefusedError, match="not the one that this job was written for"):
        find_base_of(read_job(job), home.models)
