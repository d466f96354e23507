"""Several processes train one adapter: the same loss curve as one, through the real launchers, and no half an end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lora_chat.models.base_model import BaseModel
from lora_chat.models.installed import InstalledBase
from lora_chat.training.dataset import together
from lora_chat.training.peft.trainable import trainable_twin
from lora_chat.training.peft.trainee import PeftTrainee
from lora_chat.training.ranks import ALONE, Ranks
from lora_chat.training.recipe import choose_recipe
from lora_chat.training.step import Learnt, add_gradients
from tests.engine.conftest import wait_until
from tests.training.carrying import MANY, written
from tests.training.preparing import nothing, prepared
from tests.training.test_headless import Ended

TOLERANCE = 1e-4
"""Of a loss, relative: additions in another order are all that differs, and docs/scale.md says so."""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other process")


def start(job: Path, base: InstalledBase, launcher: tuple[str, ...] = (), json: bool = True) -> subprocess.Popen[str]:
    words = [sys.executable, *launcher, "-m", "lora_chat.training", str(job), "--base", str(base.folder)]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    words += ["--json"] if json else []
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


def ended(program: subprocess.Popen[str]) -> Ended:
    out, err = program.communicate(timeout=240)
    return Ended(program.returncode, out, err)


def sentences(done: Ended) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("lora-chat: ")]


def heldout(done: Ended) -> list[float]:
    return [event["heldout_loss"] for event in done.events if event["event"] == "evaluated"]


def weights(job: Path) -> dict[str, np.ndarray]:
    return dict(load_file(job / "adapter" / "adapter_model.safetensors"))


def workers(program: subprocess.Popen[str]) -> dict[str, int]:
    """Which process is which, by what the launcher told it."""
    found: dict[str, int] = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == program.pid:
                told = (folder / "environ").read_bytes().split(b"\0")
                found |= {each[5:].decode(): int(folder.name) for each in told if each.startswith(b"RANK=")}
        except (OSError, ValueError, IndexError):
            continue
    return found


HELD_OUT: dict[str, Any] = {
    "heldout": 4,
    "patience": 3,
    "batch": 3,
    "rehearsed": 3,
    "variants": 3,
    "microbatch_tokens": 64,
}
"""Fourteen lessons, four of them held out, in batches of three: both decks are half dealt at most steps."""


@pytest.fixture
def job(tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "jobs" / "two", tiny_llama, general, **HELD_OUT)


@pytest.fixture(scope="module")
def alone(tiny_llama: InstalledBase, general: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The same job in one process."""
    job = written(tmp_path_factory.mktemp("alone") / "one", tiny_llama, general, **HELD_OUT)
    return job, ended(start(job, tiny_llama))


