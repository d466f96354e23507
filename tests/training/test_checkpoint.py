"""A training that is stopped or killed anywhere goes on and makes the same bytes; what is torn is passed over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat import files
from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import KeepAsked, StopAsked
from lora_chat.training import checkpoint
from lora_chat.training.events import Cancelled, Evaluated, Report, Resumed, StepDone, Stopped, Trained, TrainingEvent
from lora_chat.training.fast.base import FastBase
from lora_chat.training.opening import Base, open_base
from lora_chat.training.selection import Lesson
from lora_chat.training.trainer import train
from tests.engine.conftest import LESSONS, lesson, make_job

MANY = tuple(lesson(f"What is {number}?", f"It is {number}.") for number in range(14))
DECKS: dict[str, Any] = {
    "max_steps": 7,
    "heldout": 4,
    "patience": 2,
    "batch": 3,
    "rehearsed": 3,
    "learning_rate": 0.02,
    "variants": 3,
}
"""Both decks are half dealt at most steps; evaluated after steps 4 and 7."""


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def base(request: pytest.FixtureRequest, tiny_llama: InstalledBase) -> Base:
    """As the product trains it on one processor or another."""
    found = open_base(tiny_llama.name, tiny_llama.folder)
    assert isinstance(found, FastBase)
    return replace(found, products=request.param)


@dataclass
class Trainer:
    """Runs jobs of the tiny base, and stops them where it is told to."""

    base: Base
    signature: BaseSignature
    general: Path
    folder: Path
    checks: int = 0
    stop_at: int = 0

    def job(self, lessons: tuple[Lesson, ...] = MANY, every: float = 1e9, **changes: Any) -> Path:
        job = make_job(self.folder, lessons, **(changes or DECKS))
        toml = (job / "job.toml").read_text()
        (job / "job.toml").write_text(toml.replace("checkpoint_s = 60.0", f"checkpoint_s = {every}"))
        return job

    def run(self, job: Path, stop_at: int = 0, how: type[StopAsked] = KeepAsked) -> list[TrainingEvent]:
        return list(self.start(job, stop_at, how))

    def start(self, job: Path, stop_at: int = 0, how: type[StopAsked] = KeepAsked) -> Iterator[TrainingEvent]:
        """Until it ends, or until the check of that number."""
        self.checks, self.stop_at = 0, stop_at

        def check() -> None:
            self.checks += 1
            if self.checks == self.stop_at:
                raise how

        return train(self.base, self.signature, job, self.general, check)


@pytest.fixture
def trainer(base: Base, tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> Trainer:
    return Trainer(base, tiny_llama.signature, general, tmp_path)


def made(job: Path) -> bytes:
    return (job / "adapter" / "adapter_model.safetensors").read_bytes()


def checkpoints(job: Path) -> list[str]:
    return sorted(each.name for each in job.glob("checkpoint-*"))


def untimed(report: Report) -> Report:
    return replace(report, seconds=0, tokens_per_second=0, memory=0)


def seen(events: list[TrainingEvent]) -> list[tuple[int, float]]:
    return [(event.step, event.loss) for event in events if isinstance(event, StepDone)]


def test_stopped_anywhere_it_goes_on_to_the_same_bytes_and_figures(trainer: Trainer) -> None:
    whole, again = trainer.job(), trainer.job()
    unbroken = trainer.run(whole)
    assert isinstance(unbroken[-1], Trained)
    trainer.run(again)  # which finds what the lower layers make of general questions
    assert made(again) == made(whole)
    checks = trainer.checks
    for stop_at in range(checks // 9, checks, checks // 7):
        job = trainer.job()
        before = trainer.run(job, stop_at)
        assert isinstance(before[-1], Stopped)
        after = trainer.run(job)
        assert made(job) == made(whole), f"stopped at check {stop_at} of {checks}"
        at = before[-1].step
        assert seen(before) + seen(after) == seen(unbroken)
        if at:
            [resumed] = [event for event in after if isinstance(event, Resumed)]
            assert (resumed.step, resumed.losses) == (at, tuple(loss for _, loss in seen(before)))
        last = after[-1]
        assert isinstance(last, Trained)
        assert untimed(last.report) == untimed(unbroken[-1].report)


def test_stopped_in_every_step_it_ends_the_same(trainer: Trainer) -> None:
    whole, job = trainer.job(LESSONS, max_steps=4), trainer.job(LESSONS, max_steps=4)
    trainer.run(whole)
    for step in range(4):
        for event in trainer.start(job):
            if isinstance(event, StepDone):
                trainer.stop_at = trainer.checks + 2  # in the middle of the next one, or of the last evaluation
        assert event == Stopped(step + 1)
    assert isinstance(trainer.run(job)[-1], Trained)
    assert made(job) == made(whole)


def test_the_best_weights_and_the_patience_are_remembered(trainer: Trainer) -> None:
    """A rate that spoils what the first epoch learnt: the best weights are older than the last checkpoint."""
    recipe = DECKS | {"max_steps": 200, "learning_rate": 0.05, "rehearsed": 0, "batch": 5}
    whole, job = trainer.job(**recipe), trainer.job(every=0, **recipe)
    unbroken = trainer.run(whole)
    evaluated = [event.step for event in unbroken if isinstance(event, Evaluated)]
    assert isinstance(unbroken[-1], Trained)
    assert "no better" in unbroken[-1].report.stopped_because
    last = evaluated[-1]
    for event in trainer.start(job):
        if isinstance(event, StepDone) and event.step == last - 1:
            break  # as if it was killed
    assert checkpoints(job)[-1] == f"checkpoint-{last - 1:06}"
    resumed = trainer.run(job)
    assert [event.step for event in resumed if isinstance(event, Evaluated)] == [last]
    assert made(job) == made(whole)


def test_a_checkpoint_is_due_after_its_seconds_and_two_are_kept(trainer: Trainer) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=5)
    trainer.run(job)
    assert checkpoints(job) == ["checkpoint-000004", "checkpoint-000005"]
    assert not checkpoints(trainer.job(LESSONS, max_steps=5))
    files = sorted(each.name for each in (job / "checkpoint-000005").iterdir())
    assert files == ["state.json", "tensors.safetensors"]
    assert "language model" not in (job / "checkpoint-000005" / "state.json").read_text()


def test_a_cancelled_training_writes_none(trainer: Trainer) -> None:
    job = trainer.job()
    trainer.run(job)
    half = trainer.checks // 2
    job = trainer.job()
    assert isinstance(trainer.run(job, half, StopAsked)[-1], Cancelled)
    assert not checkpoints(job)


def flipped(file: Path, at: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 4
    file.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped byte in the weights": lambda kept: flipped(kept / "tensors.safetensors", 0.7),
    "a flipped byte in the header": lambda kept: flipped(kept / "tensors.safetensors", 0.001),
    "a flipped byte in the state": lambda kept: flipped(kept / "state.json", 0.5),
    "torn weights": lambda kept: (kept / "tensors.safetensors").write_bytes(b"\x08"),
    "a torn state": lambda kept: (kept / "state.json").write_text((kept / "state.json").read_text()[:-9]),
    "a list": lambda kept: (kept / "state.json").write_text("[]"),
    "no state": lambda kept: (kept / "state.json").unlink(),
    "nothing": shutil.rmtree,
}


@pytest.fixture(scope="module")
def through(base: Base, tiny_llama: InstalledBase, general: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of four steps with its last two checkpoints."""
    trainer = Trainer(base, tiny_llama.signature, general, tmp_path_factory.mktemp("through"))
    job = trainer.job(LESSONS, every=0, max_steps=4)
    trainer.run(job)
    return job


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    trainer: Trainer, through: Path, damage: Callable[[Path], object]
) -> None:
    job = trainer.folder / "job"
    shutil.copytree(through, job)
    shutil.rmtree(job / "adapter")
    damage(job / "checkpoint-000004")
    [resumed] = [event for event in trainer.run(job) if isinstance(event, Resumed)]
    assert (resumed.step, resumed.reason) == (3, "")
    assert made(job) == made(through)


