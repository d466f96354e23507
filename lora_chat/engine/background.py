"""A generator run on a thread of its own. Owns the thread and its queue; never looks at what passes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def run_in_background(make: Callable[[], Iterator[Item]], stop: threading.Event, name: str) -> Iterator[Item]:
    """Yield what ``make()`` yields, computed ahead on a daemon thread called ``name``; its exception is raised here.

    Closing the iterator sets ``stop`` and waits for the thread, so nothing runs on unseen.
    """
    items: queue.SimpleQueue[tuple[str, Item | BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            for item in make():
                items.put(("item", item))
            items.put(("end", None))
        except BaseException as error:
            items.put(("error", error))

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while True:
            kind, item = items.get()
            if kind == "error":
                assert isinstance(item, BaseException)
                raise item
            if kind == "end":
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
