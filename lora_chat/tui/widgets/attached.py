"""What goes with the message that is being written. Owns the lines over the prompt that say so; never reads a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.language.facts import tr_counts
from lora_chat.text import clean_line
from lora_chat.tui.widgets.weighing import WeightWanted

if TYPE_CHECKING:
    from lora_chat.chat.attached import File
    from lora_chat.sitting.attaching import Look

SHOWN = 4
"""Lines; where there are more files, the last one counts them."""


class Attached(Static):
    """``+ @notes.md · 12 lines · 340 tokens`` for each file, or why it cannot be sent."""

    DEFAULT_CSS = """
    Attached { height: auto; padding: 0 1; color: $text-muted; display: none; }
    """

    def __init__(self) -> None:
        super().__init__(id="attached", markup=False)
        self._looks: Sequence[Look] = ()
        self._half: str | None = None
        self._weights: dict[File, int] = {}
        self.window = 0
        """Tokens that the base takes; 0 while that is not known."""

    def show(self, looks: Sequence[Look]) -> None:
        """Show these."""
        self._looks = looks
        self.weigh()
        self._draw()

    def let_be(self, half: str | None) -> None:
        """What is wrong with ``half``, a name that is still being written, is not said yet."""
        if half != self._half:
            self._half = half
            self._draw()

    def weigh(self) -> None:
        """Ask how many tokens each takes; until then that is an estimate."""
        self._weights = {}
        for look in self._looks:
            if look.file is not None:
                self.post_message(WeightWanted(look.file))

    def weighed(self, file: File, tokens: int) -> None:
        """It was counted."""
        if any(look.file == file for look in self._looks):
            self._weights[file] = tokens
            self._draw()

    def on_resize(self) -> None:
        """A long name gives way to the numbers."""
        self._draw()

    def _draw(self) -> None:
        looks = [look for look in self._looks if look.file is not None or look.mention != self._half]
        lines = [self._line(look) for look in looks]
        if len(lines) > SHOWN:
            lines = [*lines[: SHOWN - 1], Content(tr(f"and {len(lines) - SHOWN + 1:,} more"))]
        self.display = bool(lines)
        self.update(Content("\n").join(lines))

    def _line(self, look: Look) -> Content:
        if look.file is None:
            return Content.styled(f"✗ {clean_line(tr(str(look.problem)))}", "$text-error")
        from lora_chat.sitting.attaching import told

        tokens = self._weights.get(look.file)
        said = tr_counts(told(look.file, tokens, max(self.size.width // 2, 16)))
        if self.window and tokens is not None and tokens >= self.window:
            return Content.styled(tr(f"+ {said}: the base takes {self.window:,}"), "$text-error")
        return Content(f"+ {said}")
