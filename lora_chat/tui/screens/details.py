"""Facts, each with its name. Owns their layout; never where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.language.facts import tr_fact
from lora_chat.text import clean, clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.columns import facts
from lora_chat.tui.widgets.pane import Pane

_LONGEST = len("repetition_penalty")
"""Cells of a name: one that is typed must be read whole."""


class DetailsScreen(PanelScreen[None]):
    """An adapter's facts, or an exchange in full."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "close", id="details.close"),
    ]

    def __init__(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        super().__init__(tr(title))
        self._rows = [tr_fact(name, fact, title) for name, fact in rows]

    def body(self) -> ComposeResult:
        """Aligned; a long fact goes on below itself."""
        rows = [(clean_line(name), clean(fact).strip()) for name, fact in self._rows]
        with Pane():
            yield Static(facts(rows, longest=_LONGEST))
