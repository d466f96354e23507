"""Where a line may be broken in text without spaces. Owns that for Chinese and Japanese; lays nothing out.

Textual breaks at spaces alone: a Chinese sentence behind a name went to the next line whole, and a comma could begin
one. Between two wide characters a line may end, but not before a closing sign nor behind an opening one (GB/T 15834).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich._wrap import divide_line
from rich.cells import cell_len, chop_cells
from textual import content

_OPEN, _CLOSE = "（《「『“‘【〈", "，。、；：？！）》」』”’】〉…,.;:?!)"
_WIDE = "\u2e80-\u303f\u3040-\u9fff\uf900-\ufaff\uff00-\uffef"
_HAS_WIDE = re.compile(f"[{_WIDE}]")
_ATOM = re.compile(f"[{_OPEN}]*(?:[{_WIDE}]|[^\\s{_WIDE}{_OPEN}]+)[{_CLOSE}]*\\s*|\\s+|.", re.DOTALL)
"""One wide character, or a word of others, with the signs that stay with it."""


def divided(text: str, width: int, fold: bool = True) -> list[int]:
    """Offsets, in characters, at which ``text`` is broken to fit ``width`` cells; as Textual where nothing is wide."""
    if not fold or _HAS_WIDE.search(text) is None:
        return divide_line(text, width, fold)
    breaks, taken = list[int](), 0
    for at, atom in _atoms(text):
        bare = cell_len(atom.rstrip())
        if taken and taken + bare > width:
            breaks.append(at)
            taken = 0
        if bare > width:
            *before, last = chop_cells(atom, width)
            for each in before:
                at += len(each)
                breaks.append(at)
            taken = cell_len(last)
        else:
            taken += cell_len(atom)
    return breaks


def _atoms(text: str) -> Iterator[tuple[int, str]]:
    yield from ((found.start(), found[0]) for found in _ATOM.finditer(text))


def break_anywhere() -> None:
    """Have everything that Textual lays out broken so."""
    content.divide_line = divided  # type: ignore[attr-defined]
