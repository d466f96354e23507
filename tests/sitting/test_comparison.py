"""Before and after: what is asked, and how an answer that was cut off is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Chunk, Engine, Finished, FinishReason, Request, TextChunk, Worn
from lora_chat.sitting.comparison import Question, compare, questions


class Says:
    """An engine that says who answers, and ends as it is told to."""

    def __init__(self, reason: FinishReason) -> None:
        self._reason = reason

    def generate(self, request: Request, cancel: threading.Event) -> Iterator[Chunk]:
        yield TextChunk(f"by {request.adapter.name if request.adapter else 'the base'} ")
        yield Finished(self._reason, 1, 0, 3, None, None, 0)


def rows(reason: FinishReason) -> list[tuple[str, str, bool]]:
    worn = cast(Worn, type("W", (), {"name": "shop"})())
    question = Question((Turn(Role.USER, "Who?"),), "taught")
    found: list[Any] = list(compare(cast(Engine, Says(reason)), [question], worn, threading.Event()))
    return [(row.base, row.adapter, row.done) for row in found]


def test_each_question_is_asked_without_and_with_the_adapter() -> None:
    assert rows("stop") == [("by the base", "", False), ("by the base", "by shop", True)]


def test_an_answer_that_was_cut_off_says_so() -> None:
    assert rows("length")[-1] == ("by the base …", "by shop …", True)


def test_of_what_an_earlier_window_planned_only_what_was_not_taught_is_asked() -> None:
    assert [question.kind for question in questions(None)] == ["not taught"]
