"""The ways a half-written command could go on. Owns their list above the prompt; what they are is ``completion``'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.completion import Completion


class Completions(Static):
    """A few lines over the transcript, one of them looked at."""

    DEFAULT_CSS = """
    Completions {
        overlay: screen;
        width: 100%;
        height: auto;
        max-height: 8;
        padding: 0 2;
        background: $surface;
        display: none;
    }
    """

    def __init__(self) -> None:
        super().__init__(id="completions", markup=False)
        self.choices: Sequence[Completion] = ()
        """What is offered."""
        self._at = 0

    @property
    def chosen(self) -> Completion | None:
        """The one looked at; None while there are none."""
        return self.choices[self._at] if self.choices else None

    def offer(self, choices: Sequence[Completion], *, stays: bool = False) -> None:
        """Show ``choices``, the first looked at, or the one that was, if it ``stays`` among them; none hides it."""
        before = self.chosen.line if self.chosen and stays else None
        self.choices, lines = choices, [each.line for each in choices]
        self._at = lines.index(before) if before in lines else 0
        self.display = bool(choices)
        # It stands where the prompt begins, in no one's room: lifted by its height it lies over the talk.
        self.styles.offset = (0, -len(choices))
        self._draw()

    def move(self, step: int) -> None:
        """Look at another one."""
        if self.choices:
            self._at = (self._at + step) % len(self.choices)
            self._draw()

    def _draw(self) -> None:
        width = max((cell_len(choice.label) for choice in self.choices), default=0)
        room = max(self.screen.size.width - width - 8, 10)
        lines = [self._line(choice, width, room, at == self._at) for at, choice in enumerate(self.choices)]
        self.update(Content("\n").join(lines))

    def _line(self, choice: Completion, width: int, room: int, looked_at: bool) -> Content:
        label = Content(clean_line(choice.label, 60))
        text = Content.assemble(
            ("› " if looked_at else "  ", "$primary"),
            label.stylize("bold" if looked_at else "$text"),
            " " * (width - cell_len(choice.label) + 2),
        )
        does = Content.styled(clean_line(tr(choice.help) if choice.is_ours else choice.help), "$text-muted")
        return text + does.truncate(room, ellipsis=True)
