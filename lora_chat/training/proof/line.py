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
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import version_key
from lora_chat.adapters.removal import removed_lines
from lora_chat.chat.conversation import Turn
from lora_chat.errors import LoraChatError, StoreError
from lora_chat.files import write_durably
from lora_chat.paths import Paths
from lora_chat.training.lesson import Lesson
from lora_chat.training.lesson_file import Row, lesson_row, to_lines
from lora_chat.training.proof.check import Check, checks_of
from lora_chat.training.proof.forgotten import Forgotten
from lora_chat.training.proof.line_files import (
    CHECKS,
    LESSONS,
    PARENTS,
    PROOFS,
    Proved,
    alone,
    alone_if_there,
    check_row,
    checked_row,
    kept_checks,
    proof_row,
    read_check,
    read_proof,
    read_rows,
    read_taught,
)
from lora_chat.training.report.shelf import forget_checks

__all__ = ["Line", "Proved", "answers_of", "besides", "forget_conversation", "questions_of"]


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
        for lesson, version, heldout in read_rows(self.folder / LESSONS, read_taught):
            if known(version) and not (learnt and heldout):
                found = [*besides(found, questions_of([lesson])), lesson]
        return tuple(found)

    def checks(self, until: str = "", *, dropped: bool = False) -> list[Check]:
        """All checks, the earliest first; with ``until`` those of what that version and those it grew from were taught.

        Of one question the last line counts; with ``dropped`` also what the person wants asked no more.

        Raises:
            StoreError: the file is damaged, naming it and the line.
        """
        known = self._known_to(until)
        last = {check.id: check for check in read_rows(self.folder / CHECKS, read_check) if known(check.version)}
        return [check for check in last.values() if dropped or not check.dropped]

    def teach(self, lessons: Iterable[Lesson], version: str, heldout: Iterable[Lesson] = (), after: str = "") -> None:
        """Keep what ``version``, which grew from ``after``, learnt, and a check of each new answer.

        What another version was taught stays as it is. ``heldout`` is kept as well and is not checked, as it was not
        learnt. Raises as ``checks``.
        """
        taught = list(lessons)
        with alone(self.folder):
            known = answers_of(self.lessons(after, learnt=True)) if after else set()
            others = [row for row in read_rows(self.folder / LESSONS, checked_row) if row.get("version") != version]
            rows = [
                lesson_row(lesson) | {"version": version} | more
                for kept, more in ((heldout, {"heldout": True}), (taught, {}))
                for lesson in kept
                if not answers_of([lesson]) <= known
            ]
            before = {check.id: check for check in self.checks(after, dropped=True)} if after else {}
            there = read_rows(self.folder / CHECKS, read_check)
            same = {(check.id, check.version, check.answer) for check in there}
            dropped = {(check.id, check.answer) for check in there if check.dropped}
            new = [
                check
                for check in checks_of(taught, version)
                if not _is_same(check, before.get(check.id)) and (check.id, version, check.answer) not in same
            ]
            new = [replace(check, dropped=(check.id, check.answer) in dropped) for check in new]
            self._write(CHECKS, map(check_row, [*there, *_reworded(new, before)]))
            self._write(LESSONS, [*others, *rows])
            self._write_json(PARENTS, self._parents() | {version: after})

    def forget_conversation(self, id: str) -> None:
        """Delete what was taught from that conversation, its checks, and all that is kept of what they were answered.

        The lessons, which say what is to go, go last: what failed half-way is whole once it is done again.

        Raises:
            StoreError: as ``checks``, and the disk does not let it.
        """
        with alone_if_there(self.folder) as is_there:
            lessons = read_rows(self.folder / LESSONS, read_taught) if is_there else []
            gone = [check for lesson, _, _ in lessons if lesson.source == id for check in checks_of([lesson])]
            if all(lesson.source != id for lesson, _, _ in lessons):
                return
            left = [row for row in read_rows(self.folder / LESSONS, checked_row) if row["source"] != id]
            known, ids = read_rows(self.folder / CHECKS, read_check), {check.id for check in gone}
            gone += [each for each in known if each.id in ids]
            forget_checks(self.folder, gone)
            words = Forgotten.of(gone)
            self._write_proofs(
                {
                    version: {id: each for id, each in found.items() if id not in ids and not _tells(each, words)}
                    for version, found in self._proofs().items()
                }
            )
            self._write(CHECKS, [check_row(each) for each in known if each.id not in ids])
            self._write(LESSONS, left)

    def change(self, check: Check) -> None:
        """Keep ``check`` in the place of the one it was; what came of that proves nothing any more.

        Raises as ``checks``.
        """
        with alone(self.folder):
            same = (check.id, check.version)
            known = read_rows(self.folder / CHECKS, read_check)
            self._keep([check if (each.id, each.version) == same else each for each in known], {check.id})

    def drop(self, check: Check) -> None:
        """Ask ``check`` no longer, also where its answer is learnt again. Raises as ``checks``."""
        with alone(self.folder):
            known = read_rows(self.folder / CHECKS, read_check)
            gone = [replace(each, dropped=True) if each.id == check.id else each for each in known]
            self._keep(gone, {check.id})

    def take_over(self, said: Iterable[Check]) -> None:
        """What was said of these checks of another line holds for the same ones here. Raises as ``checks``."""
        with alone(self.folder):
            like = {(check.id, check.answer): check for check in said}
            known = read_rows(self.folder / CHECKS, read_check)
            new = [replace(like.get((each.id, each.answer), each), version=each.version) for each in known]
            self._keep(new, {each.id for each, old in zip(new, known, strict=True) if each != old})

    def _keep(self, checks: Iterable[Check], anew: Collection[str]) -> None:
        """These are the checks from now on; what came of those ``anew``, by their ids, proves nothing any more."""
        self._write(CHECKS, map(check_row, checks))
        proofs = self._proofs()
        self._write_proofs(
            {name: {id: each for id, each in found.items() if id not in anew} for name, found in proofs.items()}
        )

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
        """Keep what came of these checks of ``version``, beside what came of others.

        What a check was answered that is forgotten meanwhile is not kept. Raises as ``checks``.
        """
        with alone(self.folder):
            checks = kept_checks(self.folder)
            there = proofs.keys() if checks is None else {check.id for check in checks if not check.dropped}
            known = self._proofs()
            new = {id: proved for id, proved in proofs.items() if id in there or not proved.wrong}
            known[version] = known.get(version, {}) | new
            self._write_proofs(known)

    def forget(self) -> None:
        """Delete all of it, the versions too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _proofs(self) -> dict[str, dict[str, Proved]]:
        with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            found = json.loads((self.folder / PROOFS).read_text(encoding="utf-8"))
            return {name: {id: read_proof(each) for id, each in rows.items()} for name, rows in found.items()}
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
            found = json.loads((self.folder / PARENTS).read_text(encoding="utf-8"))
            return {str(version): str(parent) for version, parent in found.items()}
        return {}

    def _write_proofs(self, proofs: Mapping[str, Mapping[str, Proved]]) -> None:
        self._write_json(
            PROOFS, {name: {id: proof_row(each) for id, each in found.items()} for name, found in proofs.items()}
        )

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        write_durably(self.folder / name, text.encode("utf-8", "replace"))

    def _write(self, name: str, rows: Iterable[Row]) -> None:
        write_durably(self.folder / name, to_lines(rows))


def forget_conversation(id: str, paths: Paths) -> None:
    """Delete what any adapter was taught from that conversation, also one that was removed and could come back.

    Raises:
        StoreError: of one of them it could not be deleted; of all others it was.
    """
    failed: list[Exception] = []
    for folder in (*(paths.lines.iterdir() if paths.lines.is_dir() else ()), *removed_lines(paths)):
        try:
            Line(folder).forget_conversation(id)
        except (OSError, LoraChatError) as error:
            failed.append(error)
    if failed:
        raise StoreError(f"Something of it is still kept, so say it again once this is put right: {failed[0]}")


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


def _tells(proved: Proved, words: Forgotten) -> bool:
    return any(words.tells(said) or words.tells_in_part(asked, said) for asked, said in proved.wrong)


def _is_same(check: Check, before: Check | None) -> bool:
    return before is not None and before.answer == check.answer


def _reworded(taught: Iterable[Check], before: Mapping[str, Check]) -> Iterator[Check]:
    """What is taught anew is asked in the wordings of the question it had; what it must hold was said of the answer."""
    for check in taught:
        yield replace(check, rewordings=before[check.id].rewordings) if check.id in before else check
