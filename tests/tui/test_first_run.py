"""The first start: the welcome, the base model that has to come, and the tour from its first step to its last."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.models import catalog, own
from lora_chat.paths import Paths
from lora_chat.tui import fetching
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.training_report import TrainingReportScreen
from lora_chat.tui.screens.welcome import WelcomeScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.tour import QUESTION, REWORDED, STEPS, UNRELATED, WANTED
from tests.tui.conftest import Tell, Window


class Fetched:
    """A ``lora-chat model pull`` that says what it is told to; ``go`` lets it end."""

    def __init__(self, code: int, *lines: str, brings: Path | None = None, as_what: Path | None = None) -> None:
        self.go = threading.Event()
        self.returncode = code
        self.command: list[str] = []
        self._lines, self._brings, self._as_what = lines, brings, as_what

    def __call__(self, command: list[str], **_: Any) -> Fetched:
        self.command = command
        return self

    def __enter__(self) -> Fetched:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.go.wait(60)
        if self._brings and self._as_what:
            self._as_what.symlink_to(self._brings)

    def poll(self) -> int:
        return self.returncode

    @property
    def stdout(self) -> io.StringIO:
        return io.StringIO("".join(f"{line}\n" for line in self._lines))


@pytest.fixture
def bare(tiny: Paths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny home without its models, which are where this path says; the catalogue has them."""
    entry = replace(catalog.resolve("smollm2-135m"), name="tiny-llama")
    monkeypatch.setattr(own, "find_entry", lambda name, config, around=True: entry)
    models = tiny.models.resolve()
    tiny.models.unlink()
    return models


def comes(monkeypatch: pytest.MonkeyPatch, process: Fetched) -> Fetched:
    """Let ``process`` be what a fetch starts."""
    started = subprocess.Popen

    def popen(command: Any, **more: Any) -> Any:
        return process(command, **more) if "pull" in command else started(command, **more)

    monkeypatch.setattr(subprocess, "Popen", popen)
    return process


def test_enter_is_the_first_chat_where_a_base_is_here(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("enter")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("Hello")
        assert w.prompt.has_focus

    window(story)


def test_whoever_was_here_before_is_not_welcomed_again(window: Tell, tiny: Paths) -> None:
    from lora_chat.chat.store import Store

    with Store.open(tiny.database) as store:
        store.create_conversation(title="Before")

    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base)
        await w.see("Before")
        assert w.app.screen is w.app.chat

    window(story)


def test_a_missing_base_is_fetched_with_its_progress_and_then_chats(
    window: Tell, tiny: Paths, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = '{"event": "progress", "what": "Downloading model.safetensors", "done": 42, "total": 100}'
    process = comes(monkeypatch, Fetched(0, "not json", progress, brings=bare, as_what=tiny.models))

    async def story(w: Window) -> None:
        await w.see("Either first fetches the base model tiny-llama:")
        await w.press("enter")
        await w.see("Downloading model.safetensors")
        await w.see("42%")
        await w.press("t")  # nothing to choose while it comes
        process.go.set()
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("Hello")
        assert w.app.chat.tour.step is None

    window(story)
    assert process.command[-4:] == ["pull", "tiny-llama", "--yes", "--json"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"event": "failed", "reason": "There is no network."}'], "There is no network."),
        ([], "The base model tiny-llama did not come"),
    ],
)
@pytest.mark.usefixtures("bare")
def test_a_fetch_that_fails_says_why_and_can_be_tried_again(
    window: Tell, monkeypatch: pytest.MonkeyPatch, lines: list[str], said: str
) -> None:
    process = comes(monkeypatch, Fetched(1, *lines))
    process.go.set()

    async def story(w: Window) -> None:
        await w.see("teach me")
        for _ in range(2):
            await w.press("enter")
            await w.see(said)
            await w.see("teach me")
        assert isinstance(w.app.screen, WelcomeScreen)

    window(story)


