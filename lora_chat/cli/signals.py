"""Signals at the line chat. Owns that each is heard at once, the first SIGTERM's end, and one Ctrl-C a line."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_S = 0.05
"""How long after a signal the main thread is woken, for the case that it went to wait meanwhile."""


class Terminated(BaseException):
    """SIGTERM came; nothing that catches a failure or a Ctrl-C holds it up."""


@contextmanager
def ended_in_order() -> Iterator[None]:
    """The first SIGTERM unwinds, so that all that is open is closed, and ends the program then; the next ends it."""

    def on_signal(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, before)
        raise Terminated

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        with heard_at_once():
            yield
    except Terminated:
        sys.stdout.flush()
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def heard_at_once() -> Iterator[None]:
    """A signal that comes just as the main thread begins to wait for a key is heard then, not at the next key.

    CPython notes a signal and tells it between two steps of Python. Where it comes behind the last step, or to another
    thread, line editing waits for a key all the same (``readline_until_enter_or_signal`` of CPython's
    ``Modules/readline.c``). So each signal is followed by one that does nothing but end that wait: SIGURG, which is
    ignored elsewhere. In the main thread only; where there is no SIGURG nothing is changed.
    """
    if not hasattr(signal, "SIGURG"):
        yield
        return
    main = threading.get_ident()
    heard, told = os.pipe()
    os.set_blocking(told, False)  # as set_wakeup_fd wants it

    def wake() -> None:
        while number := os.read(heard, 1):
            if number[0] != signal.SIGURG:
                time.sleep(_AGAIN_S)
                signal.pthread_kill(main, signal.SIGURG)

    waker = threading.Thread(target=wake, name="waker", daemon=True)
    before = signal.signal(signal.SIGURG, lambda number, frame: None)
    waker.start()
    fd_before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        os.close(told)
        waker.join()
        os.close(heard)
        signal.signal(signal.SIGURG, before)


@contextmanager
def one_interrupt_a_line() -> Iterator[Callable[[], None]]:
    """At a terminal Ctrl-C interrupts each line once; the next ones, which come while that is told, do nothing.

    Gives what to call at the beginning of each line.
    """
    armed = False

    def arm() -> None:
        nonlocal armed
        armed = True

    def on_signal(number: int, frame: Any) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    if not sys.stdin.isatty():
        yield arm
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield arm
    finally:
        signal.signal(signal.SIGINT, before)
