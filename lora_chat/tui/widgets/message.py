"""One message of the transcript. Owns what is shown of it; never changes it.

Everything in a message is foreign: it is cleaned, and reaches Textual as ``Content``, which is never read as markup.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message as TextualMessage
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import Static

from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.language import tr
from lora_chat.text import clean, clean_line
from lora_chat.tui.theme import accent_in
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.question import Question
from lora_chat.tui.widgets.saying import Saying

CUT = "── the base reads from here on: its context was full ──"
"""The mark above the first message that is still in the prompt."""

LEAST_LINES = 3
"""What a message takes at least: who speaks, a line of text, and the margin."""


@dataclass(frozen=True)
class Shown:
    """A message and its place among the answers to the same prompt."""

    message: Message
    place: int = 1
    """Which sibling it is, from 1."""
    of: int = 1
    """How many siblings there are."""
    is_first_read: bool = False
    """Whether the base reads from here on, as what stands above no longer fits its context."""

    @property
    def is_answer(self) -> bool:
        """Whether it can be edited, rated and asked for again."""
        return self.message.role is Role.ASSISTANT

    @property
    def is_question(self) -> bool:
        """Whether it can be asked in other words."""
        return self.message.role is Role.USER

    @property
    def is_streaming(self) -> bool:
        """Whether it is still being written."""
        return self.message.status is Status.STREAMING

    @property
    def worn(self) -> str | None:
        """The adapter that wrote it; what the person wrote in its place is theirs."""
        return self.message.adapter if self.message.edited_from is None and self.is_answer else None


class MessageView(Widget):
    """A label, the text, and one quiet line on how it ended; above it, where the context is cut, a mark."""

    DEFAULT_CSS = """
    MessageView {
        layout: vertical;
        width: 1fr;
        height: auto;
        margin: 0 1 1 1;
        padding: 0 1 0 2;
        &.-worn { border-left: wide $text-muted; padding: 0 1 0 1; }
        &.-selected { background: $surface; }
        & > Static { width: 1fr; height: auto; color: $text-muted; }
        & > .cut { text-align: center; margin-bottom: 1; background: $background; }
        & > .foot { display: none; }
        & > .foot.-said { display: block; }
        & > .foot.-failed { color: $text-error; }
    }
    """

    class Clicked(TextualMessage):
        """The mouse chose it."""

        def __init__(self, message_id: int) -> None:
            super().__init__()
            self.message_id = message_id

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self.shown = shown
        self._waits_for = ""
        self._head = Head(shown)
        text, done = shown.message.content, not shown.is_streaming
        self._body: Saying | Question | Body
        if shown.is_answer:
            self._body = Saying(text, done=done)
        else:
            self._body = Question(text) if shown.is_question else Body(text, markdown=False, done=done)
        self._foot = Static(classes="foot", markup=False)
        self._cut: Static | None = None

    def compose(self) -> ComposeResult:
        """Label, text, figures."""
        yield self._head
        yield self._body
        yield self._foot

    def on_mount(self) -> None:
        """The edge's colour depends on whether the screen is dark."""
        self.app.theme_changed_signal.subscribe(self, self._recolour)
        self._draw()

    def on_click(self) -> None:
        """A click anywhere on it chooses it."""
        self.post_message(self.Clicked(self.shown.message.id))

    @property
    def text(self) -> str:
        """The text as it stands on the screen."""
        return self._body.text

    @property
    def has_thought(self) -> bool:
        """Whether something was thought before it."""
        return isinstance(self._body, Saying) and bool(self._body.thought)

    @property
    def codes(self) -> list[str]:
        """The blocks of code in it that are whole."""
        return self._body.codes

    def code(self, number: int) -> str | None:
        """The block of that number, from 1; None where there is none."""
        return self._body.code(number)

    def turn_thought(self) -> None:
        """Unfold what was thought, or fold it again."""
        if isinstance(self._body, Saying):
            self._body.turn()

    @property
    def has_folded(self) -> bool:
        """Whether some of a question is folded: a file, or the rest of what is long."""
        return isinstance(self._body, Question) and bool(self._body.folded)

    def turn_folded(self) -> None:
        """Unfold that, or fold it again."""
        if isinstance(self._body, Question):
            self._body.turn()

    def mark(self, text: str) -> int | None:
        """Mark the words of ``text``; the line of this widget where the first stands, None where none is seen."""
        body = self._body.body if isinstance(self._body, Saying) else self._body
        line = body.mark(text)
        return None if line is None else body.region.y - self.region.y + line

    def show(self, shown: Shown) -> None:
        """Show a newer state of the message, or another in its place; what is the same is not drawn again."""
        if shown == self.shown:
            return
        was, self.shown = self.shown, shown
        goes_on = shown.is_streaming and not was.is_streaming
        text = clean(shown.message.content)
        behind = shown.is_streaming and self._body.text.startswith(text)
        if goes_on or (text != self._body.text and not behind):
            self._body.set(text, done=not shown.is_streaming)
        elif was.is_streaming and not shown.is_streaming:
            self._body.close()
        self._draw()

    def grow(self, text: str) -> None:
        """Append ``text`` to the answer that is being written."""
        self._body.grow(text)
        if self._foot.has_class("-said"):
            self._draw_foot()

    def end(self, shown: Shown) -> None:
        """The answer is finished."""
        self._body.close()
        self.show(shown)

    def wait_for(self, reason: str) -> None:
        """Say what an answer without a word yet is waiting for."""
        self._waits_for = reason
        self._draw_foot()

    def _recolour(self, _theme: Theme) -> None:
        self._draw()

    def _draw(self) -> None:
        worn = self.shown.worn
        self.set_class(worn is not None, "-worn")
        self._draw_cut()
        if worn is not None:
            self.styles.border_left = ("wide", accent_in(worn, self.app.current_theme))
        self._head.show(self.shown)
        self._draw_foot()

    def _draw_cut(self) -> None:
        if self.shown.is_first_read and self._cut is None:
            self._cut = Static(Content(tr(CUT)), classes="cut", markup=False)
            self.mount(self._cut, before=self._head)
        elif not self.shown.is_first_read and self._cut is not None:
            self._cut.remove()
            self._cut = None

    def _draw_foot(self) -> None:
        waits = self.shown.is_streaming and not self._body.text
        said = f"… {clean_line(tr(self._waits_for))}" if waits else outcome(self.shown.message)
        self._foot.update(Content(said))
        self._foot.set_class(bool(said), "-said")
        self._foot.set_class(self.shown.message.status is Status.FAILED, "-failed")


