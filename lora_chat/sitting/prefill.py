"""The next prompt's beginning, read while the person writes. Owns that thread; never says what stood in its way.

The next answer meets the same, and says it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lora_chat.defects import record
from lora_chat.errors import LoraChatError

PAUSE = 0.2
"""Seconds before the reading begins: what is open is drawn first; who looks through conversations reads none."""

Read = Callable[[threading.Event, Callable[[int], object]], int]
"""Reads until its event is set; tells its tokens as soon as they are counted, and returns them."""


class Prefill:
    """What is read ahead of the next answer: one thing at a time, the newest."""

    def __init__(self, tell: Callable[[int], object]) -> None:
        """``tell`` is called, on a thread, with the tokens of what is read: once counted, and once read."""
        self._tell = tell
        self._telling = threading.Lock()
        """What is no longer wanted is not told after what replaced it."""
        self._cancel = threading.Event()

    def want(self, read: Read) -> None:
        """Have ``read`` done in place of what was wanted before; returns at once."""
        self.stop()
        self._cancel = cancel = threading.Event()
        threading.Thread(target=self._work, args=(read, cancel), name="prefill", daemon=True).start()

    def stop(self) -> None:
        """Nothing is wanted any more."""
        with self._telling:
            self._cancel.set()

    def _work(self, read: Read, cancel: threading.Event) -> None:
        def tell(tokens: int) -> None:
            with self._telling:
                if not cancel.is_set():
                    self._tell(tokens)

        if cancel.wait(PAUSE):
            return
        try:
            tell(read(cancel, tell))
        except LoraChatError:
            pass
        except Exception as error:  # a thread would print its traceback over the window
            record(error)
