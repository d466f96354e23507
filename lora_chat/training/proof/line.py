"""An adapter's line: all that its versions were taught. Owns the folder ``lines/<name>/``; never trains and never asks.

Its files are plain: ``lessons.jsonl`` and ``checks.jsonl`` (what was taught, the person's own words), ``proofs.json``
(which checks held, version by version). ``versions/`` beside them is ``adapters.versions``'.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lora_chat.adapters.manifest import version_key
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.files import write_durably
from lora_chat.paths import Paths
from lora_chat.training.lesson import Lesson
from lora_chat.training.lesson_file import Row, lesson_row, read_lesson, read_turns, to_lines, turn_rows
from lora_chat.training.proof.check import Check, checks_of, merged

Item = TypeVar("Item")

_LESSONS, _CHECKS, _PROOFS = "lessons.jsonl", "checks.jsonl", "proofs.json"
_WORDS = ("must", "must_not", "rewordings")


@dataclass(frozen=True)
class Proved:
    """What came of one check."""

    held: bool
    wrong: tuple[tuple[str, str], ...] = ()
    """(question, answer) of each that did not hold."""


@dataclass(frozen=True)
class Line:
    """The line of one adapter."""

    folder: Path

    @classmethod
    def of(cls, name: str, paths: Paths) -> Line:
        """That of the adapter ``name``, which may have none yet."""
        return cls(paths.lines / name)

    def lessons(self, until: str = "") -> tuple[Lesson, ...]:
        """All that was taught, the earliest first; with ``until`` what that version knows. Raises as ``checks``."""
        return tuple(lesson for lesson, version in self._read(_LESSONS, _taught) if _is_known(version, until))

    def checks(self, until: str = "") -> list[Check]:
        """All checks, the earliest first; with ``until`` only those of what that version was taught; of two
        to one question the last line.

        Raises:
            StoreError: the file is damaged, naming it and the line.
        """
        known = {check.id: check for check in self._read(_CHECKS, _check)}
        return [check for check in known.values() if _is_known(check.version, until)]

    def teach(self, lessons: Iterable[Lesson], version: str, heldout: Iterable[Lesson] = ()) -> None:
        """Keep what ``version`` learnt, and a check of each of its answers; a question taught anew has the new answer.

        ``heldout`` is kept as well and is not checked, as it was not learnt. Raises as ``checks``.
        """
        taught, others = list(lessons), list(heldout)
        known = self._read(_LESSONS, _taught)
        since = dict(known)
        anew = {question_of(lesson) for lesson in (*taught, *others)}
        rows = [(lesson, first) for lesson, first in known if question_of(lesson) not in anew]
        rows += [(lesson, since.get(lesson, version)) for lesson in (*others, *taught)]
        self.keep(merged(self.checks(), checks_of(taught, version)))
        self._write(_LESSONS, [lesson_row(lesson) | {"version": first} for lesson, first in rows])

    def keep(self, checks: Iterable[Check]) -> None:
        """These are the checks from now on."""
        self._write(_CHECKS, [_check_row(check) for check in checks])

    def change(self, check: Check) -> None:
        """Keep ``check`` in the place of the one with its id. Raises as ``checks``."""
        self.keep(check if each.id == check.id else each for each in self.checks())

    def drop(self, check: Check) -> None:
        """Ask ``check`` no longer; what was taught stays. Raises as ``checks``."""
        self.keep(each for each in self.checks() if each.id != check.id)

    def proofs(self, version: str) -> dict[str, Proved]:
        """What came of the checks that were last asked of ``version``, by their ids; empty where none were."""
        return self._proofs().get(version, {})

    def before(self, version: str) -> dict[str, Proved]:
        """The same of the version that was asked before ``version``; empty where it was the first."""
        asked = list(self._proofs().items())
        earlier = [found for name, found in asked[: [name for name, _ in [*asked, (version, {})]].index(version)]]
        return earlier[-1] if earlier else {}

    def note(self, version: str, proofs: Mapping[str, Proved]) -> None:
        """Keep what came of these checks of ``version``, beside what came of others."""
        known = self._proofs()
        known[version] = {**known.get(version, {}), **proofs}
        rows = {name: {id: _proof_row(each) for id, each in found.items()} for name, found in known.items()}
        write_durably(self.folder / _PROOFS, json.dumps(rows, ensure_ascii=False, indent=1).encode("utf-8", "replace"))

    def forget(self) -> None:
        """Delete all of it, the versions too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _proofs(self) -> dict[str, dict[str, Proved]]:
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            found = json.loads((self.folder / _PROOFS).read_text(encoding="utf-8"))
            return {name: {id: _proof(each) for id, each in rows.items()} for name, rows in found.items()}
        return {}  # asking again makes it anew

    def _read(self, name: str, read: Callable[[Row], Item]) -> list[Item]:
        path = self.folder / name
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

    def _write(self, name: str, rows: Iterable[Row]) -> None:
        write_durably(self.folder / name, to_lines(rows))


def question_of(lesson: Lesson) -> tuple[Turn, ...]:
    """All that comes before the first answer that it teaches."""
    return lesson.messages[: lesson.learn[0]]


def _is_known(version: str, until: str) -> bool:
    """Whether ``until`` knows what ``version`` was taught; what names no version all of them know."""
    return not until or not version or version_key(version) <= version_key(until)


def _taught(row: Row) -> tuple[Lesson, str]:
    return _lesson(row), str(row.get("version", ""))


def _check_row(check: Check) -> Row:
    more = {key: list(value) for key in _WORDS if (value := getattr(check, key))}
    return {"messages": turn_rows(check.messages), "answer": check.answer, "version": check.version} | more


def _check(row: Row) -> Check:
    words = {key: tuple(filter(None, map(str.strip, _texts(row.get(key, []), key)))) for key in _WORDS}
    messages = read_turns(row["messages"])
    if not messages or messages[-1].role is not Role.USER:
        raise ValueError("its messages do not end with a question")
    _texts([turn.content for turn in messages], "messages")
    answer, version = _texts([row["answer"], row.get("version", "")], "answer or version")
    return Check(messages, answer, version, **words)


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


def _proof_row(proved: Proved) -> Row:
    return {"held": proved.held, "wrong": [list(pair) for pair in proved.wrong]}


def _proof(row: Row) -> Proved:
    wrong = [(str(asked), str(said)) for asked, said in row["wrong"]]
    return Proved(bool(row["held"]), tuple(wrong))
