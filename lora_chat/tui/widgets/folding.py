"""A text area in which a long paste is folded. Owns that a label is one thing for keys and the mouse; never sends."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text
from textual import events
from textual.document._document import EditResult, Location, Selection
from textual.document._edit import Edit
from textual.widgets import TextArea

from lora_chat.language import tr
from lora_chat.tui.widgets.folds import Folds


class Folding(TextArea):
    """``text`` is what is shown, ``whole`` what was written."""

    _folds: Folds | None = None
    _told = False
    """Whether the person was told how to unfold."""

    @property
    def folds(self) -> Folds:
        """What stands for what; made when it is first asked for, since the text area shows lines before."""
        self._folds = self._folds or Folds()
        return self._folds

    @property
    def whole(self) -> str:
        """All that was written, with what is folded."""
        return self.folds.whole(self.text)

    def write(self, text: str) -> None:
        """Put ``text`` in, the cursor behind it; what was folded before is folded again."""
        self.text = self.folds.again(text)
        self.move_cursor(self.document.end)

    def put_in(self, text: str) -> None:
        """Paste ``text`` in the selection's place, folded where it is long."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if Folds.is_long(text):
            text = self.folds.fold(text, self.text)
            if not self._told:
                self._told = True
                self.notify(tr("ctrl+o, or a click on it, unfolds what was pasted."), timeout=5)
        if result := self._replace_via_keyboard(text, *self.selection):
            self.move_cursor(result.end_location)
            self.focus()

    def action_unfold(self) -> None:
        """Unfold what the cursor is at, else what is folded first."""
        row, column = self.cursor_location
        found = [span for span in self.folds.spans(self.document[row]) if span[0] <= column <= span[1]]
        places = [(row, *span) for span in found] or [
            (number, *span) for number, line in enumerate(self.document.lines) for span in self.folds.spans(line)
        ]
        if places:
            self._unfold(*places[0])

    def _unfold(self, row: int, begin: int, end: int) -> None:
        text = self.folds.unfold(self.document[row][begin:end])
        if result := self._replace_via_keyboard(text, (row, begin), (row, end)):
            self.move_cursor(result.end_location)

    def on_click(self, event: events.Click) -> None:
        """A click on a label unfolds it; a selection is none."""
        row, column = self.get_target_document_location(event)
        if self.selection.is_empty and row < self.document.line_count:
            for begin, end in self.folds.spans(self.document[row]):
                if begin <= column < end:
                    self._unfold(row, begin, end)
                    return

    # One thing

    def edit(self, edit: Edit) -> EditResult:
        """What would change a part of a label takes all of it; what would stand inside stands behind."""
        top, bottom = self._edges(edit.top), self._edges(edit.bottom)
        if edit.top == edit.bottom:
            edit = replace(edit, from_location=bottom[1], to_location=bottom[1])
        elif (top[0], bottom[1]) != (edit.top, edit.bottom):
            edit = replace(edit, from_location=top[0], to_location=bottom[1])
        return super().edit(edit)

    def _edges(self, place: Location) -> tuple[Location, Location]:
        """The begin and the end of the label that ``place`` is inside of; else the place itself, twice."""
        row, column = place
        if row < self.document.line_count:
            for begin, end in self.folds.spans(self.document[row]):
                if begin < column < end:
                    return (row, begin), (row, end)
        return place, place

    def _validate_selection(self, selection: Selection) -> Selection:
        """The cursor goes over a label in one step."""
        start, end = super()._validate_selection(selection)
        before = self.selection.end
        begin, behind = self._edges(end)
        end = begin if end < before else behind
        return Selection(end if selection.is_empty else self._edges(start)[0 if start < end else 1], end)

    def _recompute_cursor_offset(self) -> None:
        """Undo takes lines away before it moves the cursor: where a scrollbar goes then, Textual 8.2 would fail."""
        if self.cursor_location[0] < self.document.line_count:
            super()._recompute_cursor_offset()  # type: ignore[no-untyped-call]

    def get_line(self, line_index: int) -> Text:
        """A label looks like what it is."""
        line = super().get_line(line_index)
        for begin, end in self.folds.spans(line.plain):
            line.stylize("reverse", begin, end)
        return line
