"""The last line of defence. Owns the filter every drawn line passes; never decides what a widget shows.

Widgets clean what they are given; this filter holds where one forgets. The app installs one instance for its life::

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._harmless]

It must be the same instance each time: Textual caches a filtered line by it.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from lora_chat.text import clean

_MARK = "\N{REPLACEMENT CHARACTER}"


@lru_cache(4096)
def harmless(text: str) -> str:
    """Return ``text`` with nothing in it that ``clean`` removes, as wide in cells as it was measured before.

    What had a width is replaced by one mark a cell, what had none is dropped: the line keeps its length.
    """
    return "".join(each if clean(each) == each and each not in "\n\t" else _MARK * cell_len(each) for each in text)


@lru_cache(4096)
def _unlinked(style: Style) -> Style:
    """``style`` without a terminal hyperlink: its address would be written to the terminal inside an OSC sequence."""
    return style.update_link(None)


class Harmless(LineFilter):
    """No segment leaves the app with a control, C1, bidi, tag or zero-width format character, or with a hyperlink."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return ``segments``, itself where all are harmless, which is nearly always (0.1 µs a segment)."""
        for text, style, control in segments:
            if control or not text.isprintable() or (style is not None and style.link):
                return [self._one(segment) for segment in segments]
        return segments

    @staticmethod
    def _one(segment: Segment) -> Segment:
        text, style, _ = segment
        if style is not None and style.link:
            style = _unlinked(style)
        return Segment(text if text.isprintable() else harmless(text), style)
