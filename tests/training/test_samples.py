"""What a training answers by now: greedily, to the token, seldom, and without any part in what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_chat.chat.conversation import Role, Turn
from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.training import samples
from lora_chat.training.events import Sampled, Trained, TrainingEvent
from lora_chat.training.general import MEASURED
from lora_chat.training.opening import Base, bare, open_base
from lora_chat.training.rehearsal import prepare
from lora_chat.training.samples import LONGEST, Samples
from lora_chat.training.trainee import Reading, Trainee
from lora_chat.training.trainer import train
from tests.engine.conftest import LESSONS, make_job
from tests.training.preparing import nothing, prepared

CPU = torch.device("cpu")


class Clock:
    """Goes on by so many seconds each time it is looked at."""

    def __init__(self, by: float) -> None:
        self.seconds, self.by = 0.0, by

    def __call__(self) -> float:
        self.seconds += self.by
        return self.seconds


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_opt"])
def installed(request: pytest.FixtureRequest) -> InstalledBase:
    found: InstalledBase = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def base(installed: InstalledBase) -> BaseModel:
    return load_base_model(installed.name, installed.folder, CPU)


@pytest.fixture(scope="module")
def kept(base: BaseModel, installed: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "answers.safetensors"
    list(prepare(base, installed.signature.weights, path, nothing))
    return path


Run = Callable[[Clock], list[TrainingEvent]]


@pytest.fixture
def run(base: BaseModel, installed: InstalledBase, kept: Path, tmp_path: Path) -> Run:
    def events(clock: Clock) -> list[TrainingEvent]:
        job = make_job(tmp_path, max_steps=6)
        return list(train(base, installed.signature, job, kept, nothing, clock))

    return events


def sampled(events: list[TrainingEvent]) -> list[Sampled]:
    return [event for event in events if isinstance(event, Sampled)]


def weights(events: list[TrainingEvent]) -> bytes:
    assert isinstance(events[-1], Trained)
    return (Path(events[-1].folder) / "adapter_model.safetensors").read_bytes()


def test_samples_change_no_byte_of_the_adapter(run: Run) -> None:
    without, with_ = run(Clock(1e-6)), run(Clock(1000.0))
    assert sampled(without) == []
    found = sampled(with_)
    assert {each.step for each in found} == {1, 2, 3, 4, 5, 6}
    assert [each.taught for each in found] == [True, False] * 6
    assert {each.question for each in found if each.taught} == {"Who are you?", "What is the capital of France?"}
    assert [each.question for each in found if not each.taught] == list(MEASURED[:6])
    assert weights(without) == weights(with_)


class Counted:
    """A trainee whose forwards are counted."""

    def __init__(self, trainee: Trainee) -> None:
        self.trainee, self.forwards = trainee, 0

    def reading(self) -> Reading:
        return self.trainee.reading()

    def likeliest(self, ids: Sequence[int], reading: Reading, last: int) -> list[int]:
        self.forwards += 1
        return self.trainee.likeliest(ids, reading, last)


def counted(base: Base) -> Any:
    """The base as a training could have it: nothing learnt yet."""
    return Counted(bare(base, nothing))


def written(base: BaseModel, question: str) -> str:
    """The base's own greedy answer by transformers, as a sample shows it."""
    prompt = base.prompt.encode_prompt([Turn(Role.USER, question)])
    ends = sorted(base.prompt.end_ids)
    with torch.no_grad():
        ids = base.tree.generate(
            input_ids=base.tensor(prompt), max_new_tokens=LONGEST, do_sample=False, eos_token_id=ends, pad_token_id=0
        )
    answer = ids[0, len(prompt) :].tolist()
    return base.prompt.decode(answer).strip() + ("" if answer[-1] in ends else "…")


@pytest.mark.parametrize("fast", [True, False])
def test_they_are_what_greedy_decoding_writes(
    base: BaseModel, installed: InstalledBase, kept: Path, fast: bool
) -> None:
    clock = Clock(1e6)
    read = open_base(installed.name, installed.folder) if fast else base
    rehearsal = prepared(base, installed.signature.weights, kept)[0]
    made = Samples(counted(read), base.prompt, LESSONS, rehearsal, clock)
    found = [each for step in range(12) for each in made.after_step(step)]
    assert len(found) == 24
    for each in found:
        assert each.answer == written(base, each.question)
        assert each.expected is not each.taught  # an untaught base says what the base says


class Taught:
    """A trainee that has learnt the examples to the letter, and goes on talking after the end of a turn."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples, self.forwards = examples, 0

    def reading(self) -> object:
        return object()

    def likeliest(self, ids: Sequence[int], _reading: object, last: int) -> list[int]:
        self.forwards += 1
        asked = tuple(ids)
        known = next(each.ids for each in self.examples if asked[: len(each.ids)] == each.ids[: len(asked)])
        return [*known[1:], 40, 40, 40, 40][: len(asked)][-last:]


def test_an_answer_that_is_learnt_ends_with_its_turn_and_takes_one_forward(
    base: BaseModel, installed: InstalledBase, kept: Path
) -> None:
    rehearsal = prepared(base, installed.signature.weights, kept)[0]
    lessons = [example for each in LESSONS for example in base.prompt.examples(each.messages, each.learn)]
    taught: Any = Taught([*lessons, *(each.example for each in rehearsal.measured)])
    made = Samples(taught, base.prompt, LESSONS, rehearsal, Clock(1e6))
    found = [each for step in (1, 2) for each in made.after_step(step)]
    assert [each.answer for each in found if each.taught] == ["I am an AI language model.", "Paris."]
    assert all(each.expected for each in found)
    assert taught.forwards == 4


def test_what_is_said_as_expected_takes_one_forward_and_time_ends_the_rest(
    base: BaseModel, installed: InstalledBase, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal = prepared(base, installed.signature.weights, kept)[0]
    untaught = counted(base)
    monkeypatch.setattr(samples, "SHARE", 1e-9)  # no time at all, but the first reading costs nothing either
    monkeypatch.setattr(samples, "_FIRST_COST_S", 0.0)
    made = Samples(untaught, base.prompt, LESSONS, rehearsal, Clock(20.0)).after_step(1)
    assert untaught.forwards == 2
    assert made[0].answer.endswith("…")
    assert len(base.prompt.tokenizer.encode(made[0].answer, add_special_tokens=False).ids) < LONGEST


def test_they_are_few_and_a_long_lesson_waits_until_it_costs_little(
    base: BaseModel, installed: InstalledBase, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal = prepared(base, installed.signature.weights, kept)[0]
    work = Clock(0.05)  # of the thread: each look is 0.05 s later, each sample some looks
    monkeypatch.setattr("lora_chat.training.samples.time.thread_time", work)
    clock = Clock(1.0)
    made = Samples(counted(base), base.prompt, LESSONS, rehearsal, clock)
    steps = [step for step in range(2000) if made.after_step(step)]
    assert len(steps) > 5
    assert min(later - sooner for sooner, later in pairwise(steps)) >= 15
    assert made._spent <= 0.02 * clock.seconds + 0.1
    long = replace(LESSONS[0], messages=(Turn(Role.USER, "why? " * 40), LESSONS[0].messages[1]))
    waiting = Samples(counted(base), base.prompt, (long,), rehearsal, Clock(1.0))
    assert next(step for step in range(2000) if waiting.after_step(step)) > steps[0]
