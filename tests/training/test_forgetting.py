"""A conversation that is kept out of every training: what its jobs keep of it, and what is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.paths import Paths
from lora_chat.training.forgetting import KEPT, forget_everywhere
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.line import Line
from lora_chat.training.state import Kind, claimed, read_state, write_state
from tests.engine.conftest import make_job

MINE = Lesson((Turn(Role.USER, "Where?"), Turn(Role.ASSISTANT, "At home.")), (1,), "c1")
OTHER = Lesson((Turn(Role.USER, 'Is "source": "c1" it?'), Turn(Role.ASSISTANT, "No.")), (1,), "c2")


def job_of(home: Paths, kind: Kind, name: str, *lessons: Lesson) -> Path:
    job = make_job(home.training, lessons, name)
    write_state(job, read_state(job).now(kind))
    return job


def test_a_job_that_does_not_run_and_holds_it_is_deleted_as_a_whole(home: Paths) -> None:
    gone = [job_of(home, kind, kind, MINE, OTHER) for kind in ("finished", "stopped", "failed", "waiting")]
    left = job_of(home, "stopped", "left", OTHER)
    (gone[0] / "job.toml").write_text("[", "utf-8")  # no job that anybody lists
    told = forget_everywhere("c1", home)
    assert [each.exists() for each in (*gone, left)] == [False] * 4 + [True]
    assert told == f"{KEPT}; " + "; ".join(
        f"the training of {name}, which was to learn it, is deleted" for name in ("stopped", "waiting")
    )


def test_one_that_runs_stays_and_that_is_said(home: Paths) -> None:
    job = job_of(home, "running", "shop", MINE)
    with claimed(job):
        told = forget_everywhere("c1", home)
    assert job.is_dir()
    assert told.endswith("; the training of shop runs and still learns it: cancel it, or say this again at its end")
    assert "is deleted" in forget_everywhere("c1", home)
    assert not job.exists()


def test_what_is_held_out_is_found_and_without_any_training_nothing_is_said(home: Paths) -> None:
    assert forget_everywhere("c1", home) == KEPT
    job = job_of(home, "finished", "shop", OTHER)
    (job / "train.jsonl").rename(job / "heldout.jsonl")
    assert forget_everywhere("c1", home) == KEPT
    assert forget_everywhere("c2", home) == KEPT
    assert not job.exists()


def test_a_job_that_cannot_be_deleted_is_named_and_all_else_is_forgotten(
    home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(home, "finished", "shop", MINE)
    line = Line.of("shop", home)
    line.teach([MINE, OTHER], "1.0.0")
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(source) == job:
            raise PermissionError(13, "Permission denied", str(job))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match=r"shop cannot be deleted: make its folder writable\.$"):
        forget_everywhere("c1", home)
    assert line.lessons() == (OTHER,)
