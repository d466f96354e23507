"""What every engine that trains keeps of it: in this process, in one of its own, or the scripted one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lora_chat.adapters.verify import load_verified
from lora_chat.engine.kept import Kept
from lora_chat.engine.protocol import Engine, Worn
from lora_chat.errors import TrainingError
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import Cancelled, DatasetReady, Resumed, StepDone, Stopped, Trained
from tests.engine.conftest import Follower, ask, is_one_sentence, make_job, wait_until
from tests.engine.engines import KINDS, make


@pytest.fixture(scope="module", params=KINDS)
def engine(
    request: pytest.FixtureRequest,
    tiny_llama: InstalledBase,
    kept: Kept,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    with ExitStack() as stack:
        yield make(request.param, tiny_llama, kept, tmp_path_factory, stack)


def test_a_training_counts_its_data_steps_and_ends_in_an_adapter_that_fits(
    engine: Engine, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    job = make_job(tmp_path)
    events = list(engine.train(job))
    assert isinstance(events[0], DatasetReady)
    assert (events[0].conversations, events[0].examples) == (2, 2)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert isinstance(events[-1], Trained)
    assert Path(events[-1].folder).parent == job
    adapter = load_verified(Path(events[-1].folder), tiny_llama.signature)
    assert adapter.layout.parameters == events[-1].report.trainable_parameters
    assert ask(engine, adapter=Worn("taught", Path(events[-1].folder), adapter.sha256))


def test_a_reply_during_a_training_is_the_same(engine: Engine, adapters: list[Worn], tmp_path: Path) -> None:
    idle = [ask(engine), ask(engine, adapter=adapters[1])]
    events = engine.train(make_job(tmp_path, max_steps=30))
    assert isinstance(next(event for event in events if isinstance(event, StepDone | Trained)), StepDone)
    assert [ask(engine), ask(engine, adapter=adapters[1])] == idle
    assert isinstance(list(events)[-1], Trained)


def test_a_cancelled_training_says_so_and_leaves_no_adapter(engine: Engine, tmp_path: Path) -> None:
    job, cancel = make_job(tmp_path, max_steps=100_000), threading.Event()
    events = []
    for event in engine.train(job, cancel):
        events.append(event)
        cancel.set()
    assert isinstance(events[-1], Cancelled)
    assert sorted(path.name for path in job.iterdir()) == ["heldout.jsonl", "job.toml", "state.json", "train.jsonl"]


def test_a_stopped_training_goes_on_from_there_and_so_does_one_that_nobody_reads_on(
    engine: Engine, tmp_path: Path
) -> None:
    job, stop = make_job(tmp_path, max_steps=6), threading.Event()
    events = []
    for event in engine.train(job, stop=stop):
        events.append(event)
        if isinstance(event, StepDone):
            stop.set()
    assert isinstance(events[-1], Stopped | Trained)  # the thread may be through before it is told
    left = engine.train(job)
    next(left)
    left.close()  # type: ignore[attr-defined]
    after = list(engine.train(job))
    assert isinstance(after[-1], Trained)
    if isinstance(events[-1], Stopped):
        resumed = next(event for event in after if isinstance(event, Resumed))
        assert resumed.step >= events[-1].step > 0
        assert len(resumed.losses) == resumed.step


def test_a_cancel_keeps_nothing_also_of_a_training_that_shall_stop(engine: Engine, tmp_path: Path) -> None:
    job, cancel, stop = make_job(tmp_path, max_steps=100_000), threading.Event(), threading.Event()
    for event in engine.train(job, cancel, stop=stop):
        if isinstance(event, StepDone):
            cancel.set()
            stop.set()
    assert isinstance(event, Cancelled | Trained)  # a scripted one is through at once
    assert not list(job.glob("checkpoint-*"))


def test_a_paused_training_waits_lets_replies_through_and_then_goes_on(engine: Engine, tmp_path: Path) -> None:
    idle, pause = ask(engine), threading.Event()
    pause.set()
    began = time.perf_counter()
    training = Follower(engine.train(make_job(tmp_path), pause=pause))
    wait_until(lambda: training.events != [])
    assert ask(engine) == idle
    time.sleep(0.6)
    steps = training.steps
    pause.clear()
    last = training.join()
    assert isinstance(last, Trained)
    assert last.report.seconds < time.perf_counter() - began - 0.4
    assert (steps, training.steps > 0) == (0, True)


def test_a_paused_training_can_be_cancelled(engine: Engine, tmp_path: Path) -> None:
    job, pause, cancel = make_job(tmp_path), threading.Event(), threading.Event()
    pause.set()
    training = Follower(engine.train(job, cancel, pause=pause))
    wait_until(lambda: training.events != [])
    cancel.set()
    assert training.join() == Cancelled(0)
    assert not (job / "adapter").exists()


def test_a_paused_training_nobody_reads_on_frees_the_engine(engine: Engine, tmp_path: Path) -> None:
    pause = threading.Event()
    pause.set()
    events = engine.train(make_job(tmp_path), pause=pause)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert isinstance(list(engine.train(make_job(tmp_path)))[-1], Trained)


def test_one_training_at_a_time(engine: Engine, tmp_path: Path) -> None:
    first = engine.train(make_job(tmp_path, max_steps=100_000))
    next(first)
    with pytest.raises(TrainingError, match="Another training") as caught:
        next(engine.train(make_job(tmp_path)))
    assert is_one_sentence(caught.value)
    first.close()  # type: ignore[attr-defined]
    assert isinstance(list(engine.train(make_job(tmp_path)))[-1], Trained)


def test_a_folder_that_is_no_job_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a whole training job") as caught:
        list(engine.train(tmp_path))
    assert is_one_sentence(caught.value)
