"""Checks that are asked while the base is put away: what ends them is nobody's failure; any other end is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from lora_chat.errors import EngineError
from lora_chat.sitting.checking import Checking
from lora_chat.tui.messages import CheckSeen
from lora_chat.tui.proving import prove


class Closing:
    """An engine that is closed before the first answer."""

    def ask(self, cancel: threading.Event, checks: Sequence[Any]) -> Iterator[Any]:
        raise EngineError("The engine was closed.")
        yield


def test_an_engine_that_is_put_away_ends_them_without_a_word() -> None:
    told: list[Any] = []
    cancel = threading.Event()
    cancel.set()
    prove(cast(Checking, Closing()), [], cancel, told.append)
    assert [(type(each), each.found) for each in told] == [(CheckSeen, None)]


def test_an_engine_that_ends_by_itself_is_told() -> None:
    told: list[Any] = []
    with pytest.raises(EngineError, match="closed"):
        prove(cast(Checking, Closing()), [], threading.Event(), told.append)
    assert len(told) == 1
