"""How a Markdown text is read. Owns which Markdown is understood and which of it is code, and so each block's number,
on the screen and in ``/copy code N`` alike; never lays anything out.

A definition that CommonMark would hide is text, and so is HTML.
"""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lora_chat.chat.pieces import Kind, Piece, Pieces
from lora_chat.text import clean

LONGEST_READ = 5_000
"""Characters of a piece above which it is taken as written: a hostile one takes 50 ms to read."""

_CODE = ("fence", "code_block")
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(["reference"])


def text_of(piece: Piece) -> str:
    """What is read of ``piece``; of a fence the code."""
    text = "\n".join(piece.lines)
    return text if piece.kind is Kind.FENCE else text.rstrip()


def tokens_of(text: str) -> list[Token] | None:
    """What stands in the text of a piece that is no fence; None where it is too long to be read."""
    return _parser.parse(text) if len(text) <= LONGEST_READ else None


def is_code(token: Token) -> bool:
    """Whether it is a block of code."""
    return token.type in _CODE


def code_of(token: Token) -> str:
    """What stands in a block of code. Its last line has no end: a shell it is pasted into does not run it at once."""
    return token.content.removesuffix("\n")


def codes_of(text: str) -> list[str]:
    """What stands in each block of code of ``text``, in the order of their numbers; one that was cut off ends with it.

    ``text`` is what was said, without what was thought before.
    """
    pieces = Pieces()
    pieces.feed(clean(text))
    pieces.close()
    found = []
    for piece in pieces.closed:
        if piece.kind is Kind.FENCE:
            found.append(text_of(piece))
        else:
            found += [code_of(token) for token in tokens_of(text_of(piece)) or () if is_code(token)]
    return found
