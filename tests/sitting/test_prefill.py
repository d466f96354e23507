"""What is read ahead while the person writes: the newest alone, on a thread, and never a word on what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lora_chat.errors import EngineError
from lora_chat.sitting import prefill as module
from lora_chat.sitting.prefill import Prefill, Read

Counted = Callable[[int], object]


def ended() -> None:
    """Until nothing is read any more."""
    for thread in threading.enumerate():
        if thread.name == "prefill":
            thread.join(20)
            assert not thread.is_alive()


def reading(*tokens: int) -> Read:
    """Counts all but the last, and reads that."""

    def read(_cancel: threading.Event, counted: Counted) -> int:
        for each in tokens[:-1]:
            counted(each)
        return tokens[-1]

    return read


class Slow:
    """Counts, then reads until it is released or nobody wants it any more."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.began, self.release = threading.Event(), threading.Event()
        self.cancel: threading.Event | None = None

    def __call__(self, cancel: threading.Event, counted: Counted) -> int:
        self.cancel = cancel
        counted(self.tokens)
        self.began.set()
        assert self.release.wait(20)
        counted(self.tokens + 1)
        return self.tokens + 2


def test_the_count_is_told_and_what_was_read_after_it() -> None:
    told: list[int] = []
    Prefill(told.append).want(reading(7, 5))
    ended()
    assert told == [7, 5]


def test_who_looks_through_conversations_has_none_of_them_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.5)
    told: list[int] = []
    ahead = Prefill(told.append)
    for tokens in range(20):
        ahead.want(reading(tokens))
    ended()
    assert told == [19]


def test_wanting_returns_before_anything_is_read() -> None:
    told: list[int] = []
    ahead, slow = Prefill(told.append), Slow(7)
    ahead.want(slow)
    assert slow.began.wait(20)
    assert told == [7]
    slow.release.set()
    ended()
    assert told == [7, 8, 9]


def test_what_is_wanted_instead_ends_what_was_and_that_tells_nothing_any_more() -> None:
    told: list[int] = []
    ahead, slow = Prefill(told.append), Slow(100)
    ahead.want(slow)
    assert slow.began.wait(20)
    ahead.want(reading(7))
    assert slow.cancel is not None
    assert slow.cancel.is_set()
    slow.release.set()
    ended()
    assert told == [100, 7]


def test_what_was_stopped_tells_nothing_and_the_next_does() -> None:
    told: list[int] = []
    ahead, slow = Prefill(told.append), Slow(100)
    ahead.stop()
    ahead.want(slow)
    assert slow.began.wait(20)
    ahead.stop()
    slow.release.set()
    ended()
    assert told == [100]
    ahead.want(reading(7))
    ended()
    assert told == [100, 7]


def test_a_count_that_is_being_told_is_told_before_the_one_that_replaces_it() -> None:
    told: list[int] = []
    telling, newer_told = threading.Event(), threading.Event()

    def tell(tokens: int) -> None:
        if tokens == 1:
            telling.set()
            newer_told.wait(0.3)  # so long the newer one could come before it
        told.append(tokens)
        if tokens == 2:
            newer_told.set()

    ahead = Prefill(tell)
    ahead.want(reading(1))
    assert telling.wait(20)
    ahead.want(reading(2))
    ended()
    assert told == [1, 2]


def test_the_newest_of_many_is_told_last() -> None:
    told: list[int] = []
    ahead = Prefill(told.append)
    for number in range(200):
        ahead.want(reading(number, number))
    ended()
    assert told[-1] == 199
    assert told == sorted(told)


@pytest.mark.parametrize("error", [EngineError("It does not run."), ValueError("a defect")])
def test_what_stands_in_its_way_is_not_told_and_only_a_defect_is_kept(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[BaseException] = []
    monkeypatch.setattr(module, "record", recorded.append)
    told: list[int] = []
    ahead = Prefill(told.append)

    def failing(_cancel: threading.Event, counted: Counted) -> int:
        counted(3)
        raise error

    ahead.want(failing)
    ended()
    assert told == [3]
    assert recorded == ([error] if isinstance(error, ValueError) else [])
    ahead.want(reading(7))
    ended()
    assert told == [3, 7]
