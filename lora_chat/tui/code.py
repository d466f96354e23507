"""Code made into rows. Owns its colouring; never runs or guesses anything: an unknown language stays plain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import Token, _TokenType  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]
from textual.content import Content, Span

from lora_chat.language import tr
from lora_chat.text import clean_line
from lora_chat.tui.rows import Row

LONGEST_COLOURED = 16_000
"""Characters; colouring takes about 3 µs each, and a lexer may be far slower on a text made for that."""

_STYLES = {
    Token.Comment: "comment",
    Token.Keyword: "keyword",
    Token.Name.Function: "name",
    Token.Name.Class: "name",
    Token.Name.Tag: "keyword",
    Token.Literal.String: "string",
    Token.Literal.Number: "number",
}


@dataclass
class Labels:
    """The lines over the blocks of code of one message, which are numbered where there are several."""

    several: bool = False
    count: int = 0
    """Blocks so far."""

    def over(self, language: str, code: str) -> Row:
        """The line over the next block: its language, its number, and that a click copies it."""
        self.count += 1
        words = language.split()
        number = f" · {self.count}" if self.several else ""
        name = f"{clean_line(words[0], 24) if words else tr('code')}{number}"
        body = Content.assemble((f"{name} · ", "muted"), (tr("copy"), "copy"))
        return Row(body, fill="code", copies=code)


def code_rows(code: str, language: str = "") -> Iterator[Row]:
    """Each line of ``code`` as a row of its own, coloured where ``language`` is known."""
    code = code.expandtabs(4)
    lexer = _lexer(language) if len(code) <= LONGEST_COLOURED else None
    lines = _coloured(code, lexer) if lexer else [Content(line) for line in code.split("\n")]
    yield from (Row(line, fill="code") for line in lines)


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language.split()[0].lower(), stripnl=False) if language.strip() else None
    except ClassNotFound:
        return None


@cache
def _style_of(kind: _TokenType) -> str:
    return next((_STYLES[each] for each in reversed(kind.split()) if each in _STYLES), "")


def _coloured(code: str, lexer: Lexer) -> list[Content]:
    """One ``Content`` a line: dividing one large one at 400 line ends takes ten times as long."""
    lines: list[tuple[str, list[Span]]] = [("", [])]
    for kind, value in lexer.get_tokens(code):
        style = _style_of(kind)
        for index, part in enumerate(value.split("\n")):
            if index:
                lines.append(("", []))
            text, spans = lines[-1]
            if style and part:
                spans.append(Span(len(text), len(text) + len(part), style))
            lines[-1] = (text + part, spans)
    return [Content(text, spans) for text, spans in lines[: code.count("\n") + 1]]
