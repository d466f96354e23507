"""Letters that are keys alone and text in a word. Owns telling them apart; never knows what a key does."""

from __future__ import annotations

from typing import Any

from textual.events import Key
from textual.timer import Timer

from lora_chat.tui.widgets.follows import Follows

ALONE_S = 0.3
"""A letter behind which nothing comes for so long, in seconds, is a key."""


class Letters(Follows, inherit_bindings=False):
    """A place with keys that are letters, while what is written goes elsewhere."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._typed = ""
        """A letter that may be a key or the beginning of a word."""
        self._key = ""
        """What Textual calls it."""
        self._waiting: Timer | None = None
        self._writing = False
        """Whether the person has begun to write: the prompt gets the focus."""

    def typed(self, text: str) -> None:
        """The person writes ``text``."""
        raise NotImplementedError

    def is_key(self, key: str) -> bool:
        """Whether it could be one."""
        return key in self._bindings.key_to_bindings

    def forget_typed(self) -> None:
        """The focus is elsewhere."""
        self._forget()
        self._writing = False

    async def on_key(self, event: Key) -> None:
        """A letter waits for a moment: with another behind it, it is the beginning of a message."""
        if self._writing and event.key == "enter":
            event.stop()
            event.prevent_default()
            self.typed("\n")
            return
        if not event.is_printable or not event.character:
            if self._waiting is not None:
                await self._act()  # on what was looked at when it was pressed
            return
        event.stop()
        event.prevent_default()
        if self._waiting is None and not self._writing and self.is_key(event.key):
            self._typed, self._key = event.character, event.key
            self._waiting = self.set_timer(ALONE_S, self._act)
        else:
            self._writing = True  # also what comes before the prompt has the focus
            self.typed(self._typed + event.character)
            self._forget()

    async def _act(self) -> None:
        key = self._key if self._typed else ""
        self._forget()
        for binding in self._bindings.key_to_bindings.get(key, []):
            await self.run_action(binding.action)

    def _forget(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting, self._typed = None, ""
