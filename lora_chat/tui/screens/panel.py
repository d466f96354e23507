"""A panel over the dimmed talk. Owns the look that all of them share; what is in one is its own file's."""

from __future__ import annotations

from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine

Answer = TypeVar("Answer")


class PanelScreen(Beneath[Answer], ModalScreen[Answer]):
    """A title, something, and its keys; the title is in the person's language already where it holds their words."""

    DEFAULT_CSS = """
    PanelScreen {
        align: center middle;
        background: $background 70%;
        #panel {
            width: 90;
            max-width: 95%;
            height: auto;
            max-height: 80%;
            padding: 0 1;
            border: round $border-blurred;
            background: $background;
        }
        #panel > Headline { margin-bottom: 1; }
        #panel > KeysLine { dock: bottom; height: 2; padding: 1 1 0 1; }
        #panel > .said { height: auto; margin: 0 1; color: $text-muted; }
        #panel > .refused { height: auto; margin: 0 1; color: $error; display: none; }
        Pane { padding: 0 1; }
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
    }
    """

    def __init__(self, title: str, aside: str = "") -> None:
        super().__init__()
        self._title, self._aside = title, aside

    def compose(self) -> ComposeResult:
        """From the top."""
        with Vertical(id="panel"):
            yield Headline(self._title, self._aside)
            yield from self.body()
            yield KeysLine()

    def body(self) -> ComposeResult:
        """What stands between title and keys."""
        raise NotImplementedError
