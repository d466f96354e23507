"""A window without colours, for ``NO_COLOR`` (no-color.org). Owns taking them out of each line; never chooses one.

Textual's own filter turns colours into greys, which are colour codes too. Here none is left: what stands on a light
ground, as a cursor or a bar, is reversed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor

LIGHT = 0.25
"""Grounds that are brighter, of 1, are reversed: cursors, selections and scroll bars."""


@lru_cache(4096)
def colourless(style: Style) -> Style:
    """``style`` with what a terminal of one colour can show: bold, italic, underline, strike and reverse."""
    light = style.bgcolor is not None and Color.from_rich_color(style.bgcolor).brightness > LIGHT
    return Style(
        bold=style.bold or None,
        italic=style.italic or None,
        underline=style.underline or None,
        strike=style.strike or None,
        reverse=(light != bool(style.reverse)) or None,
        meta=style.meta or None,
    )


class Colourless(LineFilter):
    """No segment leaves the window with a colour."""

    def among(self, filters: Sequence[LineFilter]) -> list[LineFilter]:
        """``filters`` with this one in the place of Textual's own."""
        return [*(each for each in filters if not isinstance(each, Monochrome | NoColor)), self]

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return ``segments`` without colours."""
        return [
            Segment(text, None if style is None else colourless(style), control) for text, style, control in segments
        ]
