"""What a home's jobs say of themselves, and when their folders are cleared away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.rows import this_writer
from lora_chat.engine.echo import EchoEngine
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.training.events import Cancelled, Installed, Resumed, StepDone, Stopped
from lora_chat.training.jobs import run_job
from lora_chat.training.shelf import discard_job, find_job, list_jobs, room_for, sweep
from lora_chat.training.state import JobState, claimed, current_state, is_claimed, read_state, write_state
from tests.engine.conftest import make_job, short_recipe


@pytest.fixture
def echo(tiny_llama: InstalledBase, home: Paths) -> Any:
    """Runs a job with the scripted engine and gives its events."""
    engine = EchoEngine(tiny_llama)

    def run(job: Path, **wishes: Any) -> list[Any]:
        cancel = wishes.pop("cancel", threading.Event())
        return list(run_job(job, engine.train, tiny_llama.signature, home, cancel, **wishes))

    return run


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def aged(job: Path, kind: str, **changes: Any) -> Path:
    """As if that had become of it two days ago."""
    write_state(job, replace(read_state(job).now(kind, **changes), since=time.time() - 2 * 86400))  # type: ignore[arg-type]
    return job


def kinds(home: Paths) -> list[str]:
    return [job.state.kind for job in list_jobs(home.training)]


def test_a_job_waits_runs_and_is_finished(echo: Any, home: Paths) -> None:
    job = make_job(home.training)
    assert kinds(home) == ["waiting"]
    assert isinstance(echo(job)[-1], Installed)
    state = read_state(job)
    assert (state.kind, state.adapter, state.step) == ("finished", "taught", 3)
    assert not is_claimed(job)


def test_a_cancelled_job_is_deleted_with_all_that_it_teaches(echo: Any, home: Paths) -> None:
    assert isinstance(echo(make_job(home.training), cancel=set_event())[-1], Cancelled)
    assert not list(home.training.iterdir())


def test_a_stopped_job_goes_on_from_there(echo: Any, home: Paths) -> None:
    job = make_job(home.training)
    assert echo(job, stop=set_event())[-1] == Stopped(0)
    assert kinds(home) == ["stopped"]
    assert isinstance(echo(job)[-1], Installed)


def test_a_job_that_nobody_reads_on_is_stopped(
    tiny_llama: InstalledBase, home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.engine.echo.STEPS", 1000)
    job = make_job(home.training)
    engine = EchoEngine(tiny_llama, delay=0.05)
    with closing(run_job(job, engine.train, tiny_llama.signature, home, threading.Event())) as events:
        assert any(isinstance(event, StepDone) for event in events)
        assert kinds(home) == ["running"]
        with pytest.raises(RefusedError, match="runs in another program"):
            discard_job(list_jobs(home.training)[0])
    assert kinds(home) == ["stopped"]
    monkeypatch.setattr("lora_chat.engine.echo.STEPS", 40)
    resumed = next(
        event
        for event in run_job(job, engine.train, tiny_llama.signature, home, threading.Event())
        if isinstance(event, Resumed)
    )
    assert resumed.step >= 1


def test_a_failed_job_says_why_and_can_be_tried_again(echo: Any, tiny_llama: InstalledBase, home: Paths) -> None:
    def dies(*told: Any, **wishes: Any) -> Iterator[Any]:
        raise EngineError("The engine process was killed.")
        yield

    job = make_job(home.training)
    with pytest.raises(EngineError):
        list(run_job(job, dies, tiny_llama.signature, home, threading.Event()))
    assert (read_state(job).kind, read_state(job).reason) == ("failed", "The engine process was killed.")
    assert isinstance(echo(job)[-1], Installed)


def test_a_job_whose_engine_was_killed_after_a_step_is_stopped_there(
    echo: Any, tiny_llama: InstalledBase, home: Paths
) -> None:
    def dies(*told: Any, **wishes: Any) -> Iterator[Any]:
        yield StepDone(3, 8, loss=1.0, tokens_per_second=1.0, eta_s=1.0, memory=1)
        raise EngineError("The engine process was killed.")

    job = make_job(home.training)
    with pytest.raises(EngineError):
        list(run_job(job, dies, tiny_llama.signature, home, threading.Event()))
    [listed] = list_jobs(home.training)
    assert listed.can_go_on
    assert (listed.state.kind, listed.state.step, listed.state.reason) == (
        "stopped",
        3,
        "The engine process was killed.",
    )
    assert isinstance(echo(job)[-1], Installed)
    assert not read_state(job).reason


def test_what_a_killed_program_ran_is_stopped_where_it_can_go_on_from(home: Paths) -> None:
    job = make_job(home.training)
    write_state(job, read_state(job).now("running", by="1:1", step=9))
    assert (current_state(job).kind, current_state(job).step) == ("stopped", 0)
    for name in ("checkpoint-000002", "checkpoint-000005", "checkpoint-none"):
        (job / name).mkdir()
    assert current_state(job).step == 5
    with claimed(job):
        assert current_state(job).kind == "running"


def test_only_one_has_a_job(home: Paths, echo: Any) -> None:
    job = make_job(home.training)
    with claimed(job), pytest.raises(RefusedError, match="runs in another program"):
        echo(job)
    assert kinds(home) == ["waiting"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "waiting", "more": 1}', "[" * 100_000])
def test_a_folder_that_does_not_say_how_far_it_is_is_over(home: Paths, text: str) -> None:
    job = make_job(home.training)
    (job / "state.json").write_text(text)
    assert kinds(home) == ["failed"]


def test_a_job_that_waits_in_a_program_that_is_alive_is_for_that_one(home: Paths) -> None:
    job = make_job(home.training)
    assert list_jobs(home.training)[0].can_go_on
    write_state(job, replace(read_state(job), by=this_writer()))
    [listed] = list_jobs(home.training)
    assert (listed.can_go_on, listed.is_unfinished) == (False, True)
    write_state(job, replace(read_state(job), by="1:1"))
    assert list_jobs(home.training)[0].can_go_on


def test_what_is_no_job_is_not_listed(home: Paths) -> None:
    assert list_jobs(home.training) == []
    job = make_job(home.training)
    (home.training / ".incoming-x").mkdir()
    (home.training / "mine").mkdir()
    (home.training / "note.txt").write_text("x")
    assert [each.folder for each in list_jobs(home.training)] == [job]


def test_a_job_is_found_by_its_folder_its_adapter_and_as_the_last(home: Paths) -> None:
    first, second = make_job(home.training, name="a"), make_job(home.training, name="b")
    first = first.rename(home.training / "20200101-000000-a")
    assert find_job(home.training, first.name).folder == first
    assert find_job(home.training, "b").folder == second
    assert find_job(home.training, "last").folder == second
    write_state(second, read_state(second).now("finished", adapter="b"))
    assert find_job(home.training, "last").folder == first
    with pytest.raises(NotFoundError, match="did you mean"):
        find_job(home.training, first.name + "x")
    with pytest.raises(NotFoundError, match="--jobs"):
        find_job(home.training, "zzzzzz")


def test_the_sweep_keeps_what_somebody_may_need(home: Paths) -> None:
    (home.adapters / "worn").mkdir(parents=True)
    kept = [
        aged(make_job(home.training, name="waits"), "waiting"),
        aged(make_job(home.training, name="stopped"), "stopped"),
        aged(make_job(home.training, name="worn"), "finished", adapter="worn"),
        make_job(home.training, name="just-failed"),
    ]
    write_state(kept[-1], JobState("waiting").now("failed"))
    gone = [
        aged(make_job(home.training, name="failed"), "failed"),
        aged(make_job(home.training, name="removed"), "finished", adapter="removed"),
    ]
    own, torn = aged(make_job(home.training, name="own"), "failed"), home.training / ".trash-1"
    torn.mkdir()
    os.utime(torn, (0, 0))
    sweep(home, but=own)
    assert {each.name for each in home.training.iterdir()} == {each.name for each in [*kept, own]}
    assert not any(each.exists() for each in gone)


def test_the_room_grows_with_what_is_trained(tiny_llama: InstalledBase) -> None:
    one, more = (room_for(short_recipe(rank=rank), tiny_llama.signature) for rank in (8, 16))
    held = room_for(short_recipe(heldout=4), tiny_llama.signature)
    assert one < held < more
