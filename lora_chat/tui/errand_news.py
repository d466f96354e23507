"""What commands of plugins tell the window. Owns whether a text is a sentence over the talk or a panel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from lora_chat.language import tr
from lora_chat.tui.errand_messages import TextSeen

if TYPE_CHECKING:
    from lora_chat.tui.bridge import Bridge

LONGEST_SENTENCE = 160
"""Characters of one line that are read at a glance; what is more is a panel's."""


class ErrandNews(App[None]):
    """The part of ``LoraChatApp`` that shows it."""

    bridge: Bridge

    def on_text_seen(self, event: TextSeen) -> None:
        """Each says whose words they are: they may be anything."""
        if len(event.text) <= LONGEST_SENTENCE and "\n" not in event.text:
            self.say(f"{event.title}: {event.text}")
            return
        from lora_chat.tui.screens.text import TextScreen

        self.push_screen(TextScreen(event.title, tr(f"by the plugin {event.plugin}"), event.text))

    def say(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """See ``LoraChatApp.say``."""
        raise NotImplementedError
