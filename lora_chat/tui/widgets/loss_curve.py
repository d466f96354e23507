"""How the loss falls. Owns its drawing at any size; never computes a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from lora_chat.language import tr

_BARS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bits of a cell's four rows and two columns (Unicode 15, block U+2800)."""

Point = tuple[float, float]
"""(step, loss)."""


class LossCurve(Widget):
    """One row high: bars. Higher: a line over labelled axes, held-out losses as rings."""

    DEFAULT_CSS = """
    LossCurve { height: 1fr; width: 1fr; text-wrap: nowrap; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._losses: list[Point] = []
        self._heldout: list[Point] = []

    def show(self, losses: Sequence[float], heldout: Sequence[tuple[int, float]] = ()) -> None:
        """``losses`` one each step from the first; what is no finite number is left out."""
        self._losses = [(step, loss) for step, loss in enumerate(losses, 1) if math.isfinite(loss)]
        self._heldout = [(step, loss) for step, loss in heldout if math.isfinite(loss)]
        self.refresh()

    def render(self) -> Content:
        """At the size there is."""
        width, height = self.content_size
        if not (self._losses or self._heldout) or width < 1 or height < 1:
            return Content("")
        if height < 3 or width < 12:
            return Content.styled(bars([loss for _, loss in self._losses], width), "$primary")
        return Content("\n").join(_plot(self._losses, self._heldout, width, height))


def bars(losses: Sequence[float], width: int) -> str:
    """At most ``width`` blocks, each the mean of its share of ``losses``, the highest of them full."""
    shown = _shares(losses, width) if len(losses) > width else losses
    most = max(shown, default=0.0)
    return "".join(_BARS[min(max(int(loss / (most or 1.0) * 8), 0), 7)] for loss in shown)


def _shares(losses: Sequence[float], count: int) -> list[float]:
    edges = [at * len(losses) // count for at in range(count + 1)]
    return [sum(losses[begin:end]) / (end - begin) for begin, end in pairwise(edges)]


def _plot(losses: Sequence[Point], heldout: Sequence[Point], width: int, height: int) -> Iterator[Content]:
    """Lines from the top: the plot with its loss axis, then the step axis."""
    points = [*losses, *heldout]
    low, high = _span([loss for _, loss in points])
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    rows = height - 1
    labels = _labels(low, high, rows)
    margin = max(map(len, labels.values()))
    field = _Field(width - margin - 2, rows, (first, last), (low, high))
    for row, cells in enumerate(field.draw(losses, heldout)):
        label = labels.get(row, "")
        yield Content.assemble(
            (f"{label:>{margin}} ", "$text-muted"), ("┤" if label else "│", "$border-blurred"), cells
        )
    yield Content(" " * (margin + 2)) + _steps(first, last, width - margin - 2, bool(heldout))


def _span(losses: Sequence[float]) -> tuple[float, float]:
    """From 0 where that does not flatten the curve."""
    low, high = min(losses), max(losses)
    low = 0.0 if 0 <= low < high / 2 else low
    return (low, high) if high > low else (max(low - 0.5, 0.0) if low >= 0 else low - 0.5, high + 0.5)


def _labels(low: float, high: float, rows: int) -> dict[int, str]:
    """Row -> the loss there: top and bottom, and the middle where there is room for one."""
    at = [0, rows - 1] if rows < 5 else [0, (rows - 1) // 2, rows - 1]
    digits = 2 if high - low >= 0.05 else 3
    # Adding nothing turns the -0.0 of a rounding into 0.0.
    return {row: f"{round(high - (high - low) * row / (rows - 1), digits) + 0.0:.{digits}f}" for row in at}


def _steps(first: float, last: float, width: int, legend: bool) -> Content:
    begin, end = f"{first:.0f}", tr(f"step {last:.0f}")
    if first == last or cell_len(begin + end) + 2 > width:
        return Content.styled(end, "$text-muted").truncate(width)
    middle = (
        Content.assemble((tr("─ train"), "$primary"), "   ", (tr("○ held out"), "$foreground"))
        if legend
        else Content("")
    )
    room = width - cell_len(begin + end)
    middle = middle if middle.cell_length + 4 <= room else Content("")
    left = (room - middle.cell_length) // 2
    right = room - middle.cell_length - left
    return Content.assemble((begin, "$text-muted"), " " * left, middle, " " * right, (end, "$text-muted"))


class _Field:
    """The cells between the axes: two by four dots each."""

    def __init__(self, width: int, height: int, steps: tuple[float, float], losses: tuple[float, float]) -> None:
        self._width, self._height = width, height
        self._steps, self._losses = steps, losses
        self._bits = [[0] * width for _ in range(height)]

    def draw(self, losses: Sequence[Point], heldout: Sequence[Point]) -> Iterator[Content]:
        """Line by line."""
        dots = [self._dot(point) for point in losses]
        for begin, end in pairwise(dots):
            self._line(begin, end)
        for dot in dots[:1]:
            self._set(*dot)
        rings = {(y // 4, x // 2) for x, y in map(self._dot, heldout)}
        for row, bits in enumerate(self._bits):
            at = [column for column in range(self._width) if (row, column) in rings]
            yield _cells(bits, at)

    def _dot(self, point: Point) -> tuple[int, int]:
        (first, last), (low, high) = self._steps, self._losses
        across = (point[0] - first) / (last - first) if last > first else 0.0
        down = (high - point[1]) / (high - low)
        return round(across * (self._width * 2 - 1)), round(down * (self._height * 4 - 1))

    def _line(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Every dot between two."""
        length = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
        for at in range(length + 1):
            share = at / length
            x, y = begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share
            self._set(round(x), round(y))

    def _set(self, x: int, y: int) -> None:
        self._bits[y // 4][x // 2] |= _DOTS[y % 4][x % 2]


def _cells(bits: Sequence[int], rings: Sequence[int]) -> Content:
    """One line of the field, rings at these columns."""
    signs = [chr(0x2800 + each) if each else " " for each in bits]
    for column in rings:
        signs[column] = "○"
    line = Content("".join(signs)).stylize("$primary")
    for column in rings:
        line = line.stylize("$foreground", column, column + 1)
    return line
