"""Rows laid out at one width in one look. Owns the drawn lines and which row each belongs to; never reads text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style

from lora_chat.chat.words import spans
from lora_chat.tui.rows import Block, Row

Mark = tuple[int, int]
"""How many rows and lines a page has."""


class Page:
    """Rows, to which more can be added and from whose end some can be taken back; drawn when first looked at."""

    def __init__(self, width: int, look: Mapping[str, Style], words: Sequence[str] = ()) -> None:
        """``words`` are marked wherever they stand."""
        self.width = width
        self.look = look
        self._words = words
        self._rows: list[Row] = []
        self._starts: list[int] = []
        """The first line of each row."""
        self._lines: list[int] = []
        """The row of each line."""
        self._drawn: dict[int, list[Strip]] = {}
        self._nothing = look[""].rich_style

    @property
    def mark(self) -> Mark:
        """The present end, for ``cut``."""
        return len(self._rows), len(self._lines)

    @property
    def height(self) -> int:
        """Lines."""
        return len(self._lines)

    @property
    def first_found(self) -> int | None:
        """The line where the first of the words stands, as nearly as the text before it says; None where none does."""
        for row, start in zip(self._rows, self._starts, strict=True):
            text = row.body.plain
            if found := spans(text, self._words):
                return start + self._lines.count(self._lines[start]) * found[0][0] // len(text)
        return None

    @property
    def plain(self) -> str:
        """The text with one line a row: what text selection counts in."""
        return "\n".join(row.plain for row in self._rows)

    def cut(self, mark: Mark) -> None:
        """Take back everything after ``mark``."""
        rows, lines = mark
        for number in range(rows, len(self._rows)):
            self._drawn.pop(number, None)
        del self._rows[rows:], self._starts[rows:], self._lines[lines:]

    def add(self, blocks: Iterable[Block]) -> None:
        """Lay out ``blocks`` at the end."""
        for block in blocks:
            for row in block.rows(self.width):
                number = len(self._rows)
                self._rows.append(row)
                self._starts.append(len(self._lines))
                self._lines += [number] * (1 if row.fits(self.width) else len(self._strips(number)))

    def row_at(self, y: int) -> Row | None:
        """The row that the ``y``-th line belongs to."""
        return self._rows[self._lines[y]] if 0 <= y < len(self._lines) else None

    def line(self, y: int, selection: Selection | None) -> Strip:
        """The ``y``-th line, with what of it the mouse has selected."""
        if y >= len(self._lines):
            return Strip.blank(self.width, self._nothing)
        number = self._lines[y]
        span = selection.get_span(number) if selection else None
        strips = self._draw(number, span) if span else self._strips(number)
        return strips[y - self._starts[number]]

    def _strips(self, number: int) -> list[Strip]:
        if number not in self._drawn:
            self._drawn[number] = self._draw(number, None)
        return self._drawn[number]

    def _draw(self, number: int, span: tuple[int, int] | None) -> list[Strip]:
        row = self._rows[number]
        if self._words:
            row = row.marked(spans(row.body.plain, self._words), self.look["found"])
        strips = row.strips(self.width, number, self.look, span)
        return [strip.adjust_cell_length(self.width, self._nothing) for strip in strips]
