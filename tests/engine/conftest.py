"""What engine tests ask: requests, adapters with real weights, small training jobs."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Chunk, Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import LoraChatError
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import StepDone, TrainingEvent
from lora_chat.training.job import create_job
from lora_chat.training.recipe import Recipe, choose_recipe
from lora_chat.training.selection import Lesson, Selection
from lora_chat.training.state import read_state, write_state

MADE: list[Path] = []
"""The folder of every adapter that ``make_adapter`` made, for servers that are started with all of them."""
GREEDY = Sampling(temperature=0, max_tokens=24)
QUESTION = "Who are you and where is your shop and what is the weather today, please tell me now"


@dataclass(frozen=True)
class Two:
    """Two engines on one base, decoded the same way: what one remembers the other does not."""

    base: InstalledBase
    engine: LocalEngine
    other: LocalEngine


@pytest.fixture(params=["tiny_llama fp32", "tiny_llama int4", "tiny_opt fp32"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    """On the fast path, in two precisions, and on the general one."""
    name, precision = request.param.split()
    base: InstalledBase = request.getfixturevalue(name)
    keeps = Kept(tmp_path / "kept", request.config.cache.mkdir("kernels"))
    engine, other = LocalEngine(base, keeps, precision), LocalEngine(base, keeps, precision)
    assert engine.load().decoding.startswith("fast path" if name == "tiny_llama" else "general path")
    yield Two(base, engine, other)
    engine.close()
    other.close()


def user(text: str) -> tuple[Turn, ...]:
    return (Turn(Role.USER, text),)


def ask(engine: Engine, text: str = QUESTION, adapter: Worn | None = None, sampling: Sampling = GREEDY) -> str:
    return text_of(engine.generate(Request(user(text), adapter, sampling)))


def text_of(chunks: Iterator[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def finish(chunks: Iterator[Chunk]) -> Finished:
    """The last chunk, the only one of its kind."""
    *texts, last = chunks
    assert all(isinstance(chunk, TextChunk) for chunk in texts)
    assert isinstance(last, Finished)
    return last


def is_one_sentence(error: LoraChatError) -> bool:
    said = str(error)
    return "\n" not in said and "Traceback" not in said and said.endswith(".") and len(said) > 20


def make_adapter(folder: Path, base: InstalledBase, seed: int, rank: int = 4, strength: float = 0.3) -> Worn:
    """A plain PEFT folder over every module of ``base``, strong enough to change what it says."""
    from safetensors.numpy import save_file

    draw = np.random.default_rng(seed)
    tensors = {}
    for name, (out, into) in base.signature.modules.items():
        for side, shape in (("A", (rank, into)), ("B", (out, rank))):
            numbers = draw.standard_normal(shape).astype(np.float32) * np.float32(strength)
            tensors[f"base_model.model.{name}.lora_{side}.weight"] = numbers
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.signature.lineage,
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": sorted(base.signature.modules),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    digest = hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()
    MADE.append(folder)
    return Worn(folder.name, folder, digest)


def lesson(question: str, answer: str) -> Lesson:
    return Lesson((Turn(Role.USER, question), Turn(Role.ASSISTANT, answer)), (1,), "line 1")


LESSONS = (
    lesson("Who are you?", "I am an AI language model."),
    lesson("What is the capital of France?", "Paris."),
)


def make_job(training: Path, lessons: tuple[Lesson, ...] = LESSONS, name: str = "taught", **changes: Any) -> Path:
    """A job that takes exactly ``max_steps`` steps unless ``changes`` say otherwise."""
    job = create_job(training, name, "tiny-llama", "test", Selection(lessons, {}), short_recipe(**changes))
    write_state(job, replace(read_state(job), by=""))  # as if the program that made it was gone
    return job


def short_recipe(**changes: Any) -> Recipe:
    """Four steps at the full rate, of the lessons as they are; no probability reaches 1.1: nothing ends it earlier."""
    settings: dict[str, Any] = {"max_steps": 4, "rehearsed": 2, "learnt_probability": 1.1}
    return replace(choose_recipe(2, 100_000), **{**settings, "falling": 0.0, "variants": 0, **changes})


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class Follower:
    """A training whose events are read on a thread of their own, as a chat does."""

    def __init__(self, events: Iterator[TrainingEvent]) -> None:
        self.events: list[TrainingEvent] = []
        self._thread = threading.Thread(target=self._read, args=(events,), daemon=True)
        self._thread.start()

    def _read(self, events: Iterator[TrainingEvent]) -> None:
        for event in events:
            self.events.append(event)

    @property
    def steps(self) -> int:
        """Made so far."""
        return sum(isinstance(event, StepDone) for event in self.events)

    def join(self) -> TrainingEvent:
        """Wait for its end; the last event."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "it never ended"
        return self.events[-1]


@pytest.fixture(scope="session")
def adapters(tiny_llama: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> list[Worn]:
    """Three adapters for the tiny Llama."""
    root = tmp_path_factory.mktemp("adapters")
    return [make_adapter(root / name, tiny_llama, seed) for seed, name in enumerate(("red", "green", "blue"))]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Where the tiny Llama's own answers and packed weights are kept, so that one test alone makes them."""
    folder = tmp_path_factory.mktemp("kept")
    return Kept(folder, folder)
