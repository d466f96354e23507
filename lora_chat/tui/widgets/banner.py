"""What became of what was worn, above the prompt. Owns showing it until it is put away; never why."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.text import clean_line


class Banner(Static):
    """One sentence that takes no room until there is one; a click puts it away."""

    DEFAULT_CSS = """
    Banner { height: auto; max-height: 4; padding: 0 1; background: $surface; color: $text-warning; display: none; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    @property
    def is_shown(self) -> bool:
        """Whether there is one."""
        return bool(self.display)

    def show(self, text: str) -> None:
        """Say it; empty puts it away."""
        self.update(Content(clean_line(tr(text))))
        self.display = bool(text)
        self.screen.refresh_bindings()

    def on_click(self, event: Click) -> None:
        """It was read."""
        self.show("")
