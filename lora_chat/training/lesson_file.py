"""Lessons in a file: one JSON object a line. Owns that form; never says where the file lies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lora_chat.chat.conversation import Role, Turn
from lora_chat.training.lesson import Lesson

Row = dict[str, Any]


def to_lines(rows: Iterable[Row]) -> bytes:
    """What is written."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def lesson_row(lesson: Lesson) -> Row:
    """One lesson; a reader gets back what is learnt and of what, without why."""
    return {"messages": turn_rows(lesson.messages), "learn": list(lesson.learn), "source": lesson.source}


def read_lesson(row: Row) -> Lesson:
    """What ``lesson_row`` made.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    lesson = Lesson(read_turns(row["messages"]), tuple(row["learn"]), row["source"])
    if not isinstance(lesson.source, str) or not all(isinstance(turn.content, str) for turn in lesson.messages):
        raise ValueError("a text in it is none")
    if not lesson.learn or not all(_is_answer(lesson, index) for index in lesson.learn):
        raise ValueError("what it learns is none of its answers")
    return lesson


def _is_answer(lesson: Lesson, index: int) -> bool:
    is_place = type(index) is int and 0 <= index < len(lesson.messages)
    return is_place and lesson.messages[index].role is Role.ASSISTANT


def turn_rows(messages: Iterable[Turn]) -> list[Row]:
    """The turns of a conversation."""
    return [{"role": turn.role.value, "content": turn.content} for turn in messages]


def read_turns(rows: Iterable[Row]) -> tuple[Turn, ...]:
    """What ``turn_rows`` made. Raises as ``read_lesson``."""
    return tuple(Turn(Role(row["role"]), row["content"]) for row in rows)
