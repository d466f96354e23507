"""Long lines in a terminal. Owns where they are broken, in cells; never decides how wide the terminal is."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60\U00020000-\U0003fffd"
_PIECE = re.compile(rf" +|[（“‘《]*[{_WIDE}][，。；：？！、）”’》…]*|[^ {_WIDE}]+[，。；：？！、）》…]*")
"""What is not broken: a word, a run of spaces, and a wide letter with the signs that belong to it."""


def fold(line: str, width: int, indent: int = 0) -> str:
    """``line`` in lines of at most ``width`` cells, where no word is longer; later ones begin at column ``indent``.

    Between Chinese letters it is broken anywhere, but not before a sign that ends a clause. A wide letter takes two
    cells.
    """
    return ("\n" + " " * indent).join(_lines(line, width, indent))


def _lines(line: str, width: int, indent: int) -> Iterator[str]:
    from rich.cells import cell_len

    now, room = "", width
    for piece in _PIECE.findall(line):
        if now.strip() and cell_len(now) + cell_len(piece.rstrip(" ")) > room:
            yield now.rstrip(" ")
            now, room = "", width - indent
            piece = piece.lstrip(" ")
        now += piece
    yield now.rstrip(" ")