@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_two_processes_learn_as_one_does(
    launcher: tuple[str, ...], alone: tuple[Path, Ended], tiny_llama: InstalledBase, job: Path
) -> None:
    where, one = alone
    two = ended(start(job, tiny_llama, launcher))
    assert (one.code, two.code) == (0, 0), two.err
    events = [[event["event"] for event in done.events] for done in (one, two)]
    assert events[0] == events[1]
    assert len(one.losses) == 8
    assert max(one.losses) - min(one.losses) > 100 * TOLERANCE  # something was learnt on the way
    assert two.losses == pytest.approx(one.losses, rel=TOLERANCE)
    assert heldout(two) == pytest.approx(heldout(one), rel=TOLERANCE)
    for name, weight in weights(where).items():
        assert np.abs(weights(job)[name] - weight).max() <= 1e-3, name
    reports = [done.events[-1]["report"] for done in (one, two)]
    assert reports[0]["tokens"] == reports[1]["tokens"]
    assert reports[0]["dataset_sha256"] == reports[1]["dataset_sha256"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("killed", ["0", "1"])
def test_one_that_dies_ends_the_other_and_any_number_goes_on(
    tiny_llama: InstalledBase, general: Path, tmp_path: Path, killed: str
) -> None:
    job = written(tmp_path / "jobs" / "long", tiny_llama, general, max_steps=16, microbatch_tokens=64)
    (job / "job.toml").write_text((job / "job.toml").read_text().replace("checkpoint_s = 60.0", "checkpoint_s = 0.0"))
    program = start(job, tiny_llama, TORCHRUN)
    wait_until(lambda: len(list(job.glob("checkpoint-*"))) == 2)  # the second step is made
    os.kill(workers(program)[killed], signal.SIGKILL)
    done = ended(program)
    assert done.code not in (0, None)
    assert "/lora_chat/" not in done.err  # the launcher prints a traceback of its own, and we none
    if killed == "1":
        [sentence] = sentences(done)
        assert sentence.startswith("lora-chat: Another of the 2 processes of this training ended")
    steps = max(int(each.name.removeprefix("checkpoint-")) for each in job.glob("checkpoint-*"))
    last = [event["step"] for event in done.events if event["event"] == "step"][-1]
    assert steps in (last, last - 1)
    again = ended(start(job, tiny_llama, () if killed == "1" else TORCHRUN))
    assert again.code == 0, again.err
    [resumed] = [event for event in again.events if event["event"] == "resumed"]
    assert resumed["step"] == steps
    assert [event["step"] for event in again.events if event["event"] == "step"] == list(range(steps + 1, 17))


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
def test_told_to_end_they_stop_after_the_same_step(tiny_llama: InstalledBase, general: Path, tmp_path: Path) -> None:
    job = written(tmp_path / "jobs" / "long", tiny_llama, general, max_steps=16, microbatch_tokens=64)
    program = start(job, tiny_llama, TORCHRUN)
    assert program.stdout is not None
    for line in program.stdout:
        if '"step": 2,' in line:
            program.send_signal(signal.SIGTERM)
            break
    done = ended(program)
    assert done.code not in (0, None)
    [sentence] = sentences(done)
    assert "was stopped after" in sentence
    [checkpoint] = job.glob("checkpoint-*")
    again = ended(start(job, tiny_llama, TORCHRUN))
    assert again.code == 0, again.err
    [resumed] = [event for event in again.events if event["event"] == "resumed"]
    assert resumed["step"] == int(checkpoint.name.removeprefix("checkpoint-"))


def test_what_all_of_them_share_is_refused_in_one_sentence(tiny_llama: InstalledBase, job: Path) -> None:
    (job / "train.jsonl").write_text("{")
    done = ended(start(job, tiny_llama, TORCHRUN, json=False))
    assert done.code not in (0, None)
    assert len(sentences(done)) == 1


# Without any process


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_shares_are_all_of_it_and_the_gradients_add_up(
    count: int, base: BaseModel, tiny_llama: InstalledBase, general: Path
) -> None:
    rehearsal, _ = prepared(base, tiny_llama.signature.weights, general)
    recipe = choose_recipe(2, 100_000)
    examples = [base.prompt.examples(each.messages, each.learn)[0] for each in MANY]
    anchors = rehearsal.rehearsed[:4]

    def gradients(of: Callable[[int], Ranks], shares: int) -> tuple[list[torch.Tensor], list[Learnt]]:
        tree = trainable_twin(base, tiny_llama.signature, recipe)
        for name, weight in tree.named_parameters():
            if weight.requires_grad and "lora_B" in name:
                torch.nn.init.constant_(weight, 0.01)
        forward = PeftTrainee(base, tree, nothing)
        found = [
            add_gradients(forward, examples, anchors, recipe, base.device, of(rank).mine) for rank in range(shares)
        ]
        return [each.grad for each in tree.parameters() if each.requires_grad and each.grad is not None], found

    whole, [alone] = gradients(lambda rank: ALONE, 1)
    parts, found = gradients(lambda rank: Ranks(rank, count), count)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert sum(each.loss for each in found) == pytest.approx(alone.loss, rel=1e-6)
    assert sum(each.tokens for each in found) == alone.tokens
    groups = together([each.ids for each in examples], recipe.microbatch_tokens)
    shares = [Ranks(rank, count).mine(groups) for rank in range(count)]
    assert sorted(itertools.chain.from_iterable(shares)) == sorted(groups)


def test_alone_every_sum_is_its_own() -> None:
    found, weight = Learnt(1.25, True, 7), torch.nn.Parameter(torch.ones(3))
    assert ALONE.add([1.5, True]) == [1.5, 1]
    assert ALONE.together(found, [weight]) is found
    assert weight.grad is None
    ALONE.check()
