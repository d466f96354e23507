"""One answer among several. Owns how its column looks as it is written and once it has ended; never asks or keeps.

Everything in it is foreign: it is cleaned, and reaches Textual as ``Content``, which is never read as markup.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import Static

from lora_chat.chat.conversation import Status
from lora_chat.language import tr
from lora_chat.session import Draft
from lora_chat.sitting.columns import Answered, Column
from lora_chat.text import clean_line
from lora_chat.tui.theme import accent_in
from lora_chat.tui.widgets.pane import Pane
from lora_chat.tui.widgets.saying import Saying
from lora_chat.tui.widgets.status_line import spoken_speed


class AnswerColumn(Vertical):
    """Who answers, the answer, and one quiet line on how it ended; a long answer is scrolled."""

    DEFAULT_CSS = """
    AnswerColumn {
        height: auto;
        padding: 0 1 0 2;
        &.-worn { border-left: wide $text-muted; padding: 0 1 0 1; }
        &:focus-within { background: $surface; }
        AnswerPane { height: auto; scrollbar-gutter: stable; scrollbar-size-horizontal: 0; }
        &:focus-within AnswerPane { scrollbar-background: $surface; }
        .foot { height: 1; color: $text-muted; }
        .why { height: auto; color: $text-error; display: none; }
        .why.-said { display: block; }
    }
    """

    def __init__(self, column: Column) -> None:
        super().__init__(classes="-worn" if column.wearing else "")
        self.column = column
        self.ended: Answered | None = None
        """How it ended; None while it waits and is written."""
        self._head = ColumnHead(column)
        self._body = Saying(done=False)
        self._why = Static(classes="why", markup=False)
        self._pane = AnswerPane(self._body, self._why)
        self._foot = Static(tr("waiting"), classes="foot", markup=False)

    def compose(self) -> ComposeResult:
        """Name, text, figures."""
        yield self._head
        yield self._pane
        yield self._foot

    def on_mount(self) -> None:
        """The edge's colour depends on whether the screen is dark."""
        self.app.theme_changed_signal.subscribe(self, self._recolour)
        self._recolour(self.app.current_theme)

    def on_click(self) -> None:
        """A click anywhere on it chooses it."""
        self.choose()

    @property
    def text(self) -> str:
        """The answer as it stands on the screen."""
        return self._body.text

    @property
    def saying(self) -> Saying:
        """The answer, and what was thought before it."""
        return self._body

    @property
    def can_be_marked(self) -> bool:
        """Whether it is whole and says something."""
        return self.ended is not None and self.ended.can_be_marked

    @property
    def is_chosen(self) -> bool:
        """Whether the keys are its own."""
        return self._pane.has_focus

    def choose(self) -> None:
        """The keys are its own from here on."""
        self._pane.focus()

    def fit(self, height: int) -> None:
        """Take at most ``height`` rows."""
        self._pane.styles.max_height = max(height - 2, 1)  # the name and the figures are always seen

    def begin(self) -> None:
        """It is its turn."""
        self._foot.update(tr("writing…"))

    def grow(self, text: str) -> None:
        """Append ``text``; what is read already stays where it is."""
        self._body.grow(text)

    def end(self, ended: Answered) -> None:
        """There is no more to come."""
        self.ended = ended
        self._body.close()
        if ended.failure is not None:
            self._why.update(Content(f"✗ {clean_line(tr(str(ended.failure)))}"))
            self._why.add_class("-said")
        self._foot.update(Content(_outcome(ended)))

    def _recolour(self, theme: Theme) -> None:
        if self.column.wearing:
            self.styles.border_left = ("wide", accent_in(self.column.who, theme))
        self._head.refresh()


class AnswerPane(Pane):
    """As high as its answer; what its column has no room for is scrolled."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All of it beside the scrollbar, which is there or may come: how high it may be, the column says."""
        return VerticalScroll.get_content_height(self, container, viewport, width - self.scrollbar_gutter.right)


class ColumnHead(Widget):
    """Who answers on the left, in the adapter's own colour; what tells it from the same one on the right."""

    DEFAULT_CSS = """
    ColumnHead { height: 1; text-wrap: nowrap; }
    """

    def __init__(self, column: Column) -> None:
        super().__init__()
        self._column = column

    def render(self) -> Content:
        """A long name gives way."""
        column, width = self._column, self.content_size.width
        aside = Content.styled(tr(column.at), "$text-muted")
        style = f"bold {accent_in(column.who, self.app.current_theme)}" if column.wearing else "$text-muted"
        scale = "" if column.scale == 1 else f" ×{column.scale:g}"
        room = max(width - aside.cell_length - len(scale) - 1, 1)
        name = Content.styled(clean_line(column.who), style).truncate(room, ellipsis=True) + Content(scale)
        return Content.assemble(name, " " * max(width - name.cell_length - aside.cell_length, 0), aside)


def _outcome(ended: Answered) -> str:
    if ended.failure is not None:
        return tr("failed")
    if ended.draft is None:
        return tr("not asked")
    return tr("stopped") if ended.draft.status is Status.STOPPED else _figures(ended.draft)


def _figures(draft: Draft) -> str:
    """``31 tok/s · 41 tokens``."""
    speed, tokens = draft.came.get("tokens_per_second"), draft.came.get("generated_tokens") or 0
    counted = f"{tokens:,} token{'' if tokens == 1 else 's'}"
    length = tr(f"cut off at {counted}" if draft.came.get("finish_reason") == "length" else counted)
    empty = "" if draft.text else tr("an empty answer")
    return " · ".join(filter(None, (spoken_speed(speed) if speed is not None else "", length, empty)))
