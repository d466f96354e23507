"""What the person writes beside the talk. Owns when the prompt is told what was written before; never sends."""

from __future__ import annotations

from lora_chat.tui import messages as news
from lora_chat.tui.screens.touring import Touring


class Keeping(Touring):
    """Hears what was kept."""

    def on_written_seen(self, event: news.WrittenSeen) -> None:
        """Up brings it back."""
        self.asking.prompt.know(event.sent)
