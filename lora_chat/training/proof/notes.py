"""What comes of checks, kept while they are asked. Owns how often it is written; the file is ``line``'s."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from lora_chat.training.proof.line import Line, Proved

EVERY_S = 2.0
"""Seconds of asking that a killed program loses at most: of thousands of checks, writing each would take minutes."""


class Notes:
    """Of one version; made by ``noting``."""

    def __init__(self, line: Line, version: str) -> None:
        self._line, self._version = line, version
        self._waiting: dict[str, Proved] = {}
        self._written = time.monotonic()

    def add(self, id: str, proved: Proved) -> None:
        """What came of the check ``id``. Raises as ``Line.note``, now or at a later one."""
        self._waiting[id] = proved
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def write(self) -> None:
        """Keep all that waits. Raises as ``Line.note``."""
        if self._waiting:
            self._line.note(self._version, self._waiting)
        self._waiting = {}
        self._written = time.monotonic()


@contextmanager
def noting(line: Line, version: str) -> Iterator[Notes]:
    """Keep what is added, at the latest at the end, also where that is an error. Raises as ``Line.note``."""
    notes = Notes(line, version)
    try:
        yield notes
    finally:
        notes.write()
