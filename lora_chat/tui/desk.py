"""A thread that does one thing after another. Owns the thread; never knows what it does."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Job = Callable[[], object]


class Desk:
    """Jobs put on it are done in order, off the event loop. A daemon: it never keeps the program from ending."""

    def __init__(self, name: str, complain: Callable[[BaseException], object]) -> None:
        """``complain`` is told what a job raised; the next one is done all the same."""
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._complain = complain
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Have ``job`` done after the others; returns at once."""
        self._jobs.put(job)

    def close(self, seconds: float) -> None:
        """Finish what was put before, for at most ``seconds``."""
        self._jobs.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:
                self._complain(error)
