"""Whoever looks elsewhere is called when something long has ended, by the way they chose, and nobody else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual import events

from lora_chat.config import Config, Notify
from lora_chat.tui import notice as module
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.notice import Notice, desktop
from tests.tui.conftest import Tell, Window, idle


class App:
    """What of the window a notice uses."""

    def __init__(self) -> None:
        self.app_focus = True
        self.told: list[str] = []

    def bell(self) -> None:
        self.told.append("bell")

    def tell_terminal(self, sequence: str) -> None:
        self.told.append(sequence)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(module, "monotonic", lambda: now.s)
    return now


def of(app: App, way: Notify = "bell") -> Notice:
    notice = Notice(cast(LoraChatApp, app))
    notice.way = way
    return notice


@pytest.mark.parametrize(
    ("focus", "seconds", "rings"), [(True, 60, False), (False, 60, True), (False, 10, True), (False, 9.9, False)]
)
def test_a_long_answer_rings_where_nobody_looks(
    app: App, clock: SimpleNamespace, focus: bool, seconds: float, rings: bool
) -> None:
    notice = of(app)
    notice.reply_began()
    clock.s += seconds
    app.app_focus = focus
    notice.reply_ended()
    assert app.told == ["bell"] * rings


@pytest.mark.parametrize(("focus", "hears", "rings"), [(True, True, False), (False, True, True), (True, False, True)])
def test_a_training_rings_unless_the_terminal_is_known_to_be_looked_at(
    app: App, focus: bool, hears: bool, rings: bool
) -> None:
    notice = of(app)
    app.app_focus = focus
    if hears:
        notice.focus_told()
    notice.training_ended()
    assert app.told == ["bell"] * rings


def test_the_way_is_the_persons(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    app.app_focus = False
    for way in ("bell", "desktop", "off"):
        of(app, way).training_ended(failed=way == "desktop")
    assert app.told == ["bell", "\x1b]9;lora-chat: The training has failed.\x07"]
    assert Config().notify == "bell"


def test_each_terminal_is_told_in_its_own_words() -> None:
    assert desktop("Done.", {"TERM": "xterm-kitty"}) == "\x1b]9;lora-chat: Done.\x07"
    for environment in ({"VTE_VERSION": "7600"}, {"TERM": "foot"}, {"TERM": "rxvt-unicode"}):
        assert desktop("Done.", environment) == "\x1b]777;notify;lora-chat;Done.\x07"
    assert desktop("Done.", {"TMUX": "/tmp/t"}) == "\x1bPtmux;\x1b\x1b]9;lora-chat: Done.\x07\x1b\\"


def test_in_the_window_it_is_the_terminals_focus_that_counts(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(LoraChatApp, "bell", lambda self: rung.append("bell"))
    monkeypatch.setattr(module, "LONG_S", 0.0)

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await idle(w)
        assert rung == []
        w.app.post_message(events.AppBlur())
        await w.until(lambda: not w.app.app_focus)
        w.app.bridge.send("Two")
        await w.until(lambda: rung == ["bell"])
        w.app.post_message(cast(Any, events.AppFocus()))
        await w.until(lambda: w.app.app_focus)
        await w.answered("Three")
        await idle(w)
        assert rung == ["bell"]
        assert w.app.notice._hears_focus

    window(story)
