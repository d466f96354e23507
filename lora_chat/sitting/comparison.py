"""Before and after. Owns which questions show what a training changed, and asking them; never judges the answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.asking import ask
from lora_chat.engine.protocol import Engine, Worn
from lora_chat.training.general import MEASURED
from lora_chat.training.selection import Lesson, Selection

TAUGHT = 3
"""This many taught questions are shown; each costs two answers."""


@dataclass(frozen=True)
class Question:
    """One question that is asked with and without the adapter."""

    messages: tuple[Turn, ...]
    kind: str
    """``taught``, ``reworded`` or ``not taught``."""

    @property
    def text(self) -> str:
        """Its last turn."""
        return self.messages[-1].content


@dataclass(frozen=True)
class Compared:
    """One question with both answers, as far as they are made: greedy, at most 48 tokens, then …"""

    question: Question
    base: str = ""
    adapter: str = ""
    done: bool = False

    @property
    def same(self) -> bool:
        """Whether both answers are the same to the letter."""
        return self.base == self.adapter


def questions(selection: Selection | None, more: Sequence[tuple[str, str]] = ()) -> list[Question]:
    """The newest taught ones, where they are known, then ``more`` (text, kind), else one that was not taught."""
    lessons = selection.lessons if selection else ()
    taught = [Question(lesson.messages[:index], "taught") for lesson in lessons for index in _asked(lesson)][-TAUGHT:]
    others = list(more) or [(MEASURED[3], "not taught")]
    return taught + [Question((Turn(Role.USER, text),), kind) for text, kind in others]


def compare(engine: Engine, asked: Sequence[Question], worn: Worn, cancel: threading.Event) -> Iterator[Compared]:
    """Ask each question of the base and then wearing ``worn``; yields a row whenever it has grown by an answer.

    Raises:
        LoraChatError: as ``Engine.generate``.
    """
    for question in asked:
        base = ask(engine, question.messages, None, cancel)
        if not cancel.is_set():
            yield Compared(question, base)
        adapter = ask(engine, question.messages, worn, cancel)
        if cancel.is_set():
            return
        yield Compared(question, base, adapter, done=True)


def _asked(lesson: Lesson) -> list[int]:
    """Indices of the learnt answers that follow a question."""
    return [index for index in lesson.learn if index and lesson.messages[index - 1].role is Role.USER]
