"""Another text in the place of one that was said. Owns where it is written; what comes of it is others' work."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static, TextArea

from lora_chat.language import tr
from lora_chat.text import clean
from lora_chat.tui.keymap import told
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.pane import HEIGHTS, Pane


class Writing(PanelScreen[str | None]):
    """An editor with a text to begin with, and above it what that belongs to, if anything."""

    HEADING: ClassVar[str]
    FOLLOWS: ClassVar[str]
    """What comes of it."""
    EMPTY: ClassVar[str]
    UNCHANGED: ClassVar[str]
    UNKEPT: ClassVar[str]
    """Why it is not taken, or not left, yet."""

    DEFAULT_CSS = """
    Writing {
        #panel { height: 80%; }
        &.-tiny #panel { height: 100%; max-height: 100%; }
        &.-tiny #above { display: none; }
        &.-tiny TextArea { min-height: 2; }
        #above { max-height: 5; margin-bottom: 1; color: $text-muted; }
        TextArea {
            height: 1fr;
            min-height: 4;
            margin: 0 1;
            padding: 0 1;
            border: none;
            background: $surface;
            &:focus { border: none; background-tint: transparent; }
            & .text-area--cursor-line { background: transparent; }
        }
        #panel > .said, #panel > .refused { margin: 1 1 0 1; }
    }
    """

    VERTICAL_BREAKPOINTS = HEIGHTS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="write.back"),
    ]

    def __init__(self, above: str, text: str, begins_with: str = "") -> None:
        """``begins_with`` stands in the editor instead of ``text`` where there is one."""
        super().__init__(tr(self.HEADING))
        self._above = clean(above).strip()
        self._text = clean(text).strip()
        self._begins_with = clean(begins_with or text)
        self._warned = False

    def body(self) -> ComposeResult:
        """From the top."""
        if self._above:
            with Pane(id="above", can_focus=False):
                yield Static(Content(self._above))
        yield TextArea(self._begins_with, soft_wrap=True, tab_behavior="focus", show_line_numbers=False)
        yield Static(told(self, self.FOLLOWS), classes="said", markup=False)
        yield Static(tr(self.EMPTY), classes="refused", markup=False)

    def on_mount(self) -> None:
        """Ready to go on writing."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)
        area.focus()

    def on_text_area_changed(self) -> None:
        """A refusal holds until something is written."""
        self._warned = False
        self._refuse("")

    def action_keep(self) -> None:
        """Unless there is nothing to keep."""
        text = clean(self.query_one(TextArea).text).strip()
        if not text:
            self._refuse(self.EMPTY)
        elif text == self._text:
            self._refuse(self.UNCHANGED)
        else:
            self.dismiss(text)

    def action_back(self) -> None:
        """What was written goes only when that is said twice."""
        changed = self.query_one(TextArea).text not in (self._begins_with, "")
        if changed and not self._warned:
            self._warned = True
            self._refuse(self.UNKEPT)
        else:
            self.dismiss(None)

    def _refuse(self, why: str) -> None:
        refused = self.query_one(".refused", Static)
        refused.update(told(self, why))
        refused.display = bool(why)
        self.query_one(".said").display = not why
