"""A window in this process: the whole program on the tiny base, with the scripted engine that ships."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.notifications import Notification, Notifications
from textual.pilot import Pilot, WaitForScreenTimeout
from textual.widgets import Input, TextArea

from lora_chat.chat.conversation import Message, Status
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.theme import DARK, LIGHT
from lora_chat.tui.widgets.prompt import Prompt
from tests.cli.conftest import Kept, kept, tiny, tiny_home, trained, worn  # noqa: F401
from tests.tui.picture import characters, differs, runs

SNAPSHOTS = Path(__file__).parent / "snapshots"


class Window:
    """A person at the window: types, waits for what it shows, looks."""

    def __init__(self, app: LoraChatApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self._heard: list[str] = []
        """What was told since that was last cleared, also what is gone by now."""
        self._remember()
        self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        """A pause waits for every widget of the screen; one of a screen that closes just then never answers."""
        waits = self.pilot._wait_for_screen

        async def wait(timeout: float = 5) -> bool:
            try:
                return await waits(timeout)
            except WaitForScreenTimeout:
                return False

        self.pilot._wait_for_screen = wait  # type: ignore[method-assign]

    def _remember(self) -> None:
        notifications = self.app._notifications
        add, clear = notifications.add, notifications.clear

        def adds(notification: Notification) -> Notifications:
            self._heard.append(notification.message)
            return add(notification)

        def clears() -> Notifications:
            self._heard.clear()
            return clear()

        notifications.add, notifications.clear = adds, clears  # type: ignore[method-assign]

    @property
    def text(self) -> str:
        """What it shows now."""
        return characters(self.app)

    @property
    def prompt(self) -> Prompt:
        """Where one writes."""
        return self.app.chat.asking.prompt

    async def until(self, what: Callable[[], object], seconds: float = 30) -> None:
        """Wait until ``what`` is so."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"never came:\n{self.text}\ntold: {self._heard}"
            await self.pilot.pause(0.02)

    async def see(self, text: str, seconds: float = 30) -> None:
        """Wait until ``text`` is on the screen."""
        await self.until(lambda: text in self.text, seconds)

    async def not_see(self, text: str, seconds: float = 30) -> None:
        """Wait until ``text`` is not on the screen."""
        await self.until(lambda: text not in self.text, seconds)

    @property
    def told(self) -> list[str]:
        """The sentences that are told now; a test's window draws no toasts."""
        return [each.message for each in self.app._notifications]

    async def hear(self, text: str, seconds: float = 30) -> None:
        """Wait until a sentence with ``text`` in it is told; on a busy machine it may be gone again by then."""
        await self.until(lambda: any(text in each for each in [*self._heard, *self.told]), seconds)

    async def press(self, *keys: str) -> None:
        """Keys, one after the other, each done with before the next.

        ``Pilot.press`` waits until the process is idle as well, 0.08 s a key and up to a second while something moves.
        """
        await self.pilot.pause(0)  # a screen that has just opened has its focus
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await self._done_with_that()

    async def _done_with_that(self) -> None:
        """Until every widget has heard what was posted, and what that posted in turn."""
        for _ in range(4):
            await self.pilot.pause(0)

    async def type(self, text: str) -> None:
        """Letters as fast as they can come, wherever the focus is."""
        await self.pilot.pause(0)
        for letter in text:
            self.app.post_message(events.Key({" ": "space", "/": "slash"}.get(letter, letter), letter))
        await self._done_with_that()

    async def write(self, text: str) -> None:
        """Type ``text`` and Enter; completions are not taken."""
        self.prompt.focus()
        self.prompt.write(text)
        await self._done_with_that()
        self.app.chat.asking.close_completions()
        await self.press("enter")

    async def ready(self) -> None:
        """Until the engine has loaded; a first start's welcome is answered with Enter."""
        from lora_chat.tui.screens.welcome import WelcomeScreen

        await self.until(lambda: self.app.chat.base)
        await self.pilot.pause(0.1)
        if isinstance(self.app.screen, WelcomeScreen):
            await self.press("enter")
        await self.until(lambda: self.app.screen is self.app.chat)
        await self.until(lambda: self.app.bridge._watch is not None and not self.app.bridge._watch._loading)
        await self.caught_up()
        await self.not_see("loading")

    async def answered(self, text: str) -> None:
        """Say ``text`` and wait for the whole answer, as the store has it and as the window shows it."""
        before = self.app.chat.answer
        await self.write(text)
        await self.until(lambda: self._has_another(before))
        await self.until(self._is_over)
        await self.caught_up()

    def _is_over(self) -> bool:
        """Whether nothing is being answered, and whoever answered has nothing to tell any more."""
        reply = self.app.bridge._reply
        return (reply is None or reply._over.is_set()) and not self.app.chat._answering

    async def caught_up(self) -> None:
        """Until what was asked for is done and what came of it is shown, but for what is still being written or asked.

        Not until what is read ahead is told: see ``idle``.
        """
        bridge = self.app.bridge
        for desk in (bridge._desk, bridge._reader):  # what the first has done the other may have to look at
            done = threading.Event()
            desk.put(done.set)
            await self.until(lambda done=done: done.is_set() or bridge._questions)  # type: ignore[misc]
        await self.until(lambda: bridge._outbox._loop is None or not bridge._outbox._scheduled)
        await self._done_with_that()

    def _has_another(self, before: Message | None) -> bool:
        """Whether an answer other than ``before`` is whole and told; it may have been too quick to be seen growing."""
        now = self.app.chat.answer
        if now is None or now.status is Status.STREAMING or self.app.bridge.replying or self.app.chat._answering:
            return False
        return before is None or now.id != before.id

    async def still(self) -> None:
        """Until nothing moves any more."""
        await self.caught_up()
        await self.until(lambda: not reading_ahead())
        await self.caught_up()
        for screen in self.app.screen_stack:  # a cursor below a panel blinks too
            for written in [*screen.query(Input), *screen.query(TextArea)]:
                written.cursor_blink = False
                written._cursor_visible = True
                if isinstance(written, TextArea):
                    written._line_cache.clear()  # a line of a moment without the cursor may be kept
                written.refresh()
        before = ""
        while (now := self.text) != before:
            before = now
            await self.pilot.pause(0.15)


