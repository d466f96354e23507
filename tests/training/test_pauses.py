"""A pause lasts as long as somebody wants it, and its clock leaves it out."""

from __future__ import annotations

import threading
import time

import pytest

from lora_chat.training.pauses import Pauses


def never() -> bool:
    return False


@pytest.mark.parametrize("asked", [None, threading.Event()])
def test_without_a_pause_nothing_waits_and_the_clock_is_the_usual_one(asked: threading.Event | None) -> None:
    pauses = Pauses(asked)
    pauses.wait(never)
    before = time.perf_counter()
    assert before <= pauses.now() <= time.perf_counter()


def test_it_waits_until_the_pause_is_over_and_the_clock_stood_still() -> None:
    asked = threading.Event()
    pauses = Pauses(asked)
    asked.set()
    threading.Timer(0.3, asked.clear).start()
    began, began_here = time.perf_counter(), pauses.now()
    pauses.wait(never)
    assert time.perf_counter() - began >= 0.3
    assert pauses.now() - began_here < time.perf_counter() - began - 0.29


def test_several_pauses_add_up() -> None:
    asked = threading.Event()
    pauses = Pauses(asked)
    for _ in range(3):
        asked.set()
        threading.Timer(0.1, asked.clear).start()
        pauses.wait(never)
    assert time.perf_counter() - pauses.now() >= 0.3


def test_an_end_is_noticed_while_it_waits() -> None:
    asked, ended = threading.Event(), threading.Event()
    asked.set()
    threading.Timer(0.1, ended.set).start()
    began = time.perf_counter()
    Pauses(asked).wait(ended.is_set)
    assert 0.1 <= time.perf_counter() - began < 5
