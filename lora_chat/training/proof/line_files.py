"""The files of an adapter's line. Owns their names, their form and the lock; never decides what is in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lora_chat.chat.conversation import Role
from lora_chat.errors import StoreError
from lora_chat.paths import make_private
from lora_chat.training.lesson import Lesson
from lora_chat.training.lesson_file import Row, read_lesson, read_turns, turn_rows
from lora_chat.training.proof.check import Check

Item = TypeVar("Item")

LESSONS, CHECKS, PROOFS, PARENTS = "lessons.jsonl", "checks.jsonl", "proofs.json", "parents.json"
_LOCK = "lock"
_WORDS = ("must", "must_not", "rewordings")


@dataclass(frozen=True)
class Proved:
    """What came of one check."""

    held: bool
    wrong: tuple[tuple[str, str], ...] = ()
    """(question, answer) of each that did not hold."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else changes the files of this line meanwhile; it is made where there is none."""
    from filelock import FileLock

    make_private(folder)
    with FileLock(folder / _LOCK, mode=0o600, is_singleton=False):
        yield


@contextmanager
def alone_if_there(folder: Path) -> Iterator[bool]:
    """The same, and whether the line is there: one that was removed is not made again."""
    from filelock import FileLock

    if not folder.is_dir():
        yield False
        return
    before = folder.stat()
    with FileLock(folder / _LOCK, mode=0o600, is_singleton=False):  # which would make the folder
        is_there = os.path.samestat(before, folder.stat())
        yield is_there
    if not is_there:
        with suppress(OSError):
            if [each.name for each in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
                folder.rmdir()


def read_rows(path: Path, read: Callable[[Row], Item]) -> list[Item]:
    """What ``read`` makes of each line of a file; nothing where there is none.

    Raises:
        StoreError: it is damaged, naming it and the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}): mend it, or delete it.") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found += [read(json.loads(line))] if line else []
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = f"{path}, line {number}, is damaged ({type(error).__name__}: {error})"
            raise StoreError(f"{why}: mend that line or delete it.") from error
    return found


def kept_checks(folder: Path) -> list[Check] | None:
    """All checks of all versions, as they stand there; None where no file of them is: nothing was ever taught.

    Who forgets leaves the file, however little is in it. Raises as ``read_rows``.
    """
    return read_rows(folder / CHECKS, read_check) if os.path.lexists(folder / CHECKS) else None


def read_taught(row: Row) -> tuple[Lesson, str, bool]:
    """A lesson, the version that was taught it, and whether it was held out. Raises as ``read_rows`` catches."""
    return _lesson(row), str(row.get("version", "")), bool(row.get("heldout"))


def checked_row(row: Row) -> Row:
    """The row as it is, where it is a lesson."""
    read_taught(row)
    return row


def check_row(check: Check) -> Row:
    """What ``read_check`` reads."""
    more: Row = {key: list(value) for key in _WORDS if (value := getattr(check, key))}
    more |= {"dropped": True} if check.dropped else {}
    return {"messages": turn_rows(check.messages), "answer": check.answer, "version": check.version} | more


def read_check(row: Row) -> Check:
    """What ``check_row`` made, or a person wrote."""
    words = {key: tuple(filter(None, map(str.strip, _texts(row.get(key, []), key)))) for key in _WORDS}
    messages = read_turns(row["messages"])
    if not messages or messages[-1].role is not Role.USER:
        raise ValueError("its messages do not end with a question")
    _texts([turn.content for turn in messages], "messages")
    answer, version = _texts([row["answer"], row.get("version", "")], "answer or version")
    return Check(messages, answer, version, dropped=row.get("dropped") is True, **words)


def _lesson(row: Row) -> Lesson:
    lesson = read_lesson(row)
    _texts([turn.content for turn in lesson.messages], "messages")
    if not lesson.learn or any(not 0 < index < len(lesson.messages) for index in lesson.learn):
        raise ValueError("learn names no answer of its messages")
    return lesson


def _texts(values: Any, what: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{what} must be text")
    return values


def proof_row(proved: Proved) -> Row:
    """What ``read_proof`` reads."""
    return {"held": proved.held, "wrong": [list(pair) for pair in proved.wrong]}


def read_proof(row: Row) -> Proved:
    """What ``proof_row`` made."""
    wrong = [(str(asked), str(said)) for asked, said in row["wrong"]]
    return Proved(bool(row["held"]), tuple(wrong))