class Head(Widget):
    """Who speaks, on the left; which of several answers and how it was rated, on the right."""

    DEFAULT_CSS = """
    Head { width: 1fr; height: 1; color: $text-muted; }
    """

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown

    def show(self, shown: Shown) -> None:
        """Show another state."""
        self._shown = shown
        self.refresh()

    def render(self) -> Content:
        """The label, and the marks at the right end; a long name gives way to the marks."""
        marks = self._marks()
        room = max(8, self.size.width - cell_len(marks) - 1)
        label = self._label().truncate(room, ellipsis=True)
        return Content.assemble(label.pad_right(max(0, room - label.cell_length + 1)), marks)

    def _label(self) -> Content:
        message = self._shown.message
        if message.role is not Role.ASSISTANT:
            return Content(tr("you" if message.role is Role.USER else "system"))
        if message.edited_from is not None:
            return Content.assemble((tr("you wrote"), "$text"), f" {tr('in place of an answer')}")
        if message.adapter is None:
            return Content(clean_line(message.base or tr("assistant")))
        scale = "" if message.scale in (None, 1.0) else f" ×{message.scale:g}"
        accent = accent_in(message.adapter, self.app.current_theme)
        return Content.assemble((clean_line(message.adapter), f"bold {accent}"), scale)

    def _marks(self) -> str:
        siblings = f"‹{self._shown.place}/{self._shown.of}›" if self._shown.of > 1 else ""
        rating = self._shown.message.rating
        return "  ".join(filter(None, (siblings, tr(rating.value) if rating else "")))


def outcome(message: Message) -> str:
    """How the writing of an answer ended, in one line; empty while it is written, and for what the person wrote."""
    match message.status:
        case Status.STOPPED | Status.INTERRUPTED:
            return tr(message.status.value)
        case Status.FAILED:
            return f"✗ {clean_line(tr(message.error or 'the engine failed'))}"
        case Status.DONE if message.finish_reason == "length":
            return tr(f"cut off at {message.generated_tokens or 0:,} tokens")
        case Status.DONE if message.generated_tokens is not None:
            return tr(f"{message.generated_tokens:,} token{'' if message.generated_tokens == 1 else 's'}")
    return ""
