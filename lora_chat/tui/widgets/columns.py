"""Cells side by side. Owns their widths and wrapping, at whatever width there is; never knows what a cell means.

Every list and table of the screens is drawn by it, so all of them align the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from textual.content import Content
from textual.css.styles import RulesMap
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

Cell = Content | str
"""A string is shown as it is, never as markup."""


@dataclass(frozen=True)
class Column:
    """How wide one column is, in cells."""

    width: int = 0
    """0 takes a share of what the others leave."""
    share: float = 1.0
    wraps: bool = False
    """Whether a long cell goes on in the next line; else it is cut with an ellipsis."""
    right: bool = False
    """Aligned to the right."""


class Columns(Visual):
    """Rows of cells; a ``Static`` and an ``Option`` take it as their content."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], gap: int = 2) -> None:
        self._columns = columns
        self._rows = rows
        self._gap = gap
        self._laid_out: tuple[int, list[Content]] = (-1, [])

    def lines(self, width: int) -> list[Content]:
        """Every line at ``width`` cells."""
        if self._laid_out[0] != width:
            widths = self._widths(width)
            self._laid_out = (width, [line for row in self._rows for line in self._row(row, widths)])
        return self._laid_out[1]

    def _widths(self, width: int) -> list[int]:
        rest = width - self._gap * (len(self._columns) - 1) - sum(column.width for column in self._columns)
        shares = sum(column.share for column in self._columns if not column.width) or 1.0
        widths = [column.width or max(int(rest * column.share / shares), 1) for column in self._columns]
        if widths and not self._columns[-1].width:  # what rounding left over
            widths[-1] = max(width - self._gap * (len(widths) - 1) - sum(widths[:-1]), 1)
        return widths

    def _row(self, row: Sequence[Cell], widths: Sequence[int]) -> Iterator[Content]:
        cells = [_fit(cell, column, width) for cell, column, width in zip(row, self._columns, widths, strict=True)]
        for at in range(max(map(len, cells))):
            parts = [
                _padded(lines[at] if at < len(lines) else Content(""), width, column.right)
                for lines, column, width in zip(cells, self._columns, widths, strict=True)
            ]
            yield Content(" " * self._gap).join(parts)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """All there is."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """In lines."""
        if not any(column.wraps for column in self._columns):
            return len(self._rows)  # without laying out a thousand rows of which twenty are seen
        return len(self.lines(width))

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """Draw it."""
        lines = self.lines(width)
        return Content("\n").join(lines).render_strips(width, height, style, options) if lines else []


class Unseen(Visual):
    """One line of columns that is made once it is looked at: of a thousand rows twenty are."""

    def __init__(self, make: Callable[[], Columns]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Columns:
        return self._make()

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """All there is."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """One line."""
        return 1

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """Draw it."""
        return self._made.render_strips(width, height, style, options)


def _fit(cell: Cell, column: Column, width: int) -> list[Content]:
    content = Content(cell) if isinstance(cell, str) else cell
    if column.wraps:
        return content.wrap(width) or [Content("")]
    return [content.truncate(width, ellipsis=True)]


def _padded(line: Content, width: int, right: bool) -> Content:
    gap = max(width - line.cell_length, 0)
    return line.pad_left(gap) if right else line.pad_right(gap)


def widest(texts: Sequence[str], most: int) -> int:
    """Cells the widest of ``texts`` takes, at most ``most``: for a column that fits its content."""
    return min(max((Content(text).cell_length for text in texts), default=1) or 1, most)


def facts(rows: Sequence[tuple[str, Cell]], longest: int = 14) -> Columns:
    """Names in muted words and what each of them is, wrapped; both in the person's language already."""
    width = widest([name for name, _ in rows], longest)
    columns = [Column(width), Column(wraps=True)]
    return Columns(columns, [(Content.styled(name, "$text-muted"), fact) for name, fact in rows], gap=3)
