"""Leaving while something is trained. Owns the question and its three answers; never what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from lora_chat.language import tr
from lora_chat.sitting.face import WAYS_OUT, leaving
from lora_chat.text import clean_line
from lora_chat.tui.screens.panel import PanelScreen

_SAID = dict(zip(WAYS_OUT, ("pause it", "finish without me", "stay"), strict=True))


class LeaveScreen(PanelScreen[str]):
    """Pause it, let it finish, or stay, which is the easiest; gives one of ``WAYS_OUT``."""

    DEFAULT_CSS = """
    LeaveScreen {
        #panel { width: 64; }
        #panel > Headline { display: none; }
        #question { height: auto; margin: 1; }
        #answers { height: 1; margin: 0 1; }
        Button { padding: 0 1; margin-right: 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "answer('pause')", "pause it", id="leave.pause"),
        Binding("f", "answer('finish')", "finish", id="leave.finish"),
        Binding("s,escape", "answer('stay')", "stay", id="leave.stay"),
        Binding(
            "left", "app.focus_previous", "choose", key_display="← →", tooltip="the answer before", id="leave.left"
        ),
        Binding("right", "app.focus_next", "choose", show=False, tooltip="the next answer", id="leave.right"),
    ]

    def __init__(self, name: str, waiting: Sequence[str]) -> None:
        """``name`` is trained, the others wait for their turn."""
        super().__init__("")
        self._question = leaving(clean_line(name, 40), [clean_line(each, 40) for each in waiting])

    def body(self) -> ComposeResult:
        """The question, and its answers."""
        yield Static(Content(tr(self._question)), id="question")
        with Horizontal(id="answers"):
            for way, said in _SAID.items():
                yield Button(tr(said), compact=True, id=way)

    def on_mount(self) -> None:
        """Enter alone changes nothing."""
        self.query_one(f"#{WAYS_OUT[-1]}", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Enter or a click."""
        event.stop()
        self.dismiss(event.button.id or WAYS_OUT[-1])

    def action_answer(self, way: str) -> None:
        """By its letter."""
        self.dismiss(way)
