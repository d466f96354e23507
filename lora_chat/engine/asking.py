"""One question, one greedy answer. Owns how a program asks to find something out; never judges what is said."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Turn
from lora_chat.engine.protocol import Engine, Request, Sampling, TextChunk, Worn

LONGEST = 48
"""Tokens of an answer, unless told."""


def ask(
    engine: Engine, messages: tuple[Turn, ...], worn: Worn | None, cancel: threading.Event, longest: int = LONGEST
) -> str:
    """The greedy answer to ``messages`` wearing ``worn``, stripped; one that was cut at ``longest`` tokens ends in …

    Raises:
        LoraChatError: as ``Engine.generate``.
    """
    said = ""
    for chunk in engine.generate(Request(messages, worn, Sampling(0.0, max_tokens=longest, seed=0)), cancel):
        if isinstance(chunk, TextChunk):
            said += chunk.text
        elif chunk.reason == "length":
            said = f"{said.rstrip()} …"
    return said.strip()


def answering(engine: Engine, cancel: threading.Event) -> Callable[[Adapter | None, tuple[Turn, ...], int], str]:
    """``ask`` for whoever knows no engine: what an adapter, or the base alone, answers in at most so many tokens."""

    def answer(adapter: Adapter | None, messages: tuple[Turn, ...], longest: int) -> str:
        worn = Worn(adapter.name, adapter.path, adapter.sha256) if adapter else None
        return ask(engine, messages, worn, cancel, longest)

    return answer
