"""Where something was said. Owns the search box and its hits; never searches: it asks, and is told."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lora_chat.chat.search import Hit, words_of
from lora_chat.chat.words import spans
from lora_chat.language import tr
from lora_chat.text import clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Column, Columns

NOTHING_TYPED = "Type words: every title and message that holds all of them is found, newest first."
NOTHING_FOUND = "Nothing was said with these words. Fewer words, or the beginning of the last one, find more."

_COLUMNS = (Column(), Column(12, right=True))


class SearchScreen(PanelScreen[tuple[Hit, str] | None]):
    """Hits as one types; Enter goes to the one looked at, and tells the words it was found by."""

    DEFAULT_CSS = """
    SearchScreen {
        #panel { height: 80%; max-height: 30; }
        Input { margin: 0 1 1 1; width: 1fr; background: transparent; &:focus { background-tint: transparent; } }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="search.open", priority=True),
        Binding("up", "move(-1)", "choose", key_display="↑ ↓", tooltip="the one above", id="search.up", priority=True),
        Binding("down", "move(1)", "choose", show=False, tooltip="the one below", id="search.down", priority=True),
        Binding("escape", "dismiss", "back", id="search.back"),
    ]

    @dataclass
    class SearchWanted(Message):
        """``show`` wants to be told where ``text`` was said."""

        text: str

    def __init__(self, text: str = "", hits: Sequence[Hit] = ()) -> None:
        super().__init__(tr("Search everything that was said"))
        self._text, self._hits = text, hits

    def body(self) -> ComposeResult:
        """The box above what it finds."""
        yield Input(clean_line(self._text), placeholder=tr("words"), compact=True, select_on_focus=False)
        yield Choices()
        yield Static("", classes="said", markup=False)

    def on_mount(self) -> None:
        """What came along."""
        self._typed = self.query_one(Input).value
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Ask; what is found for other words meanwhile comes too late."""
        if event.value != self._typed:
            self._typed = self._text = event.value
            self.post_message(self.SearchWanted(event.value))

    def show(self, text: str, hits: Sequence[Hit]) -> None:
        """The answer to ``text``, unless other words stand there now."""
        if text == self._text:
            self._hits = hits
            if self.is_mounted:
                self._draw()

    def _draw(self) -> None:
        rows, said = self.query_one(Choices), self.query_one(".said", Static)
        rows.set_options([Option(_row(hit, self._text)) for hit in self._hits])
        rows.highlighted = 0 if self._hits else None
        rows.display, said.display = bool(self._hits), not self._hits
        said.update(tr(NOTHING_FOUND if self._text.strip() else NOTHING_TYPED))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without hits there is nothing to open."""
        return action not in ("choose", "move") or bool(self._hits)

    def action_move(self, step: int) -> None:
        """Look at another hit."""
        rows = self.query_one(Choices)
        rows.action_cursor_down() if step > 0 else rows.action_cursor_up()

    def action_choose(self) -> None:
        """The one looked at."""
        at = self.query_one(Choices).highlighted
        if at is not None:
            self.dismiss((self._hits[at], self._text))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss((self._hits[event.option_index], self._text))


def _row(hit: Hit, text: str) -> Columns:
    words = words_of(text)
    title = Content(clean_line(hit.conversation.title, 200) or tr("untitled"))
    snippet = Content.styled(clean_line(hit.snippet), "$text-muted")
    if hit.message is None:
        title, snippet = _marked(title, words), Content.styled(tr("the title"), "$text-muted")
    when = Content.styled(spoken_time(hit.at), "$text-muted")
    away = ("  " + tr("archived"), "$text-muted") if hit.conversation.archived else ""
    return Columns(_COLUMNS, [(Content.assemble(title, away), when), (_marked(snippet, words), "")])


def _marked(content: Content, words: Sequence[str]) -> Content:
    for start, end in spans(content.plain, words):
        content = content.stylize("bold $foreground", start, end)
    return content


def spoken_time(at: float, now: datetime.datetime | None = None) -> str:
    """``today 14:03``, ``12 Nov``, ``12 Nov 2024``; ``at`` in Unix seconds."""
    then, now = datetime.datetime.fromtimestamp(at), now or datetime.datetime.now()
    if then.date() == now.date():
        return tr(f"today {then:%H:%M}")
    how = "{0.day} {0:%b}" if then.year == now.year else "{0.day} {0:%b} {0.year}"
    return tr(how).format(then)
