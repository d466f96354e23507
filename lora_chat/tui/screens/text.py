"""A text of somebody else. Owns showing it as it is, broken where the panel ends; never reads marks in it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.pane import Pane

_TAB = 4


class TextScreen(DetailsScreen):
    """What a plugin's command gave."""

    def __init__(self, title: str, aside: str, text: str) -> None:
        PanelScreen.__init__(self, title, aside)
        self._text = text

    def body(self) -> ComposeResult:
        """All of it."""
        with Pane():
            yield Static(Content(self._text.expandtabs(_TAB)))
