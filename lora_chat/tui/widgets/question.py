"""A question on the screen: its words, and its files and what is long of it folded. Owns what is folded; never changes
what was said.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.events import Click
from textual.widget import Widget
from textual.widgets import Static

from lora_chat.chat.attached import File, parted
from lora_chat.chat.search import words_of
from lora_chat.chat.words import spans
from lora_chat.language import tr
from lora_chat.language.facts import tr_counts
from lora_chat.sitting.attaching import told
from lora_chat.text import clean
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.folds import Folds
from lora_chat.tui.widgets.follows import stay_around
from lora_chat.tui.widgets.weighing import WeightWanted

HEAD_LINES, HEAD_CHARACTERS = 6, 600
"""As much of a long question stands before its rest."""


class Folded(Widget):
    """One line that a click or a key unfolds: a file, or the rest of a long text."""

    DEFAULT_CSS = """
    Folded {
        layout: vertical;
        width: 1fr;
        height: auto;
        & > Static { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $text-muted; }
        & > Static:hover { color: $text; }
    }
    """

    def __init__(self, text: str, what: str = "", file: File | None = None) -> None:
        """``what`` says what it is where it is no file."""
        super().__init__()
        self._text, self._what, self._file = text, what, file
        self._tokens: int | None = None
        self._line = Static(markup=False)
        self.body = Body(text, markdown=False)
        """Laid out once it is unfolded."""
        self.body.display = False

    def compose(self) -> ComposeResult:
        """The line, and what it stands for."""
        yield self._line
        yield self.body

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded."""
        return self.body.display

    def on_mount(self) -> None:
        """What it weighs is asked for."""
        self.weigh()

    def on_click(self, event: Click) -> None:
        """The line is its own key; the message is chosen all the same."""
        if event.widget is self._line:
            self.turn()

    def weigh(self) -> None:
        """Ask how many tokens it takes; until then that is an estimate."""
        self._tokens = None
        if self._file is not None:
            self.post_message(WeightWanted(self._file))
        self._draw()

    def weighed(self, file: File, tokens: int) -> None:
        """It was counted."""
        if file == self._file:
            self._tokens = tokens
            self._draw()

    def has(self, words: list[str]) -> bool:
        """Whether one of ``words`` stands in it."""
        return bool(spans(self._text, words))

    def turn(self) -> None:
        """Unfold it, or fold it again."""
        stay_around(self)
        self.body.display = not self.body.display
        self._draw()

    def _draw(self) -> None:
        said = tr_counts(told(self._file, self._tokens)) if self._file is not None else self._what
        self._line.update(Content(f"{'▾' if self.is_open else '▸'} {said}"))


class Question(Widget):
    """The words, what is folded of them, and the files."""

    DEFAULT_CSS = """
    Question { layout: vertical; width: 1fr; height: auto; }
    """

    def __init__(self, text: str = "", *, done: bool = True) -> None:
        super().__init__()
        self.body = Body(markdown=False)
        """The words that are always seen."""
        self.folded: list[Folded] = []
        self.set(text, done=done)

    def compose(self) -> ComposeResult:
        """From the top."""
        yield self.body
        yield from self.folded

    @property
    def text(self) -> str:
        """All of it, cleaned."""
        return self._text

    @property
    def codes(self) -> list[str]:
        """The blocks of code that can be copied from it: it is shown as it was written."""
        return []

    def code(self, number: int) -> str | None:
        """None, for the same reason."""
        return None

    def set(self, text: str, *, done: bool = True) -> None:
        """Show ``text``."""
        self._text = clean(text)
        written = parted(self._text)
        head, rest, what = _cut(written.words)
        self.body.set(head)
        old, self.folded = self.folded, [Folded(rest, what)] if rest else []
        self.folded += [Folded(file.text, file=file) for file in written.files]
        if self.is_attached:
            for each in old:
                each.remove()
            self.mount(*self.folded)

    def grow(self, text: str) -> None:
        """Append ``text``: whoever asks has written all of it."""
        self.set(self._text + text)

    def close(self) -> None:
        """There is no more to come."""

    def turn(self) -> None:
        """Unfold all of it, or fold it again where all is unfolded."""
        closed = [each for each in self.folded if not each.is_open]
        for each in closed or self.folded:
            each.turn()

    def mark(self, text: str) -> int | None:
        """Mark the words of ``text``; the first line with one, None where none is seen.

        What holds one and is folded is unfolded, and is seen once that is laid out.
        """
        line, words = self.body.mark(text), words_of(text)
        for each in self.folded:
            if not each.is_open and line is None and each.has(words):
                each.turn()
            found = each.body.mark(text) if each.is_open else None
            line = each.body.region.y - self.region.y + found if line is None and found is not None else line
        return line


def folded(content: str) -> str:
    """A message as it is where nothing of it can be unfolded: its words, and a line for each of its files."""
    written = parted(content)
    return "\n".join([written.words, *(f"▸ {tr_counts(told(file))}" for file in written.files)])


def _cut(words: str) -> tuple[str, str, str]:
    """The beginning of what is long, its rest, and what that is in words."""
    if not Folds.is_long(words):
        return words, "", ""
    head = "\n".join(words.split("\n", HEAD_LINES)[:HEAD_LINES])[:HEAD_CHARACTERS]
    rest = words[len(head) :]
    if rest.startswith("\n"):
        rest = rest[1:]
        lines = rest.count("\n") + 1
        return head, rest, tr(f"{lines:,} more line{'' if lines == 1 else 's'}")
    return head, rest, tr(f"{len(rest):,} more characters")
