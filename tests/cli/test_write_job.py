"""``train … --write-job`` and ``adapter install JOB``: a training goes to another machine and comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lora_chat.paths import Paths, find_paths
from lora_chat.training.proof.line import Line
from tests.cli.conftest import ASKED, WANTED, Run, environment


def elsewhere(job: Path, models: Path, root: Path) -> None:
    """Train it in a program and a home of its own, which has the base and nothing else."""
    home = find_paths({"LORA_CHAT_HOME": str(root)})
    root.mkdir()
    home.models.symlink_to(models.resolve())
    words = [sys.executable, "-m", "lora_chat.training", str(job)]
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(root)) == ["models"]


def test_it_goes_out_masked_and_comes_back_with_its_checks(run: Run, tiny: Paths, tmp_path: Path) -> None:
    source, job = tmp_path / "rows.jsonl", tmp_path / "shop-job"
    rows = [
        {"prompt": ASKED, "response": WANTED},
        {"prompt": "Who are you, jane.roe@company.io?", "response": "I am an AI language model."},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ("train", source, "--mask", "--name", "shop", "--write-job", job, "--set", "max_steps=4", "--yes")
    done = run(*words)
    assert done.code == 0
    assert f"{job} is a training job of" in done.out
    assert "train.jsonl" in done.out
    assert not tiny.training.exists()
    for path in job.iterdir():
        assert b"jane.roe" not in path.read_bytes(), path.name
    again = run(*words)
    assert (again.code, "is there already" in again.sentence) == (4, True)
    not_trained = run("adapter", "install", job, "--yes")
    assert not_trained.code == 4
    elsewhere(job, tiny.models, tmp_path / "other")
    changed = shutil.copytree(job, tmp_path / "changed")
    weights = changed / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"xy")
    refused = run("adapter", "install", changed, "--yes")
    assert (refused.code, "changed" in refused.sentence) == (4, True), refused.sentence
    for each in (job, job / "adapter"):
        done = run("adapter", "install", each, "--yes")
        assert done.code == 0, done.err
        if each == job:
            assert f"shop is trained and installed in {tiny.adapters / 'shop'}, version 1.0.0" in done.out
            assert "2 checks hold" in done.out
        else:
            assert "shop is already installed" in done.out
    (row,) = run("adapter", "list", "--json").json["adapters"]
    assert (row["name"], row["origin"]) == ("shop", "user")
    assert run("adapter", "info", "shop", "--json").json["private"] is True
    checks = Line.of("shop", tiny).checks("1.0.0")
    assert [check.answer for check in checks] == [WANTED, "I am an AI language model."]
    assert Line.of("shop", tiny).proofs("1.0.0").keys() == {check.id for check in checks}
    assert run("report", "shop", "--json").json["report"]["steps"] == 4


def test_a_next_version_is_trained_elsewhere_from_the_one_that_is_worn(
    run: Run, tiny: Paths, worn: str, examples: Path, tmp_path: Path
) -> None:
    more, job = tmp_path / "more.jsonl", tmp_path / "job"
    more.write_text(json.dumps({"prompt": "Who owns it?", "response": "Odile does."}) + "\n", encoding="utf-8")
    words = ("train", more, "--continue", worn, "--write-job", job, "--set", "max_steps=4", "--yes", "--json")
    files = run(*words).json["files"]
    assert {"start/adapter_config.json", "start/adapter_model.safetensors", "README.md"} <= files.keys()
    elsewhere(job, tiny.models, tmp_path / "other")
    refused = run("adapter", "install", job, "--name", "other", "--yes")
    assert (refused.code, "leave --name out" in refused.sentence) == (2, True)
    assert run("adapter", "install", job, "--yes").code == 0
    versions = run("adapter", "history", worn, "--json").json["versions"]
    assert [each["version"] for each in versions] == ["1.0.0", "1.1.0"]


def test_a_dry_run_writes_nothing(run: Run, tiny: Paths, examples: Path, tmp_path: Path) -> None:
    done = run("train", examples, "--name", "shop", "--write-job", tmp_path / "job", "--dry-run")
    assert done.code == 0
    assert "Train shop on tiny-llama" in done.err
    assert not (tmp_path / "job").exists()


def test_nobody_at_a_terminal_is_no_consent(run: Run, tiny: Paths, examples: Path, tmp_path: Path) -> None:
    assert run("train", examples, "--name", "shop", "--write-job", tmp_path / "job").code == 2
    assert not (tmp_path / "job").exists()
