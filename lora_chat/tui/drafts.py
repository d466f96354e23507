"""What stands unsent, on its way to the disk. Owns when it is written, and what is not written yet; never draws."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from lora_chat.errors import StoreError

if TYPE_CHECKING:
    from lora_chat.chat.store import Store


class Drafts:
    """One text for each conversation; of several changes of one only the last is written. Safe from any thread."""

    def __init__(self, do: Callable[[Callable[[], object]], object]) -> None:
        """``do`` has something done on the sitting's thread."""
        self._do = do
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._refused = False
        self.store: Store | None = None
        """Where they are kept, once that is open."""

    def note(self, conversation: str, text: str) -> None:
        """Hold ``text`` until it is written; returns at once."""
        with self._lock:
            self._waiting[conversation] = text

    def of(self, conversation: str) -> str:
        """What stands unsent in that conversation. Raises as ``draft_of``."""
        from lora_chat.chat.written import draft_of

        with self._lock:
            if conversation in self._waiting:
                return self._waiting[conversation]
        return draft_of(self.store, conversation) if self.store is not None else ""

    def write(self) -> None:
        """Have what is held written, after whatever the person asked for before; returns at once."""
        if self._waiting and self.store is not None:
            self._do(self._write)

    def close(self) -> None:
        """Write it now: nobody can be told any more where the disk refuses, which was said while the window stood."""
        with suppress(StoreError):
            self._write()

    def _write(self) -> None:
        """What the disk refuses is held for the next time; that is said once, not at every pause.

        Raises:
            StoreError: the disk refuses, for the first time since it took one.
        """
        from lora_chat.chat.written import keep_draft

        with self._lock:
            held, self._waiting = self._waiting, {}
        if self.store is None:
            return
        try:
            with self.store.as_one():
                for conversation, text in held.items():
                    keep_draft(self.store, conversation, text)
        except StoreError:
            with self._lock:
                self._waiting = held | self._waiting
            if not self._refused:
                self._refused = True
                raise
        else:
            self._refused = False
