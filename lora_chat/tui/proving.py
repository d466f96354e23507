"""Checks, beside the chat. Owns what the screen is told while they are asked; asking is ``sitting/checking.py``'s."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from lora_chat.errors import EngineError
from lora_chat.sitting.checking import Checking
from lora_chat.training.proof.check import Check
from lora_chat.tui.messages import CheckSeen, News


def prove(checking: Checking, checks: Sequence[Check], cancel: threading.Event, put: Callable[[News], object]) -> None:
    """Tell what comes of each, then that no more come. Raises as ``Checking.ask``, unless nobody waits any more."""
    try:
        for found in checking.ask(cancel, checks):
            put(CheckSeen(cancel, found))
    except EngineError:
        if not cancel.is_set():  # else its engine was put away meanwhile
            raise
    finally:
        put(CheckSeen(cancel, None))
