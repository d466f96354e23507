"""Yes or no. Owns the question's look and which answer is the easier one; never what follows."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from lora_chat.text import clean, clean_line
from lora_chat.tui.screens.panel import PanelScreen


class ConfirmScreen(PanelScreen[bool]):
    """One question, two buttons."""

    DEFAULT_CSS = """
    ConfirmScreen {
        #panel { width: 64; }
        #panel > Headline { display: none; }
        #question { height: auto; margin: 1 1 1 1; }
        #answers { height: 1; margin: 0 1; }
        Button {
            height: 1;
            min-width: 8;
            width: auto;
            padding: 0 2;
            margin-right: 2;
            background: $panel;
            color: $foreground;
            text-style: none;
            &:hover { background: $panel; }
            &:focus { background: $primary; color: $background; text-style: bold !important; }
            &.-active { tint: transparent; }
        }
        &.-loses Button#yes:focus { background: $error; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,escape", "answer(False)", "no", id="confirm.no"),
        Binding("left", "app.focus_previous", "choose", key_display="← →", id="confirm.left"),
        Binding("right", "app.focus_next", "choose", show=False, id="confirm.right"),
    ]

    def __init__(self, question: str, yes: str = "yes", no: str = "no", loses: bool = False) -> None:
        """``loses``: something would be gone for good, so doing nothing is the easier answer."""
        super().__init__("")
        self._question, self._yes, self._no, self._loses = question, yes, no, loses

    def body(self) -> ComposeResult:
        """The question above its answers."""
        yield Static(Content(clean(self._question)), id="question")
        with Horizontal(id="answers"):
            yield Button(Content(clean_line(self._yes, 24)), compact=True, id="yes")
            yield Button(Content(clean_line(self._no, 24)), compact=True, id="no")

    def on_mount(self) -> None:
        """Enter alone loses nothing."""
        self.set_class(self._loses, "-loses")
        self.query_one("#no" if self._loses else "#yes", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Enter or a click."""
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, agreed: bool) -> None:
        """By its letter."""
        self.dismiss(agreed)
