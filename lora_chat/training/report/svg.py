"""The strokes of a picture. Owns how text, lines and numbers become SVG; never knows what a figure means.

Text is cut by an estimate of its width, since whoever opens the picture has fonts of their own.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from lora_chat.text import clean_line

Point = tuple[float, float]

_NO_XML = re.compile("[\ufffe\uffff]")
"""What the cleaning leaves and XML forbids."""
_NARROW = frozenset("iljtfrI.,;:!|'()[] ·")
_WIDE = frozenset("mwMW@%—✓✗")
_BOLD = 1.12
"""How much wider."""


def text(
    x: float, y: float, words: str, kind: str = "", *, size: float = 13, room: float = 0, end: bool = False
) -> str:
    """One line at its baseline; with ``room`` cut to that many pixels; ``end``: ``x`` is its right edge."""
    words = fitted(words, room, size * (_BOLD if "strong" in kind else 1)) if room else plain(words)
    anchor = ' text-anchor="end"' if end else ""
    at = f'x="{digits(x)}" y="{digits(y)}" font-size="{digits(size)}"{anchor}'
    return f"<text {at} class={quoteattr(kind)}>{escape(words)}</text>"


def middle(x: float, y: float, words: str, kind: str = "", *, size: float = 11) -> str:
    """One line around ``x``."""
    return text(x, y, words, kind, size=size).replace("<text ", '<text text-anchor="middle" ', 1)


def box(x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> str:
    """A filled box."""
    at = f'x="{digits(x)}" y="{digits(y)}" width="{digits(max(width, 0))}" height="{digits(height)}"'
    return f'<rect {at} rx="{digits(radius)}" class={quoteattr(kind)}/>'


def line(begin: Point, end: Point, kind: str) -> str:
    """A straight one."""
    (x1, y1), (x2, y2) = begin, end
    return f'<line x1="{digits(x1)}" y1="{digits(y1)}" x2="{digits(x2)}" y2="{digits(y2)}" class={quoteattr(kind)}/>'


def curve(points: Sequence[Point], kind: str) -> str:
    """A line through all of them."""
    return f'<polyline points="{" ".join(f"{digits(x)},{digits(y)}" for x, y in points)}" class={quoteattr(kind)}/>'


def dot(at: Point, radius: float, kind: str) -> str:
    """A round one."""
    return f'<circle cx="{digits(at[0])}" cy="{digits(at[1])}" r="{digits(radius)}" class={quoteattr(kind)}/>'


def plain(words: str) -> str:
    """One line of what XML can hold."""
    return _NO_XML.sub("", clean_line(words))


def width(words: str, size: float) -> float:
    """Pixels that ``words`` take, more rather than less."""
    return size * sum(map(_em, words))


def _em(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    if letter in _NARROW:
        return 0.4
    return 1.02 if letter in _WIDE else 0.74 if letter.isupper() else 0.62


def fitted(words: str, room: float, size: float) -> str:
    """``words``, cut with an ellipsis where they are wider than ``room``."""
    words = plain(words)
    if width(words, size) <= room:
        return words
    left, kept = room - width("…", size), 0
    for letter in words:
        left -= width(letter, size)
        if left < 0:
            break
        kept += 1
    return words[:kept].rstrip() + "…"


def wrapped(words: str, room: float, size: float, most: int) -> list[str]:
    """At most ``most`` lines, broken between words; what is left over is cut."""
    lines: list[str] = []
    for word in plain(words).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (width(longer, size) <= room or len(lines) == most):
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(each, room, size) for each in lines]


def digits(value: float) -> str:
    """A coordinate: as few as can be seen."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count`` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(each * unit for each in (1, 2, 2.5, 5, 10) if each * unit >= rough)
    first = math.ceil(low / step - 1e-9)
    return [step * at for at in range(first, math.floor(high / step + 1e-9) + 1)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most ``most`` points, each the mean of its share."""
    if len(points) <= most:
        return list(points)
    return list(_means(points, [at * len(points) // most for at in range(most + 1)]))


def _means(points: Sequence[Point], edges: Sequence[int]) -> Iterator[Point]:
    for begin, end in pairwise(edges):
        share = points[begin:end]
        yield sum(x for x, _ in share) / len(share), sum(y for _, y in share) / len(share)
