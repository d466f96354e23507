"""Commands of plugins beside the talk. Owns what the screen shows while one runs, and where its text is written."""

from __future__ import annotations

from lora_chat.tui import errand_messages as news
from lora_chat.tui import messages
from lora_chat.tui.base_messages import BaseFound
from lora_chat.tui.keymap import keymap_of
from lora_chat.tui.screens.crossing import Crossing

SOON_S = 1.5
"""What takes no longer needs no word of how to stop it, in seconds."""


class Working(Crossing):
    """Hears what plugins add, and of a command of theirs that runs."""

    _errands = 0
    """How many have begun or ended."""

    def on_base_found(self, event: BaseFound) -> None:
        """From now on commands are done."""
        self.bridge.plugins_changed()

    def on_commands_seen(self, event: news.CommandsSeen) -> None:
        """For completion, the palette and the help."""
        self.asking.know_commands(event.commands)

    def on_errand_seen(self, event: news.ErrandSeen) -> None:
        """While one runs a key stops it, which is said where it takes long."""
        self._errands += 1
        number = self._errands
        self.refresh_bindings()
        if not event.running:
            return

        def say() -> None:
            if self._errands == number:
                said = keymap_of(self).told(f"{event.title} is at work: {{chat.stop}} stops it.")
                self.post_message(messages.Said(said))

        self.set_timer(SOON_S, say)

    def on_written(self, event: news.Written) -> None:
        """It is the person's from now on."""
        self.asking.give_back(event.text)
        self.asking.prompt.focus()
