"""A training that is made to wait. Owns that wait and a clock that leaves it out; never begins or ends one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_POLL_S = 0.05
"""An event can be waited for until it is set, not until it is cleared: looking 20 times a second costs no CPU."""


class Pauses:
    """The pauses of one training, on that training's own thread."""

    def __init__(self, asked: threading.Event | None) -> None:
        """``asked`` is set as long as somebody wants it to wait; None never does."""
        self._asked = asked
        self._waited = 0.0

    def wait(self, ended: Callable[[], bool]) -> None:
        """Return at once where no pause is asked for, else when it no longer is, or when ``ended()``."""
        if self._asked is None or not self._asked.is_set():
            return
        began = time.perf_counter()
        while self._asked.is_set() and not ended():
            time.sleep(_POLL_S)
        self._waited += time.perf_counter() - began

    def now(self) -> float:
        """``time.perf_counter()`` without the seconds that were waited here."""
        return time.perf_counter() - self._waited
