"""Who may run. Owns the one lock between replies and trainings; never runs anything itself.

One reply has the floor at a time. What is read ahead of a reply has it too, and gives way once a reply wants it. A
training never takes it: it asks before each layer and waits while somebody has it.
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
        self._counting = threading.Lock()
        self._wanting = 0
        """Replies that wait for the floor."""
        self._gives_way = False

    @contextmanager
    def take(self, cancel: threading.Event | None, *, gives_way: bool = False) -> Iterator[None]:
        """Wait for who has the floor, then have it; with ``gives_way`` until a reply wants it.

        Raises:
            StopAsked: ``cancel`` was set while waiting.
        """
        with self._wanted(0 if gives_way else 1):
            while not self._lock.acquire(timeout=_POLL_S):
                if cancel is not None and cancel.is_set():
                    raise StopAsked
        self._cancel, self._gives_way = cancel, gives_way
        self._quiet.clear()
        try:
            yield
        finally:
            self._cancel = None
            self._quiet.set()
            self._lock.release()

    def check_reply(self) -> None:
        """Called before each layer of who has the floor: raises ``StopAsked`` once that shall end."""
        if self._cancel is not None and self._cancel.is_set():
            raise StopAsked
        if self._gives_way and self._wanting:
            raise StopAsked

    @contextmanager
    def _wanted(self, by: int) -> Iterator[None]:
        with self._counting:
            self._wanting += by
        try:
            yield
        finally:
            with self._counting:
                self._wanting -= by

    def check_training(self, *ends: threading.Event) -> None:
        """Called before each layer of a training: waits while a reply runs; raises ``StopAsked`` once one is set."""
        while not any(each.is_set() for each in ends):
            if self._quiet.wait(_POLL_S):
                return
        raise StopAsked
