"""An adapter's line: all that its versions were taught. Owns the folder ``lines/<name>/``; never trains and never asks.

Its files are plain: ``lessons.jsonl`` and ``checks.jsonl`` (what each version was taught, the person's own words),
``parents.json`` (which version each grew from) and ``proofs.json`` (which checks held). ``versions/`` beside them is
``adapters.versions``', ``reports/`` is ``report.shelf``'s. What a version knows is what it and those it grew from were
taught.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lora_chat.adapters.manifest import version_key
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.files import write_durably
from lora_chat.paths import Paths, make_private
from lora_chat.training.lesson import Lesson
from lora_chat.training.lesson_file import Row, lesson_row, read_lesson, read_turns, to_lines, turn_rows
from lora_chat.training.proof.check import Check, checks_of
from lora_chat.training.report.shelf import forget_checks

Item = TypeVar("Item")

_LESSONS, _CHECKS, _PROOFS, _PARENTS = "lessons.jsonl", "checks.jsonl", "proofs.json", "parents.json"
_LOCK = "lock"
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

    def lessons(self, until: str = "", *, learnt: bool = False) -> tuple[Lesson, ...]:
        """All that was taught, the earliest first, of each question the newest answer. Raises as ``checks``.

        With ``until`` what that version and those it grew from were given; with ``learnt`` without what was held out.
        """
        known, found = self._known_to(until), list[Lesson]()
        for lesson, version, heldout in self._read(_LESSONS, _taught):
            if known(version) and not (learnt and heldout):
                found = [*besides(found, questions_of([lesson])), lesson]
        return tuple(found)

    def checks(self, until: str = "") -> list[Check]:
        """All checks, the earliest first; with ``until`` those of what that version and those it grew from were taught.

        Of one question the last line is asked.

        Raises:
            StoreError: the file is damaged, naming it and the line.
        """
        known = self._known_to(until)
        return list({check.id: check for check in self._read(_CHECKS, _check) if known(check.version)}.values())

    def teach(self, lessons: Iterable[Lesson], version: str, heldout: Iterable[Lesson] = (), after: str = "") -> None:
        """Keep what ``version``, which grew from ``after``, learnt, and a check of each new answer.

        What another version was taught stays as it is. ``heldout`` is kept as well and is not checked, as it was not
        learnt. Raises as ``checks``.
        """
        taught = list(lessons)
        with self._alone():
            known = answers_of(self.lessons(after, learnt=True)) if after else set()
            others = [row for row in self._read(_LESSONS, _checked_row) if row.get("version") != version]
            rows = [
                lesson_row(lesson) | {"version": version} | more
                for kept, more in ((heldout, {"heldout": True}), (taught, {}))
                for lesson in kept
                if not answers_of([lesson]) <= known
            ]
            before = {check.id: check for check in self.checks(after)} if after else {}
            there = self._read(_CHECKS, _check)
            same = {(check.id, check.version, check.answer) for check in there}
            new = [
                check
                for check in checks_of(taught, version)
                if not _is_same(check, before.get(check.id)) and (check.id, version, check.answer) not in same
            ]
            self._write(_CHECKS, map(_check_row, [*there, *_reworded(new, before)]))
            self._write(_LESSONS, [*others, *rows])
            self._write_json(_PARENTS, self._parents() | {version: after})

    def forget_conversation(self, id: str) -> None:
        """Delete what was taught from that conversation, its checks, and all that is kept of what they were answered.

        Raises as ``checks``.
        """
        with self._alone():
            gone = [lesson for lesson, _, _ in self._read(_LESSONS, _taught) if lesson.source == id]
            if gone:
                self._write(_LESSONS, [row for row in self._read(_LESSONS, _checked_row) if row["source"] != id])
                ids = {check.id for check in checks_of(gone)}
                known = self._read(_CHECKS, _check)
                self._write(_CHECKS, [_check_row(each) for each in known if each.id not in ids])
                proofs = self._proofs().items()
                self._write_proofs({name: {id: found[id] for id in found.keys() - ids} for name, found in proofs})
                forget_checks(self.folder, [*checks_of(gone), *(each for each in known if each.id in ids)])

    def keep(self, checks: Iterable[Check]) -> None:
        """These are the checks from now on."""
        self._write(_CHECKS, map(_check_row, checks))

    def change(self, check: Check) -> None:
        """Keep ``check`` in the place of the one it was; what came of that proves nothing any more.

        Raises as ``checks``.
        """
        with self._alone():
            same = (check.id, check.version)
            self.keep([check if (each.id, each.version) == same else each for each in self._read(_CHECKS, _check)])
            proofs = self._proofs()
            for found in proofs.values():
                found.pop(check.id, None)
            self._write_proofs(proofs)

    def drop(self, check: Check) -> None:
        """Ask ``check`` no longer; what was taught stays. Raises as ``checks``."""
        with self._alone():
            self.keep([each for each in self._read(_CHECKS, _check) if each.id != check.id])

    def proofs(self, version: str) -> dict[str, Proved]:
        """What came of the checks that were last asked of ``version``, by their ids; empty where none were."""
        return self._proofs().get(version, {})

    def before(self, version: str) -> dict[str, Proved]:
        """The same of the version that it grew from; where nobody knows that, of the one that was asked before it."""
        if version in (parents := self._parents()):
            return self.proofs(parents[version])
        asked = list(self._proofs().items())
        earlier = [found for name, found in asked[: [name for name, _ in [*asked, (version, {})]].index(version)]]
        return earlier[-1] if earlier else {}

    def note(self, version: str, proofs: Mapping[str, Proved]) -> None:
        """Keep what came of these checks of ``version``, beside what came of others."""
        with self._alone():
            known = self._proofs()
            known[version] = known.get(version, {}) | dict(proofs)
            self._write_proofs(known)

    def forget(self) -> None:
        """Delete all of it, the versions too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _proofs(self) -> dict[str, dict[str, Proved]]:
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            found = json.loads((self.folder / _PROOFS).read_text(encoding="utf-8"))
            return {name: {id: _proof(each) for id, each in rows.items()} for name, rows in found.items()}
        return {}  # asking again makes it anew

    def _known_to(self, version: str) -> Callable[[str], bool]:
        """Whether what was taught to a version is known to ``version``; what names none is known to all."""
        parents = self._parents()
        if not version:
            return lambda taught: True
        if version not in parents:  # it came from elsewhere
            return lambda taught: not taught or version_key(taught) <= version_key(version)
        chain = {"", version}
        while (version := parents.get(version, "")) not in chain:
            chain.add(version)
        return lambda taught: taught in chain

    def _parents(self) -> dict[str, str]:
        """Of each version the one that it grew from; empty where it is the first."""
        with suppress(OSError, ValueError, AttributeError, RecursionError):
            found = json.loads((self.folder / _PARENTS).read_text(encoding="utf-8"))
            return {str(version): str(parent) for version, parent in found.items()}
        return {}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes these files meanwhile."""
        from filelock import FileLock

        make_private(self.folder)
        with FileLock(self.folder / _LOCK, mode=0o600, is_singleton=False):
            yield

    def _write_proofs(self, proofs: Mapping[str, Mapping[str, Proved]]) -> None:
        self._write_json(
            _PROOFS, {name: {id: _proof_row(each) for id, each in found.items()} for name, found in proofs.items()}
        )

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        write_durably(self.folder / name, text.encode("utf-8", "replace"))

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


def forget_conversation(id: str, paths: Paths) -> None:
    """Delete what any adapter was taught from that conversation; a damaged line stays as it is."""
    for folder in paths.lines.iterdir() if paths.lines.is_dir() else ():
        with suppress(StoreError):
            Line(folder).forget_conversation(id)


def questions_of(lessons: Iterable[Lesson]) -> set[tuple[Turn, ...]]:
    """What comes before each answer that they teach."""
    return {lesson.messages[:index] for lesson in lessons for index in lesson.learn}


def answers_of(lessons: Iterable[Lesson]) -> set[tuple[Turn, ...]]:
    """Each answer that they teach, with what comes before it."""
    return {lesson.messages[: index + 1] for lesson in lessons for index in lesson.learn}


def besides(lessons: Iterable[Lesson], anew: Collection[tuple[Turn, ...]]) -> list[Lesson]:
    """What of ``lessons`` answers none of the questions ``anew``; of some only a part."""
    found = (lesson.without([i for i in lesson.learn if lesson.messages[:i] in anew]) for lesson in lessons)
    return [lesson for lesson in found if lesson is not None]


def _is_same(check: Check, before: Check | None) -> bool:
    return before is not None and before.answer == check.answer


def _reworded(taught: Iterable[Check], before: Mapping[str, Check]) -> Iterator[Check]:
    """What is taught anew is asked in the wordings of the question it had; what it must hold was said of the answer."""
    for check in taught:
        yield replace(check, rewordings=before[check.id].rewordings) if check.id in before else check


def _taught(row: Row) -> tuple[Lesson, str, bool]:
    return _lesson(row), str(row.get("version", "")), bool(row.get("heldout"))


def _checked_row(row: Row) -> Row:
    _taught(row)
    return row


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