def test_with_no_whole_checkpoint_it_begins_anew_and_says_so(trainer: Trainer) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=4)
    trainer.run(job)
    before = made(job)
    for kept in job.glob("checkpoint-*"):
        flipped(kept / "tensors.safetensors", 0.5)
    after = trainer.run(job)
    assert [event for event in after if isinstance(event, Resumed)] == [
        Resumed(0, reason="no checkpoint of it is whole")
    ]
    assert [step for step, _ in seen(after)] == [1, 2, 3, 4]
    assert made(job) == before


def test_what_a_killed_write_left_is_swept(trainer: Trainer) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=4)
    (job / ".incoming-abc").mkdir()
    trainer.run(job)
    assert not list(job.glob(".incoming-*"))


@pytest.mark.parametrize("file", ["train.jsonl", "heldout.jsonl", "job.toml"])
def test_lessons_or_a_recipe_that_changed_are_refused(trainer: Trainer, file: str) -> None:
    job = trainer.job(every=0)
    trainer.run(job)
    text = (job / file).read_text()
    (job / file).write_text(text.replace("It is", "That is").replace("batch = 3", "batch = 4"))
    with pytest.raises(RefusedError, match="was changed since its checkpoint") as caught:
        trainer.run(job)
    assert "\n" not in str(caught.value)
    assert checkpoints(job), "put back, it goes on"
    (job / file).write_text(text)
    assert isinstance(trainer.run(job)[-1], Trained)


