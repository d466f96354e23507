"""A training without a window: a program of its own that outlives the one it was begun in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from lora_chat.engine.alone import start_alone, stop_alone
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.sitting.returning import what_came_of_them
from lora_chat.training.shelf import list_jobs
from lora_chat.training.state import claimed, read_state
from tests.conftest import place
from tests.engine.conftest import make_job


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.mark.skipif(os.name != "posix", reason="sessions and SIGTERM")
def test_it_has_a_session_of_its_own_stops_when_told_goes_on_and_installs_at_the_end(
    tiny_llama: InstalledBase, home: Paths
) -> None:
    place(tiny_llama, home)
    first, second = make_job(home.training, name="first", max_steps=200), make_job(home.training, name="second")
    pid = start_alone([first, second], home.logs)
    until(lambda: read_state(first).step)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert [job.state.kind for job in list_jobs(home.training)] == ["running", "waiting"]
    assert read_state(first).by.startswith(f"{pid}:")
    with pytest.raises(RefusedError, match="runs in another program"), claimed(first):
        pass
    [running] = what_came_of_them(home.training)  # the second has its turn there
    assert running.startswith("first is being trained without this window at step")
    stop_alone(read_state(first).by)
    os.waitpid(pid, 0)
    assert [job.state.kind for job in list_jobs(home.training)] == ["stopped", "waiting"]
    os.waitpid(start_alone([first, second], home.logs), 0)
    assert sorted(each.name for each in home.adapters.iterdir()) == ["first", "second"]
    log = (home.logs / "training.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line["job"] for line in lines if line["event"] == "finished"] == [first.name, second.name]
    assert any(line["event"] == "resumed" and line["step"] for line in lines)
    assert "language model" not in log
    said = list(what_came_of_them(home.training))
    for name, each in zip(("first", "second"), said, strict=True):
        assert each.startswith(f"{name} is ready, it was trained while you were away (")
        assert each.endswith(f" of 2 checks hold): /adapter use {name}, /report {name} 1.0.0")
    assert not list(what_came_of_them(home.training))


@pytest.mark.skipif(os.name != "posix", reason="a zombie is reaped")
def test_one_that_cannot_be_trained_is_told_and_the_next_has_its_turn(tiny_llama: InstalledBase, home: Paths) -> None:
    place(tiny_llama, home)
    bad, good = make_job(home.training, name="bad", learning_rate=1e30), make_job(home.training, name="good")
    os.waitpid(start_alone([bad, good], home.logs), 0)
    assert [each.name for each in home.adapters.iterdir()] == ["good"]
    failed, ready = what_came_of_them(home.training)
    assert "The training of bad, while you were away, failed: The loss is no longer a number" in failed + ready
