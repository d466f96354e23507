"""From the threads to the event loop. Owns the one crossing and its pace; never looks at what a message means.

At most some 25 deliveries a second: pieces of an answer that come faster are joined, and of several looks at a training
the newest is told.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from lora_chat.tui.messages import ColumnsSeen, News, ReplyGrew, TrainingSeen

PACE_S = 0.04


class Outbox:
    """A queue that any thread may put into and whose messages arrive on the event loop, in order."""

    def __init__(self, deliver: Callable[[News], object]) -> None:
        """``deliver`` is called on the event loop."""
        self._deliver = deliver
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._waiting: list[News] = []
        self._scheduled = False
        self._last = 0.0

    def open(self) -> None:
        """Begin to deliver; called on the event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._waiting:
                self._schedule()

    def close(self) -> None:
        """Deliver nothing more."""
        with self._lock:
            self._loop = None

    def put(self, news: News) -> None:
        """Have ``news`` delivered; from any thread."""
        with self._lock:
            if not (self._waiting and _joined(self._waiting, news)):
                self._waiting.append(news)
            if self._loop is not None and not self._scheduled:
                self._schedule()

    def _schedule(self) -> None:
        assert self._loop is not None
        self._scheduled = True
        try:
            self._loop.call_soon_threadsafe(self._pace)
        except RuntimeError:  # the loop is closed: the window is gone, and nobody looks
            self._loop = None

    def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, self._last + PACE_S - loop.time()), self._flush)

    def _flush(self) -> None:
        with self._lock:
            news, self._waiting, self._scheduled = self._waiting, [], False
            self._last = asyncio.get_running_loop().time()
            if self._loop is None:
                return
        for each in news:
            self._deliver(each)


def _joined(waiting: list[News], news: News) -> bool:
    """Whether ``news`` went into the last one waiting."""
    last = waiting[-1]
    if isinstance(last, ReplyGrew) and isinstance(news, ReplyGrew) and last.message_id == news.message_id:
        waiting[-1] = ReplyGrew(last.message_id, last.text + news.text)
        return True
    if isinstance(last, ColumnsSeen) and isinstance(news, ColumnsSeen) and (grown := _grown(last, news)):
        waiting[-1] = grown
        return True
    if isinstance(last, TrainingSeen) and isinstance(news, TrainingSeen):
        if last.progress.running is not news.progress.running:
            return False  # its beginning and its end are both told, however close they are
        waiting[-1] = news
        return True
    return False


def _grown(last: ColumnsSeen, news: ColumnsSeen) -> ColumnsSeen | None:
    """Two pieces of one column as one, where they are that."""
    from lora_chat.sitting.columns import Grew

    before, more = last.event, news.event
    if not isinstance(before, Grew) or not isinstance(more, Grew) or before.column != more.column:
        return None
    same = last.comparison is news.comparison
    return ColumnsSeen(last.comparison, Grew(before.column, before.text + more.text)) if same else None
