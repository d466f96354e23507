"""A message's text on the screen. Owns its laid-out lines; never knows whose message it is.

Textual's own Markdown widget mounts several widgets a block and mounts the last block anew at each append: an append to
a list of 200 items took 450 ms. Here a text is one widget that draws lines, and an append lays out the last piece only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import ClassVar

from textual.content import Content
from textual.css.styles import StylesBase
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from lora_chat.chat.pieces import Kind, Piece, Pieces
from lora_chat.chat.reading import codes_of
from lora_chat.chat.search import words_of
from lora_chat.language import tr
from lora_chat.text import clean
from lora_chat.tui.code import Labels, code_rows
from lora_chat.tui.markdown import blocks_of, parted, plain_rows
from lora_chat.tui.page import Page
from lora_chat.tui.rows import EMPTY, LABEL, Block, Row

LONGEST_SHOWN = 100_000
"""Characters; what is beyond is counted, not drawn."""

RESTS = 8
"""How many times as long as a layout takes the next one waits: a long table slows nothing else."""

_NAMES = (
    "heading", "strong", "em", "struck", "link", "inline", "muted", "rule",
    "code", "copy", "comment", "keyword", "name", "string", "number", "found",
)  # fmt: skip


class Body(Widget):
    """The text of one message, as Markdown or as it was written."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"body--{name}" for name in _NAMES}

    DEFAULT_CSS = """
    Body {
        height: auto;
        & > .body--heading, & > .body--strong, & > .body--keyword { text-style: bold; }
        & > .body--em { text-style: italic; }
        & > .body--struck { text-style: strike; }
        & > .body--link { text-style: underline; }
        & > .body--inline { background: $panel; }
        & > .body--muted { color: $text-muted; }
        & > .body--rule { color: $border-blurred; }
        & > .body--code { background: $panel; }
        & > .body--copy { color: $text-muted; text-style: underline; }
        & > .body--comment { color: $text-muted; text-style: italic; }
        & > .body--name { color: $primary; }
        & > .body--string { color: $success; }
        & > .body--number { color: $warning; }
        & > .body--found { background: $warning; color: $background; }
    }
    """

    @dataclass
    class CopyWanted(Message):
        """One block of code on the clipboard."""

        code: str

    def __init__(self, text: str = "", *, markdown: bool = True, done: bool = True) -> None:
        super().__init__()
        self._markdown = markdown
        self._words: list[str] = []
        self.set(text, done=done)

    @property
    def text(self) -> str:
        """What it shows, cleaned."""
        return self._text

    @property
    def codes(self) -> list[str]:
        """Its blocks of code that are whole, as far as they were laid out."""
        return [each.copies or "" for each in self._lines_over_codes]

    def code(self, number: int) -> str | None:
        """The block of that number, from 1, to its end also where that is not drawn; None where there is none."""
        codes = codes_of(self._text) if len(self._text) > LONGEST_SHOWN else self.codes
        return codes[number - 1] if 0 < number <= min(len(codes), len(self._lines_over_codes)) else None

    @property
    def _lines_over_codes(self) -> list[Row]:
        rows = (each for blocks in self._read for each in blocks if isinstance(each, Row))
        return [each for each in rows if each.copies is not None]

    def on_click(self, event: Click) -> None:
        """The line over a block copies it; the message is chosen all the same."""
        at = event.get_content_offset(self)
        row = self._page.row_at(at.y) if self._page is not None and at is not None else None
        for number, label in enumerate(self._lines_over_codes, 1):
            if label is row and (code := self.code(number)):
                self.post_message(self.CopyWanted(code))

    def set(self, text: str, *, done: bool = True) -> None:
        """Show ``text``; more may follow where it is not ``done``."""
        self._text = ""
        self._pieces = Pieces()
        self._read: list[list[Block]] = []
        self._labels = Labels()
        self._page: Page | None = None
        self._rests_until, self._waits = 0.0, False
        self.grow(text)
        if done:
            self.close()

    def mark(self, text: str) -> int | None:
        """Mark where the words of ``text`` stand; the first line with one of them, None where there is none."""
        words = words_of(text)
        if words != self._words:
            self._words, self._page = words, None
            self._changed()
        return self._laid_out(self.size.width).first_found if words and self.size.width else None

    def grow(self, text: str) -> None:
        """Append ``text``. It is read at the next layout, so several appends between two frames cost one."""
        text = clean(text)
        if self._markdown:
            self._pieces.feed(text[: max(0, LONGEST_SHOWN - len(self._text))])
        self._text += text
        wait = self._rests_until - monotonic()
        if wait <= 0:
            self._changed()
        elif not self._waits and self.is_attached:
            self._waits = True
            self.set_timer(wait, self._changed)

    def close(self) -> None:
        """There is no more to come."""
        self._pieces.close()
        self._changed()

    def _changed(self) -> None:
        self._stale, self._waits = True, False
        if self.is_attached:
            self.refresh(layout=True)

    def notify_style_update(self) -> None:
        """Draw the lines anew where the look has changed."""
        super().notify_style_update()
        self._stale = True

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the text takes at ``width``."""
        return self._laid_out(width).height if width else 0

    def render_line(self, y: int) -> Strip:
        """One line, on the background of the moment: a selected message is not laid out anew."""
        line = self._laid_out(self.size.width).line(y, self.text_selection)
        return line.apply_style(self.visual_style.background_style.rich_style)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text: lines as they were written, not as they wrap."""
        if self._page is None:
            return None
        return selection.extract(self._page.plain).replace(f"{LABEL}\n", "").replace(LABEL, ""), "\n"

    def _laid_out(self, width: int) -> Page:
        page = self._page
        if page is None or page.width != width or (self._stale and page.look != self._look()):
            page = self._page = Page(width, self._look(), self._words)
            self._start_over(page)
            self._stale = True
        if self._stale:
            began = monotonic()
            self._lay(page)
            self._stale = False
            self._rests_until = began + RESTS * (monotonic() - began)
        return page

    def _start_over(self, page: Page) -> None:
        page.cut((0, 0))
        self._laid, self._mark = 0, page.mark
        self._settled, self._settled_lines = page.mark, 0

    def _lay(self, page: Page) -> None:
        """Add what was closed since the last time, and anew what is still open."""
        if not self._markdown:
            page.cut(self._mark)
            page.add(plain_rows(self._text[:LONGEST_SHOWN]))
        else:
            if self._lay_pieces(page) > 1 and not self._labels.several:
                self._read, self._labels = [], Labels(several=True)  # the first one gets its number too
                self._start_over(page)
                self._lay_pieces(page)
        self._count_the_rest(page)

    def _lay_pieces(self, page: Page) -> int:
        """All but what is settled; how many blocks of code there are."""
        self._lay_closed(page)
        page.cut(self._settled)
        labels = replace(self._labels)
        if tail := self._pieces.tail:
            self._lay_tail(page, tail, labels)
        return labels.count

    def _lay_closed(self, page: Page) -> None:
        closed = self._pieces.closed
        if self._laid == len(closed):
            return
        page.cut(self._mark)
        for index in range(self._laid, len(closed)):
            if index == len(self._read):
                before = closed[index - 1] if index else None
                self._read.append(self._blocks(before, closed[index], self._labels, done=True))
            page.add(self._read[index])
        self._laid, self._mark = len(closed), page.mark
        self._settled, self._settled_lines = page.mark, 0

    def _lay_tail(self, page: Page, tail: Piece, labels: Labels) -> None:
        """Lay out the open piece; of an open fence, only the lines that are new."""
        before = self._pieces.closed[-1] if self._pieces.closed else None
        if tail.kind is Kind.FENCE:
            label = labels.over(tail.language, "")
            if not self._settled_lines:
                page.add([EMPTY, label] if parted(before, tail) else [label])
            finished = tail.lines[self._settled_lines : -1]
            page.add(row for line in finished for row in code_rows(line))
            self._settled, self._settled_lines = page.mark, self._settled_lines + len(finished)
            page.add(code_rows(tail.lines[-1] if tail.lines else ""))
        else:
            page.add(self._blocks(before, tail, labels, done=False))

    def _count_the_rest(self, page: Page) -> None:
        if (more := len(self._text) - LONGEST_SHOWN) > 0:
            page.add([EMPTY, Row(Content.styled(tr(f"… {more:,} more characters"), "muted"))])

    def _blocks(self, before: Piece | None, piece: Piece, labels: Labels, *, done: bool) -> list[Block]:
        blocks = blocks_of(piece, labels, done=done)
        return [EMPTY, *blocks] if blocks and parted(before, piece) else blocks

    def _look(self) -> dict[str, Style]:
        _, _, background, colour = self.colors
        text = Style(foreground=background + colour)
        look = {name: _own(self.get_component_styles(f"body--{name}")) for name in _NAMES}
        selection = _own(self.screen.get_component_styles("screen--selection"))
        return {"": text, "selection": selection, **look, "code": text + look["code"]}


def _own(styles: StylesBase) -> Style:
    """Only what a component class says itself, to be laid over the text's style."""
    flags = styles.text_style
    return Style(
        background=styles.background if styles.background.a else None,
        foreground=styles.color if styles.has_rule("color") and styles.color.a else None,
        bold=flags.bold,
        italic=flags.italic,
        underline=flags.underline,
        strike=flags.strike,
    )
