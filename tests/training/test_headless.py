"""``python -m lora_chat.training JOB`` on a machine that knows nothing but the base: it trains, stops and goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.training.__main__ import main
from lora_chat.training.job import read_job
from lora_chat.training.state import claimed, read_state
from tests.conftest import place
from tests.training.carrying import MANY, copied, written
from tests.training.test_job_file import edited

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else []))


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def losses(self) -> list[float]:
        return [event["loss"] for event in self.events if event["event"] == "step"]


class Typed(Protocol):
    def __call__(self, *words: str | Path) -> Ended: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """The program, in this process."""
    before, handlers = dict(os.environ), {each: signal.getsignal(each) for each in SIGNALS}

    def typed(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["lora_chat.training", *map(str, words)])
        code = main()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Ended(code, shown.out, shown.err)

    yield typed
    os.environ.clear()
    os.environ.update(before)
    for each, handler in handlers.items():
        signal.signal(each, handler)


@pytest.fixture
def job(tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "carried" / "shop-job", tiny_llama, general)


def made(job: Path) -> bytes:
    return (job / "adapter" / "adapter_model.safetensors").read_bytes()


def test_it_trains_by_a_base_that_lies_anywhere_and_touches_no_home(
    run: Typed, tiny_llama: InstalledBase, home: Paths, job: Path
) -> None:
    done = run(job, "--base", tiny_llama.folder, "--json")
    assert done.code == 0, done.err
    assert [event["event"] for event in done.events] == ["dataset", *["step"] * 8, "trained"]
    assert {path.name for path in (job / "adapter").iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    manifest = (job / "adapter" / "adapter.toml").read_text()
    assert "private = true" in manifest
    assert f'model = "{tiny_llama.signature.lineage}"' in manifest
    assert not home.config.parent.exists()
    assert not list(job.glob("checkpoint-*"))
    assert not {"What is", "It is"} & set(done.out.split('"'))


def test_for_a_person_it_says_how_it_goes_without_their_words(
    run: Typed, tiny_llama: InstalledBase, home: Paths, job: Path
) -> None:
    place(tiny_llama, home)
    done = run(job)
    assert done.code == 0, done.err
    assert done.out == f"The adapter lies in {job / 'adapter'}: lora-chat adapter install {job}\n"
    assert "14 answers in 14 conversations" in done.err
    assert "step 8 of at most 8 · loss" in done.err
    assert "8 steps in" in done.err
    assert "your shop" not in done.err
    again = run(job)
    assert (again.code, again.out) == (4, "")
    assert again.err.startswith("lora-chat: The training shop-job is finished")


def test_other_weights_of_the_same_shapes_are_used_and_told(
    run: Typed, tiny_llama: InstalledBase, home: Paths, job: Path
) -> None:
    place(tiny_llama, home)
    edited(job, tiny_llama.signature.weights, "sha256:of-another-machine")
    done = run(job)
    assert done.code == 0
    assert "The base has other weights than where shop was written, of the same shapes: they are used." in done.err


def test_what_cannot_run_is_one_sentence_and_leaves_the_job_as_it_was(
    run: Typed, tiny_llama: InstalledBase, tiny_opt: InstalledBase, home: Paths, job: Path
) -> None:
    place(tiny_opt, home)
    newer, broken, hostile, taken = (copied(job, name) for name in ("newer", "broken", "hostile", "taken"))
    edited(newer, "schema = 1", "schema = 7")
    (broken / "train.jsonl").write_text((broken / "train.jsonl").read_text()[:-20])
    edited(hostile, "rank = 8", "rank = 1000000000")
    base = tiny_llama.folder
    (taken / "lock").mkdir()  # as in a folder that nobody may write to
    refused: list[tuple[tuple[str | Path, ...], int, str]] = [
        ((job,), 3, "is not on this machine: run `lora-chat model pull tiny-llama`"),
        ((job, "--base", tiny_opt.folder), 4, "is not the base that this job was written for"),
        ((job, "--base", job / "no-such-folder"), 3, "no-such-folder"),
        ((newer, "--base", base), 6, "was written by a newer lora-chat"),
        ((broken, "--base", base), 6, "train.jsonl, line 14 is no lesson"),
        ((hostile, "--base", base), 4, "rank must lie between 1 and 256"),
        ((taken, "--base", base), 4, "make it writable"),
        ((job.parent / "nowhere", "--base", base), 6, "is not a whole training job"),
    ]
    for words, code, said in refused:
        done = run(*words)
        assert (done.code, done.out) == (code, ""), (words, done.err)
        [line] = done.err.splitlines()
        assert line.startswith("lora-chat: ")
        assert said in line, words
        [event] = run(*words, "--json").events
        assert (event["event"], said in event["reason"]) == ("failed", True)
    assert not list(job.parent.glob("*/adapter"))


def test_one_that_runs_already_is_left_alone(run: Typed, tiny_llama: InstalledBase, job: Path) -> None:
    with claimed(job):
        done = run(job, "--base", tiny_llama.folder)
    assert done.code == 4
    assert "runs in another program" in done.err
    assert run(job, "--base", tiny_llama.folder).code == 0


def test_what_was_changed_since_its_checkpoint_does_not_go_on(
    run: Typed, tiny_llama: InstalledBase, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.training import headless
    from lora_chat.training.events import StepDone

    edited(job, "checkpoint_s = 60.0", "checkpoint_s = 0.0")
    train = headless.train

    def breaking(*what: Any, **more: Any) -> Iterator[Any]:
        for event in train(*what, **more):
            yield event
            if isinstance(event, StepDone) and event.step == 3:
                raise MemoryError("no room")

    monkeypatch.setattr(headless, "train", breaking)
    done = run(job, "--base", tiny_llama.folder)
    assert done.code == 6
    assert "The training failed (MemoryError: no room): what was made until its checkpoint is kept." in done.err
    assert list(job.glob("checkpoint-*"))
    monkeypatch.setattr(headless, "train", train)
    other = edited(copied(job, "other"), "max_steps = 8", "max_steps = 9")
    done = run(other, "--base", tiny_llama.folder)
    assert (done.code, "was changed since its checkpoint" in done.err) == (4, True)
    assert run(job, "--base", tiny_llama.folder).code == 0


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
def test_told_to_end_it_keeps_a_checkpoint_and_goes_on_to_the_same_bytes(
    run: Typed, tiny_llama: InstalledBase, general: Path, tmp_path: Path
) -> None:
    whole = written(tmp_path / "jobs" / "whole", tiny_llama, general, max_steps=24)
    job = copied(whole, "stopped")
    words = [sys.executable, "-m", "lora_chat.training", str(job), "--base", str(tiny_llama.folder), "--json"]
    program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    for line in program.stdout:
        if '"step": 5,' in line:
            program.send_signal(signal.SIGTERM)
    assert program.wait() == 130
    assert program.stderr is not None
    said = program.stderr.read()
    assert "The training of shop was stopped after" in said
    assert "the same command goes on with it." in said
    [checkpoint] = job.glob("checkpoint-*")
    assert read_state(job).kind == "stopped"
    again = run(job, "--base", tiny_llama.folder, "--json")
    resumed = [event for event in again.events if event["event"] == "resumed"]
    assert [event["step"] for event in resumed] == [int(checkpoint.name.removeprefix("checkpoint-"))]
    assert run(whole, "--base", tiny_llama.folder).code == 0
    assert made(job) == made(whole)


def test_a_job_moved_to_another_machine_goes_on_there(
    run: Typed, tiny_llama: InstalledBase, general: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.training import headless

    job = written(tmp_path / "one" / "job", tiny_llama, general, lessons=MANY)
    train = headless.train
    monkeypatch.setattr(headless, "train", lambda *what, **more: _stopping(train(*what, **more)))
    assert run(job, "--base", tiny_llama.folder).code == 130
    monkeypatch.setattr(headless, "train", train)
    (tmp_path / "two").mkdir()
    moved = Path(shutil.move(job, tmp_path / "two" / "job"))
    done = run(moved, "--base", tiny_llama.folder, "--json")
    assert done.code == 0
    assert read_job(moved).train == MANY
    assert [event["step"] for event in done.events if event["event"] == "resumed"] != [0]


def _stopping(events: Iterator[Any]) -> Iterator[Any]:
    """As if somebody had pressed Ctrl-C after the third step."""
    for event in events:
        yield event
        if getattr(event, "step", 0) == 3:
            signal.raise_signal(signal.SIGTERM)
