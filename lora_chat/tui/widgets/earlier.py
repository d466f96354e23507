"""The line above the messages. Owns its words; never knows which messages they are."""

from __future__ import annotations

from textual.content import Content
from textual.message import Message as TextualMessage
from textual.widgets import Static

from lora_chat.language import tr


class Earlier(Static):
    """Says how many messages are not shown; hidden where there are none."""

    DEFAULT_CSS = """
    Earlier {
        width: 1fr;
        height: 1;
        margin: 0 1 1 1;
        padding: 0 2;
        color: $text-muted;
        display: none;
        &.-some { display: block; }
        &:hover { color: $text; }
    }
    """

    class Wanted(TextualMessage):
        """The person wants to see them."""

    def show(self, count: int) -> None:
        """Say that there are ``count``."""
        self.set_class(count > 0, "-some")
        self.update(Content(tr(f"↑ {count:,} earlier message{'' if count == 1 else 's'}")))

    def on_click(self) -> None:
        """A click is a wish."""
        self.post_message(self.Wanted())
