"""While the model loads everything but an answer is there; and leaving is quick and clean, whatever runs."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Status
from lora_chat.chat.store import Store
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import BaseInfo
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.training.shelf import list_jobs
from lora_chat.training.state import claimed, read_state, write_state
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.leave import LeaveScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from tests.cli.conftest import command, environment
from tests.engine.conftest import make_job
from tests.tui.conftest import Branch, Tell, Window

LONG = " ".join(f"word{number}" for number in range(400))
ENOUGH_S = 10.0
"""The longest that leaving may take."""


@pytest.fixture
def blocked(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An engine that loads until the event is set, and answers only then."""
    loaded = threading.Event()

    class Blocked(EchoEngine):
        def load(self) -> BaseInfo:
            loaded.wait()
            return super().load()

        def generate(self, *told: Any) -> Iterator[Any]:
            while not loaded.wait(0.02):
                if told[1].is_set() or self._closed.is_set():
                    break
            yield from super().generate(*told)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Blocked(base, says))
    yield loaded
    loaded.set()


@contextmanager
def left_in_time() -> Iterator[Callable[[], None]]:
    """Leaving, begun when the given function is called, takes less than ``ENOUGH_S`` and leaves no thread behind."""
    before = {thread for thread in threading.enumerate() if not thread.daemon}
    began: list[float] = []
    yield lambda: began.append(time.monotonic())
    assert time.monotonic() - began[-1] < ENOUGH_S
    assert {thread for thread in threading.enumerate() if not thread.daemon} <= before


# While it loads


def test_one_writes_searches_sets_and_looks_back_while_the_model_still_loads(
    window: Tell, blocked: threading.Event, tiny: Paths, branch: Branch
) -> None:
    with Store.open(tiny.database) as store:
        old = store.create_conversation(title="Of parrots")
        store.add_message(old.id, Role.USER, "Do parrots talk?", parent=None)

    async def story(w: Window) -> None:
        await w.see("loading")
        await w.type("hello")
        assert w.prompt.text == "hello"
        await w.press("ctrl+f")
        await w.type("parr")
        await w.see("Do parrots talk?")
        await w.press("enter")
        await w.until(lambda: w.app.chat.talk.views)
        await w.write("/set temperature 0.5")
        await w.hear("temperature is 0.5")
        await w.write("/theme light")
        await w.until(lambda: not w.app.current_theme.dark)
        await w.write("/new")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.write("Are you there?")
        await w.see("Are you there?")
        assert "loading" in w.text
        blocked.set()
        await w.not_see("loading")
        await w.until(lambda: branch()[-1].status is Status.DONE)

    window(story)
    assert branch()[0].content == "Are you there?"


def test_leaving_while_it_loads_takes_no_time_and_keeps_the_message(
    window: Tell, blocked: threading.Event, branch: Branch
) -> None:
    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await w.see("teach me")
            await w.press("enter")
            await w.write("Are you there?")
            await w.until(lambda: w.app.bridge.replying)
            leaves()
            await w.press("ctrl+q")
            await w.until(lambda: w.app._exit)

        window(story)
    assert [message.content for message in branch()] == ["Are you there?", ""]
    assert branch()[-1].status is Status.STOPPED


# Leaving