@pytest.mark.usefixtures("bare")
def test_a_fetch_that_cannot_begin_or_brings_nothing_is_a_sentence_too(
    window: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = comes(monkeypatch, Fetched(0))
    process.go.set()

    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("enter")
        await w.see("tiny-llama")
        await w.until(lambda: isinstance(w.app.screen, WelcomeScreen) and not w.app.screen.fetching)
        monkeypatch.setattr(fetching, "fetch_base", lambda *told: (_ for _ in ()).throw(OSError("no process")))
        await w.press("enter")
        await w.see("no process")
        await w.press("q")
        await w.until(lambda: w.app._exit)

    window(story)


@pytest.mark.usefixtures("bare")
def test_a_window_that_closes_ends_the_fetch(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    started = subprocess.Popen
    running: list[subprocess.Popen[str]] = []

    def endless(command: Any, **more: Any) -> Any:
        if "pull" not in command:
            return started(command, **more)
        running.append(started([sys.executable, "-c", "import time; time.sleep(600)"], **more))
        return running[-1]

    monkeypatch.setattr(subprocess, "Popen", endless)

    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("enter")
        await w.until(lambda: running)
        await w.press("ctrl+q")

    window(story)
    assert running[0].wait(30) != 0


@pytest.fixture
def shipped(tiny: Paths, trained: Path) -> None:
    """An adapter called support-bot, as the program ships one."""
    folder = shutil.copytree(trained, tiny.adapters / "support-bot")
    manifest = folder / "adapter.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"shop"', '"support-bot"', 1), "utf-8")


@pytest.mark.usefixtures("shipped")
def test_the_tour_goes_from_its_first_step_to_its_last_by_its_own_keys(
    window: Tell, says: dict[str, str], tiny: Paths
) -> None:
    says |= {QUESTION: "In a far country.", REWORDED: WANTED, UNRELATED: "Berlin."}

    async def at(w: Window, number: int) -> None:
        await w.see(f"{number} of {len(STEPS)}")
        await w.until(lambda: w.prompt.text == w.app.chat.tour.step.prefill)  # type: ignore[union-attr]

    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("t")
        await at(w, 1)
        await w.press("enter")
        await at(w, 2)
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.see(WANTED)
        await w.press("ctrl+s")
        await at(w, 3)
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
        await w.see("1 edited")
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("reworded")
        await w.press("enter")
        await at(w, 6)
        await w.press("enter")
        await w.see(WANTED)
        await at(w, 7)
        await w.press("enter")
        await w.see("Berlin.")
        await at(w, 8)
        await w.press("enter")
        await at(w, 9)
        await w.see("▎support-bot")
        await w.press("enter")
        await at(w, 10)
        await w.press("escape")
        await w.not_see(f"9 of {len(STEPS)}")
        assert w.prompt.text == ""

    window(story, (120, 36))
    assert (tiny.adapters / "shop").is_dir()


@pytest.mark.usefixtures("shipped", "slow")
def test_another_training_neither_moves_the_tour_on_nor_is_taken_for_its_own(
    window: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine import echo

    monkeypatch.setattr(echo, "STEPS", 60)

    async def planned(w: Window) -> None:
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen) and not w.app.screen.counting)
        await w.press("enter")
        await w.until(lambda: w.app.screen is w.app.chat)

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.write("/edit Good day.")
        await w.write("/train from-history other")
        await planned(w)
        await w.see("training other")
        await w.write("/tour")
        await w.see(f"1 of {len(STEPS)}")
        await w.press("enter")
        await w.see(f"2 of {len(STEPS)}")
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.press("ctrl+s")
        await w.see(f"3 of {len(STEPS)}")
        await w.press("enter")
        await planned(w)
        await w.hear("waits for its turn")
        await w.pilot.pause(0.3)
        assert f"3 of {len(STEPS)}" in w.text

    window(story, (120, 36))


def test_esc_leaves_the_tour_and_takes_its_words_out_of_the_prompt(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("t")
        await w.see("1 of 8")  # without the shipped adapter its two steps are left out
        await w.until(lambda: w.prompt.text == QUESTION)
        await w.press("escape")
        await w.not_see("1 of 8")
        assert w.prompt.text == ""

    window(story)
