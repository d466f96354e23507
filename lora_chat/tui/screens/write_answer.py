"""The answer a person wanted. Owns the place where it is written; keeping it is others' work."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static, TextArea

from lora_chat.text import clean
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.pane import HEIGHTS, Pane

WHAT_FOLLOWS = "Your answer takes its place; the old one is kept beside it. /train from-history learns from yours."
UNKEPT = "What you wrote is not kept yet: ctrl+s keeps it, esc again throws it away."
UNCHANGED = "That is its own answer: write the one you wanted, or go back and rate it good."
REFUSED = "An empty answer teaches nothing: write one, or go back."


class WriteAnswer(PanelScreen[str | None]):
    """The question, and an editor with an answer to begin with."""

    DEFAULT_CSS = """
    WriteAnswer {
        #panel { height: 80%; }
        &.-tiny #panel { height: 100%; max-height: 100%; }
        &.-tiny #question { display: none; }
        &.-tiny TextArea { min-height: 2; }
        #question { max-height: 5; margin-bottom: 1; color: $text-muted; }
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
        Binding("ctrl+s,ctrl+enter", "keep", "keep", id="write.keep", priority=True),
        Binding("escape", "back", "back", id="write.back"),
    ]

    def __init__(self, question: str, answer: str, wanted: str = "") -> None:
        """``wanted`` stands in the editor instead of ``answer`` where there is one."""
        super().__init__("The answer you wanted")
        self._question = clean(question).strip()
        self._answer = clean(answer).strip()
        self._begins_with = clean(wanted or answer)
        self._warned = False

    def body(self) -> ComposeResult:
        """What was asked above what should have been said."""
        with Pane(id="question", can_focus=False):
            yield Static(Content(self._question))
        yield TextArea(self._begins_with, soft_wrap=True, tab_behavior="focus", show_line_numbers=False)
        yield Static(WHAT_FOLLOWS, classes="said", markup=False)
        yield Static(REFUSED, classes="refused", markup=False)

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
            self._refuse(REFUSED)
        elif text == self._answer:
            self._refuse(UNCHANGED)
        else:
            self.dismiss(text)

    def action_back(self) -> None:
        """What was written goes only when that is said twice."""
        changed = self.query_one(TextArea).text not in (self._begins_with, "")
        if changed and not self._warned:
            self._warned = True
            self._refuse(UNKEPT)
        else:
            self.dismiss(None)

    def _refuse(self, why: str) -> None:
        refused = self.query_one(".refused", Static)
        refused.update(why)
        refused.display = bool(why)
        self.query_one(".said").display = not why
