"""What a laid-out text is made of. Owns rows and tables and how they fill a width; never reads Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from textual.content import Content
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions

LABEL = "\0"
"""Stands for a label in the plain text."""

Look = Mapping[str, Style]
"""The style behind each name such as ``muted`` or ``code``; the empty name is plain text."""


@dataclass(frozen=True)
class Row:
    """One line of text as written, however many lines of the screen it takes."""

    body: Content
    lead: str = ""
    """Stands before its first line: indentation, a bullet, a number."""
    hang: str = ""
    """Stands before the lines after it, as wide as ``lead``."""
    fill: str = ""
    """The style of the whole width, for code."""
    copies: str | None = None
    """Of a label, which is not of the text itself: what a click on it copies; empty while that is still written."""

    @property
    def plain(self) -> str:
        """The text, for copying; of a label one character that no text has."""
        return LABEL if self.copies is not None else self.lead + self.body.plain

    def rows(self, width: int) -> list[Row]:
        """Itself: a row wraps when drawn."""
        return [self]

    def marked(self, places: Sequence[tuple[int, int]], style: Style) -> Row:
        """The same with ``places`` of its body in ``style``."""
        body = self.body
        for start, end in places:
            body = body.stylize(style, start, end)
        return replace(self, body=body)

    def indented(self, lead: str, hang: str) -> Row:
        """The same row further in."""
        return replace(self, lead=lead + self.lead, hang=hang + self.hang)

    def strips(self, width: int, y: int, look: Look, selected: tuple[int, int] | None = None) -> list[Strip]:
        """Draw it ``width`` cells wide as the ``y``-th row; ``selected`` is the range of ``plain`` under the mouse."""
        room = self._room(width)
        strips = self._marked(look, selected).render_strips(room, None, look[self.fill], _options(look))
        return [self._placed(strip, index, room, y, look) for index, strip in enumerate(strips)]

    def fits(self, width: int) -> bool:
        """Whether it takes one line; asked before drawing, which costs ten times as much."""
        return self.body.cell_length <= self._room(width)

    def _room(self, width: int) -> int:
        return max(width - _cells(self.lead) - 2 * self._margin, 8)

    @property
    def _margin(self) -> int:
        """Cells on either side of the text of a filled row."""
        return 1 if self.fill else 0

    def _marked(self, look: Look, selected: tuple[int, int] | None) -> Content:
        if selected is None:
            return self.body
        start, end = selected
        end = len(self.plain) if end == -1 else end
        return self.body.stylize(look["selection"], max(0, start - len(self.lead)), max(0, end - len(self.lead)))

    def _placed(self, strip: Strip, index: int, room: int, y: int, look: Look) -> Strip:
        """One drawn line with what stands before it, and the offsets that Textual's text selection asks for."""
        first = next(iter(strip), None)
        x = first.style.meta["offset"][0] if first and first.style else 0
        body = strip.apply_offsets(len(self.lead) + x, y)
        if self.fill:
            filled = look[self.fill].rich_style
            body = Strip.join([Strip.blank(self._margin, filled), body.extend_cell_length(room + self._margin, filled)])
        lead = self.hang if index else self.lead
        if not lead:
            return body
        before = Content(lead).render_strips(_cells(lead), 1, look["muted"], _options(look))[0]
        return Strip.join([before.apply_offsets(0, y), body])


@dataclass(frozen=True)
class Table:
    """Cells in columns; how they wrap depends on the width."""

    header: Sequence[Content]
    body: Sequence[Sequence[Content]]
    sides: Sequence[str]
    """Of each column: ``right``, ``center``, or anything for left."""
    lead: str = ""

    _GAP = 2

    def indented(self, lead: str, hang: str) -> Table:
        """The same table further in."""
        return Table(self.header, self.body, self.sides, hang + self.lead)

    def rows(self, width: int) -> list[Row]:
        """Every line of the table fitted into ``width`` cells."""
        widths = self._widths(width - _cells(self.lead))
        rule = Content.styled((" " * self._GAP).join("─" * each for each in widths), "rule")
        header = [cell.stylize("strong") for cell in self.header]
        lines = [*self._lines(header, widths), rule]
        for cells in self.body:
            lines += self._lines(cells, widths)
        return [Row(line, self.lead, self.lead) for line in lines]

    def _widths(self, width: int) -> list[int]:
        """As wide as the widest cell; where that is too much, the widest columns give way first."""
        columns = list(zip(self.header, *self.body, strict=False))
        widths = [max(3, *(cell.cell_length for cell in column)) for column in columns]
        room = max(width - self._GAP * (len(widths) - 1), 3 * len(widths))
        while sum(widths) > room:
            widest = max(widths)
            next_widest = max((each for each in widths if each < widest), default=3)
            many = widths.count(widest)
            share = max(next_widest, widest - -(-(sum(widths) - room) // many), 3)
            widths = [share if each == widest else each for each in widths]
        return widths

    def _lines(self, cells: Sequence[Content], widths: Sequence[int]) -> list[Content]:
        wrapped = [cell.wrap(width) for cell, width in zip(cells, widths, strict=False)]
        gap = Content(" " * self._GAP)
        return [
            gap.join(
                _padded(lines[index] if index < len(lines) else Content(), width, side)
                for lines, width, side in zip(wrapped, widths, self.sides, strict=False)
            ).rstrip()
            for index in range(max(map(len, wrapped), default=0))
        ]


Block = Row | Table
EMPTY = Row(Content())


def _padded(content: Content, width: int, side: str) -> Content:
    room = max(0, width - content.cell_length)
    before = {"right": room, "center": room // 2}.get(side, 0)
    return content.pad_left(before).pad_right(room - before)


def _cells(text: str) -> int:
    return cell_len(text) if text else 0


def _options(look: Look) -> RenderOptions:
    return RenderOptions(lambda style: style if isinstance(style, Style) else look[style], {}, None, None)
