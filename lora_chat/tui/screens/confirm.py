"""Yes or no. Owns the question's look and which answer is the easier one; never what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Button, Static

from lora_chat.language import tr
from lora_chat.language.facts import tr_fact
from lora_chat.text import clean, clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.columns import facts
from lora_chat.tui.widgets.pane import HEIGHTS, Pane


class About(Pane):
    """What a question is about; the question needs room below it."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A panel is as high as what is in it says: ``max-height`` would leave blank rows below the answers."""
        return min(super().get_content_height(container, viewport, width), viewport.height * 45 // 100)


class ConfirmScreen(PanelScreen[bool]):
    """One question, two buttons; above it what it is about, where that is said."""

    VERTICAL_BREAKPOINTS = HEIGHTS

    DEFAULT_CSS = """
    ConfirmScreen {
        #panel { width: 64; }
        #panel > Headline { display: none; }
        #question { height: auto; margin: 1 1 1 1; }
        #answers { height: 1; margin: 0 1; }
        &.-loses Button#yes:focus { background: $error; }
        &.-about #panel { width: 90; max-height: 100%; }
        #about { margin-top: 1; }
        &.-tiny {
            #panel { max-height: 100%; max-width: 100%; }
            #about { max-height: 2; margin: 0; }
            #question { margin: 0 1; }
            KeysLine { height: 1; padding: 0 1; }
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,escape", "answer(False)", "no", id="confirm.no"),
        Binding(
            "left", "app.focus_previous", "choose", key_display="← →", tooltip="the answer before", id="confirm.left"
        ),
        Binding("right", "app.focus_next", "choose", show=False, tooltip="the next answer", id="confirm.right"),
        Binding("up", "scroll(-1)", "scroll", key_display="↑ ↓", tooltip="scroll up", id="confirm.up"),
        Binding("down", "scroll(1)", "scroll", show=False, tooltip="scroll down", id="confirm.down"),
    ]

    def __init__(
        self,
        question: str,
        yes: str = "yes",
        no: str = "no",
        loses: bool = False,
        about: Sequence[tuple[str, str]] = (),
    ) -> None:
        """``loses``: something would be gone for good, so doing nothing is the easier answer."""
        super().__init__("")
        self._question, self._yes, self._no, self._loses, self._about = question, yes, no, loses, about

    def body(self) -> ComposeResult:
        """What it is about, the question, and its answers."""
        if self._about:
            with About(id="about", can_focus=False):
                rows = [tr_fact(name, fact) for name, fact in self._about]
                yield Static(facts([(clean_line(name), clean(fact)) for name, fact in rows]))
        yield Static(Content(clean(tr(self._question))), id="question")
        with Horizontal(id="answers"):
            yield Button(Content(clean_line(tr(self._yes), 24)), compact=True, id="yes")
            yield Button(Content(clean_line(tr(self._no), 24)), compact=True, id="no")

    def on_mount(self) -> None:
        """Enter alone loses nothing."""
        self.set_class(self._loses, "-loses")
        self.set_class(bool(self._about), "-about")
        self.query_one("#no" if self._loses else "#yes", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Enter or a click."""
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_scroll(self, rows: int) -> None:
        """Through what it is about."""
        self.query_one("#about", Pane).scroll_relative(y=rows, animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where everything is in sight there is nothing to scroll."""
        return action != "scroll" or any(pane.max_scroll_y > 0 for pane in self.query(Pane))

    def action_answer(self, agreed: bool) -> None:
        """By its letter."""
        self.dismiss(agreed)
