"""The saved conversations at the side. Owns their list by day; never opens, renames, moves or deletes one."""

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
from lora_chat.language import tr
from lora_chat.text import clean_line

_ARCHIVED = "archived"
"""The id of the line that folds what was put away; a conversation's has eight characters of other letters."""


class ConversationList(OptionList):
    """One line each: the pinned ones, then newest first under the day it was last written to, then the archive."""

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
        Binding("up,k", "cursor_up", "choose", show=False, tooltip="the one above", id="list.up"),
        Binding("down,j", "cursor_down", "choose", show=False, tooltip="the one below", id="list.down"),
        Binding("n", "new", "new", id="list.new"),
        Binding("r", "rename", "rename", id="list.rename"),
        Binding("p", "pin", "pin", id="list.pin"),
        Binding("p", "unpin", "unpin", id="list.pin"),
        Binding("a", "archive", "archive", id="list.archive"),
        Binding("a", "unarchive", "list again", id="list.archive"),
        Binding("d,delete", "delete", "delete", id="list.delete"),
        Binding("u", "undo", "undo", show=False, id="list.undo"),
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

    @dataclass
    class PinWanted(Message):
        """At the top, or no longer."""

        id: str

    @dataclass
    class ArchiveWanted(Message):
        """Put away, or listed again."""

        id: str

    class UndoWanted(Message):
        """What was deleted last back again."""

    class Left(Message):
        """Back to the prompt."""

    def __init__(self) -> None:
        super().__init__(id="conversations", markup=False)
        self._shown: tuple[Sequence[Conversation], Sequence[Conversation], str | None, datetime.date] | None = None
        self._by_id: dict[str, Conversation] = {}
        self._unfolded = False
        """Whether what was put away is in sight."""

    def show(
        self, conversations: Sequence[Conversation], current: str | None, archived: Sequence[Conversation] = ()
    ) -> None:
        """List ``conversations``, the open one marked, and fold ``archived``; the same again changes nothing."""
        today = datetime.datetime.now().date()
        if self._shown != (conversations, archived, current, today):
            self._shown = conversations, archived, current, today
            self._draw()

    def unfold(self) -> None:
        """Bring what was put away into sight, the newest of it looked at."""
        self._unfolded = True
        self._draw()
        if self._shown and self._shown[1]:
            self._look_at(self._shown[1][0].id)
            self.scroll_to_highlight()

    def _draw(self) -> None:
        if self._shown is None:
            return
        conversations, archived, current, today = self._shown
        looked_at, place = self._looked_at(), self.highlighted
        seen = [*conversations, *(archived if self._unfolded else ())]
        self._by_id = {each.id: each for each in seen}
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(list(_rows(conversations, current, today)))
            self.add_options(list(_archive(archived, current, unfolded=self._unfolded, under=bool(conversations))))
            # The open one is where choosing begins; what is chosen at the moment stays, or what takes its place.
            self._look_at(looked_at if self.has_focus else current or looked_at)
            if self.has_focus and self.highlighted is None:
                self._look_near(place or 0)
        self.refresh_bindings()

    def _look_near(self, place: int) -> None:
        """At what stands at ``place`` of the lines now, or else before it."""
        can = [at for at, option in enumerate(self.options) if not option.disabled]
        self.highlighted = next((at for at in can if at >= place), can[-1] if can else None)

    def on_focus(self) -> None:
        """Something is looked at, so that Enter opens it."""
        if self.highlighted is None:
            self.action_first()

    def on_option_list_option_highlighted(self) -> None:
        """What can be done with this one."""
        self.refresh_bindings()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        if event.option.id == _ARCHIVED:
            self._unfolded = not self._unfolded
            self._draw()
        elif event.option.id:
            self.post_message(self.OpenWanted(event.option.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done with the one looked at."""
        chosen = self._chosen()
        if action in ("rename", "delete"):
            return chosen is not None
        if action in ("pin", "unpin"):
            return chosen is not None and chosen.pinned is (action == "unpin")
        if action in ("archive", "unarchive"):
            return chosen is not None and chosen.archived is (action == "unarchive")
        return True

    async def action_new(self) -> None:
        """A new conversation."""
        await self.run_action("screen.new")

    def action_rename(self) -> None:
        """Of the one looked at."""
        if chosen := self._chosen():
            self.post_message(self.RenameWanted(chosen.id, chosen.title))

    def action_delete(self) -> None:
        """Of the one looked at."""
        if chosen := self._chosen():
            self.post_message(self.DeleteWanted(chosen.id, chosen.title))

    def action_pin(self) -> None:
        """To the top."""
        if chosen := self._chosen():
            self.post_message(self.PinWanted(chosen.id))

    def action_unpin(self) -> None:
        """No longer at the top."""
        self.action_pin()

    def action_archive(self) -> None:
        """Out of sight."""
        if chosen := self._chosen():
            self.post_message(self.ArchiveWanted(chosen.id))

    def action_unarchive(self) -> None:
        """Back among the others."""
        self.action_archive()

    def action_undo(self) -> None:
        """What was deleted last."""
        self.post_message(self.UndoWanted())

    def action_leave(self) -> None:
        """Back to the prompt."""
        self.post_message(self.Left())

    def _chosen(self) -> Conversation | None:
        return self._by_id.get(self._looked_at() or "")

    def _looked_at(self) -> str | None:
        return self.highlighted_option.id if self.highlighted_option else None

    def _look_at(self, id: str | None) -> None:
        if id is not None and id in self._id_to_option:
            self.highlighted = self.get_option_index(id)


def _rows(conversations: Sequence[Conversation], current: str | None, today: datetime.date) -> Iterator[Option]:
    if not conversations:
        yield Option(Content.styled(tr("Nothing yet: write a\nmessage, and it is kept."), "$text-muted"), disabled=True)
    day = ""
    for each in conversations:
        when = "Pinned" if each.pinned else day_of(each.updated_at, today)
        if when != day:
            if day:
                yield Option(Content(""), disabled=True)
            yield Option(Content.styled(tr(when), "$text-muted"), disabled=True)
            day = when
        yield _row(each, current)


def _archive(archived: Sequence[Conversation], current: str | None, *, unfolded: bool, under: bool) -> Iterator[Option]:
    """One line that folds what was put away, and that; nothing where nothing was. ``under``: others stand above."""
    if not archived:
        return
    if under:
        yield Option(Content(""), disabled=True)
    yield Option(Content.styled(f"{'▾' if unfolded else '▸'} {tr('Archived')}", "$text-muted"), id=_ARCHIVED)
    if unfolded:
        yield from (_row(each, current) for each in archived)


def _row(conversation: Conversation, current: str | None) -> Option:
    """The most telling mark, in colour where it is the open one, and its title."""
    is_open = conversation.id == current
    mark = "⊘" if conversation.never_train else "◆" if conversation.pinned else "●" if is_open else " "
    title = clean_line(conversation.title, 80) or tr("untitled")
    colour = "$primary" if is_open else "$text-muted" if mark != " " else ""
    return Option(Content.assemble((f"{mark} ", colour), (title, "bold" if is_open else "")), id=conversation.id)


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
    return tr("{0:%B} {0.year}").format(date)
