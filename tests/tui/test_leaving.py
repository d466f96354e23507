"""While the model loads everything but an answer is there; and leaving is quick and clean, whatever runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Status
from lora_chat.chat.store import Store
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import BaseInfo
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from tests.cli.conftest import command, environment
from tests.tui.conftest import Branch, Tell, Window

LONG = " ".join(f"word{number}" for number in range(400))
ENOUGH_S = 3.0
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


def test_leaving_asks_while_it_trains_no_stays_and_yes_leaves_nothing_behind(
    window: Tell, says: dict[str, str], monkeypatch: pytest.MonkeyPatch, tiny: Paths
) -> None:
    from lora_chat.engine import echo

    class Paced(EchoEngine):
        def _train(self, *told: Any) -> Iterator[Any]:
            self._delay = 0.06
            yield from super()._train(*told)

    monkeypatch.setattr(echo, "STEPS", 1000)
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Paced(base))
    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await w.ready()
            await w.answered("Where?")
            await w.write("/rate good")
            await w.hear("Rated good.")
            await w.write("/train from-history shop")
            await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
            await w.press("enter")
            await w.until(lambda: w.app.flow.running)
            await w.press("ctrl+q")
            await w.see("A training is running and would be lost.")
            await w.press("ctrl+q", "enter")  # staying is the easy answer
            await w.until(lambda: w.app.screen is w.app.chat)
            assert w.app.flow.running
            await w.write("/quit")
            await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
            leaves()
            await w.press("y")
            await w.until(lambda: w.app._exit)

        window(story)
    assert not (tiny.adapters / "shop").exists()


@pytest.mark.usefixtures("worn")
def test_leaving_answers_a_question_that_is_open_with_no(window: Tell, tiny: Paths) -> None:
    with left_in_time() as leaves:

        async def story(w: Window) -> None:
            await w.ready()
            await w.answered("Keep me")
            await w.write("/delete")
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
    window.process.wait(10)
    psutil.wait_procs(engines, timeout=10)
    assert not any(engine.is_running() for engine in engines)
