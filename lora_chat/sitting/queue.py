"""The trainings of one sitting, one after the other. Owns whose turn it is; never trains and never draws."""

from __future__ import annotations

import threading
from contextlib import suppress

from lora_chat.sitting.training import OVER, Training
from lora_chat.training.shelf import discard
from lora_chat.training.state import release


class Queue:
    """One runs, the others wait in their folders."""

    def __init__(self) -> None:
        self.newest: Training | None = None
        """The one that runs, or ran last."""
        self.waiting: list[Training] = []
        self._lock = threading.Lock()
        self._busy = self._closed = False

    @property
    def busy(self) -> bool:
        """Whether one runs, is paused or waits; one whose end was told has ended, though its thread may not yet."""
        return self._busy and (self.newest is None or self.newest.state not in OVER or bool(self.waiting))

    @property
    def names(self) -> list[str]:
        """Of those that wait, the next one first."""
        return [each.name for each in list(self.waiting)]

    def put(self, training: Training) -> bool:
        """Begin it now, or when those before it have ended; whether it began."""
        with self._lock:
            if self._busy:
                self.waiting.append(training)
                return False
            self._begin(training)
            return True

    def drop(self, name: str) -> bool:
        """Delete one that waits; whether there was one of that name."""
        with self._lock:
            found = next((each for each in self.waiting if each.name == name), None)
            if found is None:
                return False
            self.waiting.remove(found)
        discard(found.job)
        return True

    def wait(self) -> None:
        """Until all have ended."""
        while self._busy and self.newest is not None:
            self.newest.wait()

    def close(self) -> list[Training]:
        """Stop the one that runs, with a checkpoint, and begin no other; returns those that can go on later."""
        with self._lock:
            self._closed = True
            running = self.newest if self._busy else None
        if running is not None:
            running.stop()
        for each in self.waiting:
            with suppress(OSError):
                release(each.job)
        kept = [running] if running is not None and running.state == "stopped" else []
        return [*kept, *self.waiting]

    def _begin(self, training: Training) -> None:
        self._busy, self.newest = True, training
        training.start(self._ended)

    def _ended(self) -> None:
        """On the thread of the one that did."""
        with self._lock:
            self._busy = False
            if self.waiting and not self._closed:
                self._begin(self.waiting.pop(0))
