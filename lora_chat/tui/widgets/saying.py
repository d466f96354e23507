"""An answer on the screen: what was thought before it, folded, and what was said. Owns which of the two a piece is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.events import Click
from textual.widget import Widget
from textual.widgets import Static

from lora_chat.chat.thought import may_think, parted
from lora_chat.language import tr
from lora_chat.text import clean
from lora_chat.tui.widgets.body import LONGEST_SHOWN, Body
from lora_chat.tui.widgets.follows import stay_around


class Fold(Static):
    """One line that a click or a key opens."""

    DEFAULT_CSS = """
    Fold {
        width: 1fr;
        height: auto;
        color: $text-muted;
        margin-bottom: 1;
        &:hover { color: $text; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.thought = ""
        self._is_open, self._unfolded = False, False

    def show(self, thought: str, *, is_open: bool) -> None:
        """Another text; ``is_open`` while it is still being thought."""
        self.thought, self._is_open = thought, is_open
        self._draw()

    def turn(self) -> None:
        """Unfold it, or fold it again; what is still being thought goes on at its end."""
        if not self._is_open:
            stay_around(self)
        self._unfolded = not self._unfolded
        self._draw()

    def on_click(self, event: Click) -> None:
        """The line is its own key; the message is chosen all the same."""
        self.turn()

    def _draw(self) -> None:
        what = tr("thinking" if self._is_open else "thought")
        if self._unfolded:
            self.update(Content(f"▾ {what}\n{self.thought[:LONGEST_SHOWN]}"))
        else:
            self.update(Content(tr(f"▸ {what}, {len(self.thought):,} characters")))


class Saying(Widget):
    """The fold and the body below it, fed as one text."""

    DEFAULT_CSS = """
    Saying { layout: vertical; width: 1fr; height: auto; }
    """

    def __init__(self, text: str = "", *, done: bool = True) -> None:
        super().__init__()
        self._fold: Fold | None = None
        """Only where something was thought: a window has many messages."""
        self._body = Body(done=False)
        self.set(text, done=done)

    def compose(self) -> ComposeResult:
        """The thought stands before the answer."""
        if self._fold is not None:
            yield self._fold
        yield self._body

    @property
    def text(self) -> str:
        """All of it, cleaned."""
        return self._text

    @property
    def codes(self) -> list[str]:
        """The blocks of code in what was said."""
        return self._body.codes

    def code(self, number: int) -> str | None:
        """The block of that number in what was said, from 1; None where there is none."""
        return self._body.code(number)

    @property
    def body(self) -> Body:
        """What was said."""
        return self._body

    @property
    def thought(self) -> str:
        """What was thought; empty where nothing was."""
        return self._fold.thought if self._fold is not None else ""

    def set(self, text: str, *, done: bool = True) -> None:
        """Show ``text``; more may follow where it is not ``done``."""
        self._text = clean(text)
        parts = parted(self._text)
        self._thinks = not done and may_think(self._text)
        self._show_thought(parts.thought)
        self._body.set("" if self._thinks else parts.answer, done=done)
        self._begun = not parts.thought or bool(parts.answer)

    def grow(self, text: str) -> None:
        """Append ``text``."""
        text = clean(text)
        if not self._thinks:
            self._text += text
            piece = text if self._begun else text.lstrip()
            self._begun = self._begun or bool(piece)
            self._body.grow(piece)
        elif may_think(self._text + text):
            self._text += text
            self._show_thought(parted(self._text).thought)
        else:
            self.set(self._text + text, done=False)

    def close(self) -> None:
        """There is no more to come; only now is a thought known whose beginning the template wrote."""
        if self._thinks or parted(self._text).thought != self.thought:
            self.set(self._text)
        else:
            self._body.close()

    def turn(self) -> None:
        """Unfold what was thought, or fold it again."""
        if self._fold is not None:
            self._fold.turn()

    def _show_thought(self, thought: str) -> None:
        if thought and self._fold is None:
            self._fold = Fold()
            if self.is_attached:
                self.mount(self._fold, before=self._body)
        elif self._fold is not None and not thought:
            self._fold.remove()
            self._fold = None
        if self._fold is not None:
            self._fold.show(thought, is_open=self._thinks)
