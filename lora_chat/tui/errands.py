"""Commands of plugins beside the chat. Owns the one that runs, its thread and its end; never touches a widget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.errors import RefusedError
from lora_chat.tui import errand_messages as news
from lora_chat.tui.teller import Teller

if TYPE_CHECKING:
    from lora_chat.sitting.plugin_commands import Errand
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.tui.desk import Desk
    from lora_chat.tui.keymap import Keymap


class Errands(Teller):
    """The part of ``Face`` that runs them, one at a time."""

    _keymap: Keymap
    _reader: Desk
    sitting: Sitting | None
    _errand: str = ""
    """What was typed for the one that runs; empty where none does."""
    _errand_stop = threading.Event()

    def run(self, action: Callable[[Sitting], object]) -> None:
        """See ``Bridge.run``."""
        raise NotImplementedError

    def _beside(self, name: str, job: Callable[[], object]) -> None:
        raise NotImplementedError

    @property
    def on_errand(self) -> bool:
        """Whether one runs."""
        return bool(self._errand)

    def work(self, errand: Errand) -> None:
        """See ``Face.work``; on a thread of its own."""
        if self._errand:
            raise RefusedError(self._keymap.told(f"{self._errand} is still at work: {{chat.stop}} stops it."))
        self._errand, self._errand_stop = errand.title, threading.Event()
        self._put(news.ErrandSeen(errand.title, running=True))
        cancel = self._errand_stop
        self._beside("errand", lambda: self._do(errand, cancel))

    def plugins_changed(self) -> None:
        """See ``Face.plugins_changed``; looked for on the reader's thread: all files of theirs are read."""
        self._reader.put(self._look_for_commands)

    def _look_for_commands(self) -> None:
        from lora_chat.sitting.plugin_commands import plugin_commands

        if self.sitting is not None:
            self._put(news.CommandsSeen(plugin_commands(self.sitting.services.plugins)))

    def write(self, text: str) -> None:
        """See ``Face.write``."""
        self._put(news.Written(text))

    def stop_errand(self) -> bool:
        """End the command that runs; whether one did."""
        if not self._errand:
            return False
        self._errand_stop.set()
        return True

    def _do(self, errand: Errand, cancel: threading.Event) -> None:
        told: list[str] = []
        last = None
        try:
            last = errand.run(cancel, told.append, self.note)
        except RefusedError:
            self.plugins_changed()  # it may be switched off
            raise
        finally:
            self._errand = ""
            self._put(news.ErrandSeen(errand.title, running=False))
            if text := "\n".join(told).strip():
                self._put(news.TextSeen(errand.title, errand.command.plugin.name, text))
        if last is not None:
            self.run(lambda sitting: errand.settle(sitting, last))
