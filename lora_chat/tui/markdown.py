"""Markdown made into rows. Owns how it looks; which is understood, ``reading`` says. Never draws, never opens a link.

Nothing in a text can act: raw HTML stays text, a link is its words with the address behind them, a picture its name and
address, and a definition that CommonMark would hide is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it.token import Token
from textual.content import Content, Span

from lora_chat.chat.pieces import Kind, Piece
from lora_chat.chat.reading import code_of, text_of, tokens_of
from lora_chat.text import clean
from lora_chat.tui.code import Labels, code_rows
from lora_chat.tui.rows import EMPTY, Block, Row, Table

_BULLETS = ("•", "◦", "▪")


def blocks_of(piece: Piece, labels: Labels, *, done: bool) -> list[Block]:
    """Read one piece; code is coloured only when it is ``done``, and labelled by ``labels``."""
    text = text_of(piece)
    if piece.kind is Kind.FENCE:
        return [labels.over(piece.language, text), *code_rows(text, piece.language if done else "")]
    tokens = tokens_of(text)
    return list(plain_rows(text)) if tokens is None else _Reader(text, tokens, piece.number, labels, done).blocks()


def plain_rows(text: str) -> list[Row]:
    """``text`` as it was written."""
    return [Row(Content(line.expandtabs(4))) for line in text.split("\n")]


def parted(before: Piece | None, after: Piece) -> bool:
    """Whether a blank line stands between two pieces."""
    return before is not None and (after.spaced or Kind.FENCE in (before.kind, after.kind))


class _Reader:
    """Reads one piece from its tokens."""

    def __init__(self, text: str, tokens: list[Token], number: int | None, labels: Labels, done: bool) -> None:
        self._lines = text.split("\n")
        self._tokens = iter(tokens)
        self._number = number
        self._labels = labels
        self._done = done

    def blocks(self) -> list[Block]:
        return self._until("", 0)

    def _until(self, closing: str, depth: int) -> list[Block]:
        """Read up to the ``closing`` token, with a blank line where the text has one or the kind asks for it."""
        found: list[Block] = []
        for token in self._tokens:
            if token.type == closing:
                break
            block = list(self._block(token, depth))
            if found and block and self._apart(token):
                found.append(EMPTY)
            found += block
        return found

    def _apart(self, token: Token) -> bool:
        start = token.map[0] if token.map else 0
        blank = 0 < start <= len(self._lines) and not self._lines[start - 1].strip(" >")
        return blank or token.type in ("heading_open", "fence", "code_block", "table_open", "hr")

    def _block(self, token: Token, depth: int) -> Iterator[Block]:
        match token.type:
            case "inline":
                yield from _text_rows(token)
            case "heading_open":
                yield from (Row(row.body.stylize_before("heading")) for row in self._rows_until("heading_close"))
            case "paragraph_open":
                yield from self._until("paragraph_close", depth)
            case "fence" | "code_block":
                code = code_of(token)
                yield self._labels.over(token.info, code)
                yield from code_rows(code, token.info if self._done else "")
            case "blockquote_open":
                yield from (each.indented("▏ ", "▏ ") for each in self._until("blockquote_close", depth))
            case "bullet_list_open" | "ordered_list_open":
                yield from self._list(token, depth)
            case "table_open":
                yield self._table()
            case "hr":
                yield Row(Content.styled("─" * 12, "rule"))

    def _rows_until(self, closing: str) -> list[Row]:
        return [block for block in self._until(closing, 0) if isinstance(block, Row)]

    def _list(self, token: Token, depth: int) -> Iterator[Block]:
        ordered = token.type == "ordered_list_open"
        number = int(token.attrs.get("start", 1)) if ordered else 0
        if ordered and self._number is not None:
            number, self._number = self._number, None
        items: list[Block] = []
        for each in self._tokens:
            if each.type.endswith("_list_close"):
                break
            if items and self._apart(each):
                items.append(EMPTY)
            lead = f"{number}.".rjust(3) + " " if ordered else f" {_BULLETS[depth % len(_BULLETS)]} "
            items += _hung(self._until("list_item_close", depth + 1), lead)
            number += 1
        yield from items

    def _table(self) -> Table:
        rows: list[list[Content]] = []
        sides: list[str] = []
        for token in self._tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "th_open":
                sides.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
            elif token.type == "inline":
                rows[-1].append(_content(token.children or []))
        return Table(rows[0], rows[1:], sides)


def _hung(blocks: Sequence[Block], lead: str) -> Iterator[Block]:
    """An item's blocks, the first behind its bullet or number, the others as far in."""
    hang = " " * len(lead)
    for index, block in enumerate(blocks or [EMPTY]):
        yield block.indented(hang if index else lead, hang)


def _text_rows(token: Token) -> Iterator[Row]:
    """A line is kept as a line: a poem or an address is not run together as CommonMark would."""
    yield from (Row(line) for line in _content(token.children or []).split("\n", allow_blank=True))


_MARKS = {"strong_open": "strong", "em_open": "em", "s_open": "struck", "link_open": "link"}


def _content(tokens: Sequence[Token]) -> Content:
    """Inline Markdown as text with styles."""
    text, spans, open_marks = "", list[Span](), list[tuple[int, Token]]()
    for token in tokens:
        start = len(text)
        if token.type.endswith("_open"):
            open_marks.append((start, token))
        elif token.type.endswith("_close"):
            start, opening = open_marks.pop()
            spans.append(Span(start, len(text), _MARKS[opening.type]))
            address = _address(opening, text[start:])
            spans.append(Span(len(text), len(text) + len(address), "muted"))
            text += address
        else:
            text += _words(token)
            if token.type == "code_inline":
                spans.append(Span(start, len(text), "inline"))
    return Content(text, spans)


def _address(opening: Token, words: str) -> str:
    """Where a link leads, to stand behind its words so that they cannot lie about it; empty where they say it."""
    address = clean(str(opening.attrs.get("href", "")))
    return f" ({address})" if address and address.removeprefix("mailto:") != words else ""


def _words(token: Token) -> str:
    """The text of one inline token. Cleaned again: an entity such as ``&#x202e;`` becomes a character only here."""
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "image":
        return _flat(f"{token.content} ({token.attrs.get('src', '')})")
    return _flat(token.content)


def _flat(text: str) -> str:
    return clean(text).replace("\n", " ").expandtabs(4)