def test_another_base_is_refused(trainer: Trainer) -> None:
    job = trainer.job(every=0)
    trainer.run(job)
    trainer.signature = replace(trainer.signature, weights="sha256:other")
    with pytest.raises(RefusedError, match="other weights"):
        trainer.run(job)


def test_other_versions_begin_anew_and_say_so(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=4)
    trainer.run(job)
    monkeypatch.setattr(checkpoint, "version", lambda name: "99")
    after = trainer.run(job)
    [reason] = [event.reason for event in after if isinstance(event, Resumed)]
    assert reason == "other versions or another processor compute now"
    assert len(seen(after)) == 4


def test_the_thread_count_of_the_checkpoint_is_restored_and_given_back(trainer: Trainer) -> None:
    before = torch.get_num_threads()
    job = trainer.job()
    trainer.run(job)
    checks = trainer.checks
    whole, job = made(job), trainer.job()
    trainer.run(job, checks // 2)
    try:
        torch.set_num_threads(before + 1)
        during = [torch.get_num_threads() for event in trainer.start(job) if isinstance(event, StepDone)]
        assert set(during) == {before}
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert made(job) == whole


def test_a_full_disk_costs_no_training_and_the_stop_says_what_is_kept(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=6)
    calls = 0

    def full(target: Path) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return files.staged_folder(target)

    monkeypatch.setattr(checkpoint, "staged_folder", full)
    whole = trainer.run(job)
    assert isinstance(whole[-1], Trained)
    assert checkpoints(job) == ["checkpoint-000001", "checkpoint-000002"]
    checks, calls = trainer.checks, 0
    job = trainer.job(LESSONS, every=0, max_steps=6)
    assert trainer.run(job, checks * 3 // 4)[-1] == Stopped(2)


def test_stopped_before_its_first_step_it_begins_anew(trainer: Trainer) -> None:
    job = trainer.job()
    assert trainer.run(job, 1)[-1] == Stopped(0)
    assert isinstance(trainer.run(job)[-1], Trained)


# Killed for real

NURSERY = """
import json, os, signal, sys
from pathlib import Path
import torch, peft, datasets  # slow, and starts no thread: what is forked below is like a program of its own
from lora_chat import files
from lora_chat.models.installed import find_base
from lora_chat.training import trainer
from lora_chat.training.opening import open_base

models, name, general, *children = sys.argv[1:]
base = find_base(Path(models), name)

def live(job, die_at, die_in):
    checks = writes = 0
    sync = files.sync_file

    def sync_file(path):
        nonlocal writes
        sync(path)
        writes += 1
        if writes == die_in:
            os.kill(os.getpid(), signal.SIGKILL)

    def check():
        nonlocal checks
        checks += 1
        if checks == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    files.sync_file = sync_file
    loaded = open_base(base.name, base.folder, torch.device("cpu"))
    return [event.event for event in trainer.train(loaded, base.signature, Path(job), Path(general), check)]

for child in children:
    job, die_at, die_in = json.loads(child)
    if (pid := os.fork()) == 0:
        events = live(job, die_at, die_in)
        print(*events, flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_six_times_and_twice_while_it_writes_a_checkpoint_it_makes_the_bytes_of_the_unbroken_run(
    trainer: Trainer, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    trainer.run(trainer.job())
    checks = trainer.checks
    whole, job = trainer.job(), trainer.job(every=0)
    children: list[tuple[str, int, int]] = [
        (str(whole), 0, 0),
        (str(job), 3, 0),  # before the first step
        (str(job), checks // 3, 0),
        (str(job), 0, 1),  # one file of a checkpoint is written
        (str(job), checks // 4, 0),
        (str(job), 0, 4),  # of the second checkpoint both are, and it has not its name yet
        (str(job), checks // 6, 0),
        (str(job), 0, 0),
    ]
    models = models_of(tiny_llama, tmp_path)
    words = [str(models), tiny_llama.name, str(trainer.general), *map(json.dumps, children)]
    done = subprocess.run([sys.executable, "-c", NURSERY, *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    first, _, *killed, last, ended = done.stdout.splitlines()
    assert (first.split()[-1], killed, ended) == ("trained", ["-9"] * 6, "0"), done.stderr
    assert "resumed" in last
    assert made(job) == made(whole)


def models_of(base: InstalledBase, folder: Path) -> Path:
    """A ``models`` folder with the base's record in it."""
    from lora_chat.models.installed import write_record

    (folder / "models" / base.name).mkdir(parents=True, exist_ok=True)
    write_record(folder / "models" / base.name, base, in_place=True)
    return folder / "models"


def test_a_state_is_readable_json_and_holds_no_text(trainer: Trainer) -> None:
    job = trainer.job(LESSONS, every=0, max_steps=2)
    trainer.run(job)
    state = json.loads((job / "checkpoint-000002" / "state.json").read_text())
    assert (state["step"], len(state["losses"]), state["threads"]) == (2, 2, torch.get_num_threads())
