"""Who may run. Owns the one lock between replies and trainings; never runs anything itself.

One reply has the floor at a time. A training never takes it: it asks before each layer and waits while a reply runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lora_chat.models.watch import StopAsked

_POLL_S = 0.05


class Floor:
    """One engine's floor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quiet = threading.Event()
        self._quiet.set()
        self._cancel: threading.Event | None = None

    @contextmanager
    def take(self, cancel: threading.Event | None) -> Iterator[None]:
        """Wait for the reply before this one, then have the floor.

        Raises:
            StopAsked: ``cancel`` was set while waiting.
        """
        while not self._lock.acquire(timeout=_POLL_S):
            if cancel is not None and cancel.is_set():
                raise StopAsked
        self._cancel = cancel
        self._quiet.clear()
        try:
            yield
        finally:
            self._cancel = None
            self._quiet.set()
            self._lock.release()

    def check_reply(self) -> None:
        """Called before each layer of a reply: raises ``StopAsked`` once it is cancelled."""
        if self._cancel is not None and self._cancel.is_set():
            raise StopAsked

    def check_training(self, stop: threading.Event) -> None:
        """Called before each layer of a training: waits while a reply runs; raises ``StopAsked`` once stopped."""
        while not stop.is_set():
            if self._quiet.wait(_POLL_S):
                return
        raise StopAsked