Story = Callable[[Window], Awaitable[None]]
Branch = Callable[[], list[Message]]

LONG = " ".join(f"word{number}" for number in range(80))


def texts(branch: Branch) -> list[str]:
    return [message.content for message in branch()]


def reading_ahead() -> bool:
    """Whether the next prompt's beginning is being read."""
    return any(thread.name == "prefill" for thread in threading.enumerate())


async def idle(w: Window) -> None:
    """Until nothing is being answered and the newest look at the conversation has arrived."""
    await w.caught_up()  # what was asked for has begun
    await w.until(w._is_over)
    await w.caught_up()
    await w.until(lambda: not reading_ahead())
    await w.caught_up()
    await w.pilot.pause(0.15)


Tell = Callable[..., None]


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No animations, no blinking; what is read ahead is read at once."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr("lora_chat.sitting.prefill.PAUSE", 0.0)


@pytest.fixture(autouse=True)
def own_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests keeps theirs."""
    monkeypatch.setattr("lora_chat.sitting.clipboard.TOOLS", ())
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("TMUX", raising=False)


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A model that says what the test wants: question -> answer; anything else it says back."""
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.services import Services

    script: dict[str, str] = {}
    pace = {"delay": 0.0}
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: EchoEngine(base, script, pace["delay"]))
    script_pace[id(script)] = pace
    return script


script_pace: dict[int, dict[str, float]] = {}


@pytest.fixture
def slow(says: dict[str, str]) -> None:
    """Each word and each training step takes a moment."""
    script_pace[id(says)]["delay"] = 0.05


@pytest.fixture
def window(tiny: Paths, says: dict[str, str]) -> Tell:  # noqa: F811
    """Tell a story in a window of a home with the tiny base."""
    (tiny.config).write_text('model = "tiny-llama"\nmax_tokens = 400\ntemperature = 0.0\n', encoding="utf-8")

    def tell(
        story: Story,
        size: tuple[int, int] = (100, 30),
        *,
        light: bool = False,
        adapter: str | None = None,
        prepared: Callable[[], object] | None = None,
    ) -> None:
        if prepared:
            prepared()

        async def run() -> None:
            app = LoraChatApp(adapter=adapter)
            try:
                async with app.run_test(size=size, notifications=True) as pilot:
                    seen = Window(app, pilot)
                    if not prepared:
                        await seen.until(lambda: app.chat.base or app.screen is not app.chat)
                    app.theme = LIGHT.name if light else DARK.name
                    await story(seen)
            finally:
                app.bridge.close()

        asyncio.run(run())

    return tell


@pytest.fixture
def branch(tiny: Paths) -> Callable[[], list[Message]]:  # noqa: F811
    """What is kept of the newest conversation."""

    def read() -> list[Message]:
        with Store.open(tiny.database) as store:
            return store.branch(store.conversations()[0].id)

    return read


class Snapshot:
    """How a window looks, dark and light, held against ``snapshots/NAME.txt``.

    ``LORA_CHAT_SNAPSHOTS=write`` keeps what is seen instead; ``LORA_CHAT_PICTURES=FOLDER`` also writes SVGs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = ""
        self._colours: list[str] = []

    async def take(self, window: Window) -> None:
        """Look at it in the colours it has."""
        await window.still()
        assert self._text in ("", window.text), "the colours change the words"
        self._text = window.text
        self._colours += [f"--- {window.app.theme}", runs(window.app)]
        if folder := os.environ.get("LORA_CHAT_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            file = Path(folder) / f"{self._name}-{window.app.theme.removeprefix('lora-')}.svg"
            file.write_text(window.app.export_screenshot(), encoding="utf-8")

    def hold(self) -> None:
        """Compare what was seen with what is kept."""
        before, found = SNAPSHOTS / f"{self._name}.txt", "\n".join([self._text, *self._colours]) + "\n"
        if os.environ.get("LORA_CHAT_SNAPSHOTS") == "write":
            SNAPSHOTS.mkdir(exist_ok=True)
            before.write_text(found, encoding="utf-8")
        assert not differs(found, before), f"it does not look as {before.name} says:\n{self._text}"
