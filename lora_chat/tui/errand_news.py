"""What commands of plugins tell the window. Owns whether a text is a sentence over the talk or a panel's, and when that
opens: over the talk alone, so that it takes no key which is meant for a question or a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App
from textual.screen import Screen

from lora_chat.language import tr
from lora_chat.tui.errand_messages import TextSeen

if TYPE_CHECKING:
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.screens.chat import ChatScreen

LONGEST_SENTENCE = 160
"""Characters of one line that are read at a glance; what is more is a panel's."""


class ErrandNews(App[None]):
    """The part of ``LoraChatApp`` that shows it."""

    bridge: Bridge
    chat: ChatScreen

    def __init__(self, **named: object) -> None:
        super().__init__(**named)  # type: ignore[arg-type]
        self._texts: list[TextSeen] = []
        """Those that wait for the talk to be seen, the oldest first."""

    def on_ready(self) -> None:
        """From now on there are screens that open and close."""
        self.screen_change_signal.subscribe(self, self._seen_now, immediate=True)

    def on_text_seen(self, event: TextSeen) -> None:
        """Each says whose words they are: they may be anything."""
        if len(event.text) <= LONGEST_SENTENCE and "\n" not in event.text:
            self.say(f"{event.title}: {event.text}")
            return
        self._texts.append(event)
        if self.screen is self.chat:
            self._show_next()
        else:
            self.tell(f"{event.title} has run: what it gave is shown once this is closed.")

    def _seen_now(self, screen: Screen[object]) -> None:
        if screen is self.chat and self._texts:
            self.call_later(self._show_next)

    def _show_next(self) -> None:
        """The oldest, where nothing else has opened meanwhile; the next one follows when that is closed."""
        if self._texts and self.screen is self.chat:
            from lora_chat.tui.screens.text import TextScreen

            event = self._texts.pop(0)
            self.push_screen(TextScreen(event.title, tr(f"by the plugin {event.plugin}"), event.text))

    def tell(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """See ``LoraChatApp.tell``."""
        raise NotImplementedError

    def say(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """See ``LoraChatApp.say``."""
        raise NotImplementedError