@pytest.mark.usefixtures("slow")
def test_leaving_in_the_middle_of_an_answer_keeps_it_as_stopped(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Count"] = LONG
    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await w.ready()
            await w.write("Count")
            await w.see("word5")
            leaves()
            await w.press("ctrl+q")
            await w.until(lambda: w.app._exit)

        window(story)
    answer = branch()[-1]
    assert answer.status is Status.STOPPED
    assert answer.content.startswith("word0 word1 word2 word3 word4 word5")


@pytest.fixture
def paced(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted training of 1000 steps of 60 ms."""
    from lora_chat.engine import echo

    class Paced(EchoEngine):
        def _train(self, *told: Any) -> Iterator[Any]:
            self._delay = 0.06
            yield from super()._train(*told)

    monkeypatch.setattr(echo, "STEPS", 1000)
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Paced(base))


async def training(w: Window, *names: str) -> None:
    """Something to learn, and one training of each name."""
    await w.ready()
    await w.answered("Where?")
    await w.write("/rate good")
    await w.hear("Rated good.")
    for name in names:
        await w.write(f"/train from-history {name}")
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
        await w.until(lambda: w.app.screen.focused)
        await w.press("enter")
        await w.until(lambda: w.app.screen is w.app.chat and w.app.flow.running)


def kinds(home: Paths) -> dict[str, str]:
    return {job.name: job.state.kind for job in list_jobs(home.training)}


@pytest.mark.usefixtures("paced")
def test_leaving_asks_while_it_trains_staying_is_easy_and_paused_it_goes_on_in_the_next_window(
    window: Tell, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine import echo

    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await training(w, "shop", "third")
            await w.until(lambda: w.app.flow._progress is not None and w.app.flow._progress.step > 2)
            await w.press("ctrl+q")
            await w.see("shop is being trained")
            await w.press("ctrl+q", "enter")  # staying is the easy answer
            await w.until(lambda: w.app.screen is w.app.chat)
            assert w.app.flow.running
            await w.write("/quit")
            await w.until(lambda: isinstance(w.app.screen, LeaveScreen))
            leaves()
            await w.press("p")
            await w.until(lambda: w.app._exit)

        window(story)
    assert kinds(tiny) == {"shop": "stopped", "third": "waiting"}
    assert not (tiny.adapters / "shop").exists()

    monkeypatch.setattr(echo, "STEPS", 60)

    async def next_time(w: Window) -> None:
        await w.ready()
        await w.hear("Trainings were stopped: shop at step")
        await w.write("/train resume")
        await w.hear("Going on with the training of shop, third")
        await w.until(lambda: (tiny.adapters / "third").exists(), 30)

    window(next_time)
    assert kinds(tiny) == {"shop": "finished", "third": "finished"}


@pytest.mark.usefixtures("paced")
def test_left_to_finish_it_goes_on_from_its_checkpoint_without_the_window(
    window: Tell, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Sequence[Path]] = []
    monkeypatch.setattr("lora_chat.services.start_alone", lambda jobs, logs: handed.append(jobs))

    async def story(w: Window) -> None:
        await training(w, "shop", "other")
        await w.press("ctrl+q")
        await w.until(lambda: isinstance(w.app.screen, LeaveScreen))
        await w.press("f")
        await w.until(lambda: w.app._exit)

    window(story)
    [jobs] = handed
    assert [job.name.split("-", 2)[2] for job in jobs] == ["shop", "other"]
    assert kinds(tiny) == {"shop": "stopped", "other": "waiting"}


def test_the_next_start_tells_what_came_of_a_training_without_a_window_once(window: Tell, tiny: Paths) -> None:
    job = make_job(tiny.training, name="shop")
    state = read_state(job)
    write_state(job, state.now("finished", adapter="shop", alone=True))

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear("shop is ready, it was trained while you were away: /adapter use shop, /report shop")

    window(story)
    assert not read_state(job).alone


def test_what_comes_of_a_training_without_a_window_is_told_when_it_comes(
    window: Tell, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.tui.training_flow.ALONE_S", 0.05)
    job = make_job(tiny.training, name="shop")
    write_state(job, read_state(job).now("running", alone=True))

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear("shop is being trained without this window")
        write_state(job, read_state(job).now("finished", adapter="shop"))
        await w.hear("shop is ready, it was trained while you were away: /adapter use shop, /report shop")

    with claimed(job):
        window(story)


@pytest.mark.usefixtures("paced")
def test_a_stopped_training_can_be_deleted_at_the_next_start(window: Tell, tiny: Paths) -> None:
    make_job(tiny.training, name="shop")

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear("A training was stopped: shop.")
        await w.write("/train cancel")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("The training of shop is deleted")

    window(story)
    assert not list(tiny.training.iterdir())


@pytest.mark.usefixtures("worn")
def test_leaving_answers_a_question_that_is_open_with_no(window: Tell, tiny: Paths) -> None:
    file = tiny.models.parent / "more.md"
    file.write_text("# More\n\n## User\n\nHello\n\n## Assistant\n\nGood day\n", encoding="utf-8")
    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await w.ready()
            await w.answered("Keep me")
            await w.write(f"/import {file}")
            await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
            leaves()
            await w.press("ctrl+q")
            await w.until(lambda: w.app._exit)

        window(story)
    with Store.open(tiny.database) as store:
        assert len(store.conversations()) == 1


# The terminal goes


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("owned", [True, False])
def test_a_terminal_that_goes_takes_the_program_and_its_engine_with_it(tiny: Paths, owned: bool) -> None:
    import psutil  # type: ignore[import-untyped]

    from tests.terminal import Window as Real

    window = Real(command(), environment(tiny), owned=owned)
    window.see("teach me")
    window.type("\r")
    window.see("sends;")
    window.say("Hello")
    window.see("tokens", 60)
    engines = psutil.Process(window.process.pid).children(recursive=True)
    assert engines
    window.hang_up()
    window.process.wait(30)
    psutil.wait_procs(engines, timeout=30)
    assert not any(engine.is_running() for engine in engines)


@pytest.mark.skipif(os.name != "posix", reason="Windows has a driver of its own")
def test_what_is_drawn_after_the_terminal_has_gone_holds_nobody_up() -> None:
    """With SIGHUP comes SIGCONT, at which a new writer draws all anew, into nothing."""
    from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

    from lora_chat.tui.terminal import Lasting

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    writer = WriterThread(Lasting(Gone()))  # type: ignore[arg-type]
    writer.start()

    def draw() -> None:
        for _ in range(3 * MAX_QUEUED_WRITES):
            writer.write("all of it")
        writer.stop()

    drawing = threading.Thread(target=draw, daemon=True)
    drawing.start()
    drawing.join(30)
    assert not drawing.is_alive()
    assert not writer.is_alive()
