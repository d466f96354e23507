"""The saved conversations at the side. Owns their list by day; never opens, renames or deletes one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lora_chat.chat.conversation import Conversation
from lora_chat.text import clean_line


class ConversationList(OptionList):
    """One line each, newest first, under the day it was last written to."""

    DEFAULT_CSS = """
    ConversationList {
        width: 30;
        height: 1fr;
        border: none;
        border-right: solid $border-blurred;
        padding: 0 0 0 1;
        background: $background;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        scrollbar-size-vertical: 1;
        &:focus { border: none; border-right: solid $primary; background-tint: 0%; }
        & > .option-list--option-disabled { color: $text-muted; text-style: none; }
        & > .option-list--option-highlighted { background: transparent; color: $foreground; text-style: none; }
        &:focus > .option-list--option-highlighted { background: $surface; color: $foreground; text-style: none; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "open", id="list.open"),
        Binding("k", "cursor_up", show=False),
        Binding("j", "cursor_down", show=False),
        Binding("n", "new", "new", id="list.new"),
        Binding("r", "rename", "rename", id="list.rename"),
        Binding("d,delete", "delete", "delete", id="list.delete"),
        Binding("escape", "leave", "back", id="list.back"),
    ]

    @dataclass
    class OpenWanted(Message):
        """One was chosen."""

        id: str

    @dataclass
    class RenameWanted(Message):
        """Another title is wanted."""

        id: str
        title: str

    @dataclass
    class DeleteWanted(Message):
        """It should go."""

        id: str
        title: str

    class Left(Message):
        """Back to the prompt."""

    def __init__(self) -> None:
        super().__init__(id="conversations", markup=False)
        self._shown: tuple[Sequence[Conversation], str | None, datetime.date] | None = None
        self._titles: dict[str, str] = {}

    def show(self, conversations: Sequence[Conversation], current: str | None) -> None:
        """List ``conversations``, the open one marked; the same again changes nothing."""
        today = datetime.datetime.now().date()
        if self._shown == (conversations, current, today):
            return
        self._shown = conversations, current, today
        self._titles = {each.id: each.title for each in conversations}
        looked_at = self._chosen()
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(list(_rows(conversations, current, today)))
            # The open one is where choosing begins; what is chosen at the moment stays.
            self._look_at(looked_at if self.has_focus and looked_at in self._titles else current or looked_at)
        if self.has_focus and self.highlighted is None:  # what was looked at is gone
            self.action_first()

    def on_focus(self) -> None:
        """Something is looked at, so that Enter opens it."""
        if self.highlighted is None:
            self.action_first()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        if event.option.id:
            self.post_message(self.OpenWanted(event.option.id))

    async def action_new(self) -> None:
        """A new conversation."""
        await self.run_action("screen.new")

    def action_rename(self) -> None:
        """Of the one looked at."""
        if id := self._chosen():
            self.post_message(self.RenameWanted(id, self._titles.get(id, "")))

    def action_delete(self) -> None:
        """Of the one looked at."""
        if id := self._chosen():
            self.post_message(self.DeleteWanted(id, self._titles.get(id, "")))

    def action_leave(self) -> None:
        """Back to the prompt."""
        self.post_message(self.Left())

    def _chosen(self) -> str | None:
        return self.highlighted_option.id if self.highlighted_option else None

    def _look_at(self, id: str | None) -> None:
        if id in self._titles:
            self.highlighted = self.get_option_index(id)


_MARKS = {
    (False, False): ("  ", ""),
    (False, True): ("● ", "$primary"),
    (True, False): ("⊘ ", "$text-muted"),
    (True, True): ("⊘ ", "$primary"),
}
"""By whether it is never trained on, and whether it is the open one."""


def _rows(conversations: Sequence[Conversation], current: str | None, today: datetime.date) -> Iterator[Option]:
    if not conversations:
        yield Option(Content.styled("Nothing yet: write a\nmessage, and it is kept.", "$text-muted"), disabled=True)
    day = ""
    for each in conversations:
        when = day_of(each.updated_at, today)
        if when != day:
            if day:
                yield Option(Content(""), disabled=True)
            yield Option(Content.styled(when, "$text-muted"), disabled=True)
            day = when
        mark = _MARKS[each.never_train, each.id == current]
        title = clean_line(each.title, 80) or "untitled"
        yield Option(Content.assemble(mark, (title, "bold" if each.id == current else "")), id=each.id)


def day_of(at: float, today: datetime.date) -> str:
    """The heading that a time in Unix seconds stands under."""
    date = datetime.datetime.fromtimestamp(at).date()
    days = (today - date).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days < 7:
        return "This week"
    if (date.year, date.month) == (today.year, today.month):
        return "This month"
    return date.strftime("%B %Y")
