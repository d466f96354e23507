"""The base models, one row each. Owns their columns, filter and look; what choosing one means is the screen's own."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets.option_list import Option

from lora_chat.language import tr
from lora_chat.models.installed import Problem
from lora_chat.sitting.base_words import HEAD, MORE, NUMBERS, cells, more_cells
from lora_chat.sitting.bases import Choice, Choices
from lora_chat.text import clean_line
from lora_chat.tui.widgets import choices as rows
from lora_chat.tui.widgets.columns import Column, Columns, widest

Row = Choice | Problem

_GAP = 2
_LONGEST = 26
"""Cells of a name."""
_COLUMNS = (*HEAD, *MORE)
_ANSWERS, _ELSE = "● ", "  "
_REFUSED = {"tight": "$warning", "no": "$error"}


class BaseList(rows.Choices):
    """Those on this machine, those that could come, then what is none; the first line names the columns."""

    def __init__(self) -> None:
        super().__init__(keeps_focus=True)
        self._rows: list[Row] = []
        self._choices: Choices | None = None
        self._answering = self._typed = ""
        self._coming: tuple[str, str] = ("", "")

    def show(self, found: Choices, answering: str) -> None:
        """What there is now; the same one stays looked at."""
        self._choices, self._answering = found, answering
        self._draw()

    def filter(self, typed: str) -> None:
        """Only what ``typed`` can mean."""
        self._typed = typed
        self._draw()

    def show_coming(self, name: str, part: str) -> None:
        """So far is the one that is being brought; empty: none is."""
        if (name, part) != self._coming:
            self._coming = (name, part)
            self._draw()

    def look_at(self, name: str) -> None:
        """Look at the one called ``name``, where it is there."""
        names = [name_of(row) for row in self._rows]
        if name in names:
            self.highlighted = names.index(name)

    @property
    def looked_at(self) -> Row | None:
        """The one looked at."""
        at = self.highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows."""
        return not self._rows

    @property
    def head(self) -> Columns:
        """The names of the columns, as wide as they are now."""
        columns = self._columns()
        first, *others = _heads()
        names = [f"{_ELSE}{first}", *others][: len(columns)]
        return Columns(columns, [[_muted(name) for name in names]])

    def on_resize(self) -> None:
        """Another width has other columns."""
        self._draw()

    def _draw(self) -> None:
        if self._choices is None:
            return
        at, before = self.highlighted, name_of(self.looked_at)
        wanted = self._typed.strip().casefold()
        self._rows = [each for each in self._choices.bases if wanted in f"{each.name} {each.lineage}".casefold()]
        self._rows += [each for each in self._choices.problems if wanted in each.path.name.casefold()]
        columns = self._columns()
        self.set_options([Option(Columns(columns, [self._row(row, columns)])) for row in self._rows])
        names = [name_of(row) for row in self._rows]
        if self._rows:
            self.highlighted = names.index(before) if before in names else min(at or 0, len(names) - 1)

    def _columns(self) -> tuple[Column, ...]:
        """Each as wide as what is in it, as many as there is room for."""
        shown = [self._cells(row) for row in self._rows if isinstance(row, Choice)]
        fitting: list[Column] = []
        left = self.scrollable_content_region.width - 2
        for at, name in enumerate(_heads()):
            width = widest([name, *(row[at] for row in shown)], _LONGEST) + (len(_ELSE) if at == 0 else 0)
            if width > left and at > 1:
                break
            fitting.append(Column(width, right=at in NUMBERS))
            left -= width + _GAP
        return tuple(fitting)

    def _cells(self, choice: Choice) -> list[str]:
        more = more_cells(choice)
        named, *figures = [*cells(choice), *(more[name] for name in MORE)]
        found = [clean_line(cell, 60) for cell in (named, *map(tr, figures))]
        name, part = self._coming
        if choice.base is None and name and name == choice.name:
            found[1] = tr(part)
        return found

    def _row(self, row: Row, columns: Sequence[Column]) -> Sequence[Content]:
        if isinstance(row, Problem):
            called = Content.styled(f"{_ELSE}{clean_line(row.path.name, 60)}", "$text-muted")
            broken = [called, Content.styled(tr("broken"), "$error"), *[Content("")] * (len(columns) - 2)]
            return broken[: len(columns)]
        name, *rest = self._cells(row)
        answers = row.base is not None and row.name == self._answering
        mark = Content.styled(_ANSWERS, "$primary") if answers else Content(_ELSE)
        quiet = "" if row.base is not None else "$text-muted"
        looks = {1: _REFUSED.get(row.chat, quiet), 2: _REFUSED.get(row.train, quiet)}
        styled = [Content.styled(cell, looks.get(at, quiet)) for at, cell in enumerate(rest)]
        return [Content.assemble(mark, (name, quiet)), *styled][: len(columns)]


def name_of(row: Row | None) -> str:
    """What it is called."""
    return "" if row is None else row.name if isinstance(row, Choice) else row.path.name


def _heads() -> list[str]:
    """The names of the columns."""
    return [tr(name.lower()) for name in _COLUMNS]


def _muted(text: str) -> Content:
    return Content.styled(text, "$text-muted")
