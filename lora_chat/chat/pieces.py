"""Where a Markdown text may be cut. Owns the cuts; never reads what is inside a piece.

A reply grows by a few characters at a time, and reading all of it anew each time is what makes streaming slow. So it is
cut into pieces that can each be read alone: at a blank line followed by an unindented one, at each item of a list that
is not indented, and around a code fence. Only the last piece still changes. A finished text is cut the same way, so it
looks the same whether it was streamed or loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})[ \t]*([^\s`{]*)")
_ITEM = re.compile(r"(?:[-*+]|(\d{1,9})([.)]))(?:[ \t]|$)")
_INTERRUPTS = re.compile(r"(?:[-*+]|1[.)])[ \t]+\S")
"""Only such an item may follow a paragraph without a blank line (CommonMark 5.2)."""


class Kind(Enum):
    """How a piece is to be read."""

    TEXT = "text"
    ITEM = "item"
    FENCE = "fence"


@dataclass
class Piece:
    """A part of a Markdown text that is read alone."""

    kind: Kind
    lines: list[str]
    """Without line ends; a fence holds its content only, neither the opening nor the closing line."""
    spaced: bool
    """A blank line stands before it."""
    language: str = ""
    """What the fence says it holds."""
    number: int | None = None
    """The number of an ordered item, counted on from the item before as CommonMark does."""


class Pieces:
    """A Markdown text that grows."""

    def __init__(self) -> None:
        self.closed: list[Piece] = []
        """What no longer changes."""
        self.open: Piece | None = None
        """What the next character may still change."""
        self._rest = ""
        self._fence = ""
        self._indent = 0
        self._blank = False
        self._delimiter = ""

    def feed(self, text: str) -> None:
        """Append ``text``."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """There is no more to come."""
        rest, self._rest = self._rest, ""
        if rest:
            self._take(rest)
        self._end()

    @property
    def tail(self) -> Piece | None:
        """The open piece with the unfinished line, or None where there is neither."""
        if self.open is None:
            return Piece(Kind.TEXT, [self._rest], self._blank) if self._rest else None
        closes = self._fence and not self._rest.strip().strip(self._fence[0])  # half a closing line is no code
        rest = self._inside(self._rest) if self._fence else self._rest
        return replace(self.open, lines=[*self.open.lines] if closes else [*self.open.lines, rest])

    def _take(self, line: str) -> None:
        if self._fence:
            self._take_code(line)
        elif (opening := _FENCE.match(line)) and not (self._in_item and line[:1] == " "):
            self._begin(Kind.FENCE, [], language=opening[3])
            self._fence, self._indent = opening[2], len(opening[1])
        elif not line.strip():
            self._take_blank()
        else:
            self._take_text(line)

    def _take_code(self, line: str) -> None:
        bare = line.strip()
        if bare and len(bare) >= len(self._fence) and set(bare) == {self._fence[0]}:
            self._fence = ""
            self._end()
        elif self.open:
            self.open.lines.append(self._inside(line))

    def _inside(self, line: str) -> str:
        """A line of code without what the fence itself stands in (CommonMark 4.5)."""
        return line[min(len(line) - len(line.lstrip(" ")), self._indent) :]

    def _take_blank(self) -> None:
        self._blank = True
        if self.open:
            self.open.lines.append("")

    def _take_text(self, line: str) -> None:
        item = _ITEM.match(line)
        if item and (self.open is None or self._blank or self._in_item or _INTERRUPTS.match(line)):
            self._begin_item(item, line)
        elif self.open is None or (self._blank and not line[0].isspace()):
            self._begin(Kind.TEXT, [line])
        else:
            self.open.lines.append(line)
        self._blank = False

    def _begin_item(self, item: re.Match[str], line: str) -> None:
        last = self.open.number if self.open and self._delimiter == item[2] else None
        number = None if item[1] is None else int(item[1]) if last is None else last + 1
        self._begin(Kind.ITEM, [line], number=number)
        self._delimiter = item[2] or ""

    def _begin(self, kind: Kind, lines: list[str], *, language: str = "", number: int | None = None) -> None:
        self._end()
        self.open = Piece(kind, lines, self._blank and bool(self.closed), language, number)
        self._blank = False

    def _end(self) -> None:
        if self.open:
            self.closed.append(self.open)
        self.open = None

    @property
    def _in_item(self) -> bool:
        return self.open is not None and self.open.kind is Kind.ITEM
