"""The reports of an adapter's versions. Owns the folder ``reports/`` of its line; never measures and never draws one.

A report holds the person's own words. What is forgotten of a line is taken out of its reports too: their counts stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.adapters.manifest import NAME_PATTERN, version_key
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import StoreError
from lora_chat.files import sync_folder, write_durably
from lora_chat.text import clean_line
from lora_chat.training.proof.check import Check, plain
from lora_chat.training.proof.forgotten import Forgotten, fires_any, told_by
from lora_chat.training.proof.line_files import alone_if_there, kept_checks

if TYPE_CHECKING:
    from lora_chat.training.events import Wrong
    from lora_chat.training.proof.result import Answered
    from lora_chat.training.report.record import Record

FOLDER = "reports"
_ENDING = ".json"


def keep_report(folder: Path, record: Record) -> None:
    """Keep ``record`` in ``folder``, that of its adapter's line, in the place of what was known of that version.

    What was forgotten since it was asked is left out; of a line that was removed meanwhile nothing is kept.

    Raises:
        StoreError: it cannot be written, or nobody can tell what was forgotten, saying where and why.
    """
    path = _path(folder, record.version)
    if path is None:
        raise StoreError(
            f"No report is kept of the version {clean_line(record.version, 40)}: give it a number, as 1.1.0."
        )
    with alone_if_there(folder) as is_there:
        if is_there:
            _write(path, _known(record, folder) if _quotes(record) else record)


def _write(path: Path, record: Record) -> None:
    from lora_chat.training.report.record import to_json

    try:
        write_durably(path, to_json(record).encode("utf-8", "replace"))
    except OSError as error:
        raise StoreError(f"The report {path} cannot be written ({error.strerror}): make room for it there.") from error


def report(line: Path, version: str) -> Record | None:
    """What is kept of ``version``, under the name its line has now; None where nothing is.

    Raises:
        StoreError: it is damaged or cannot be read, naming the file.
    """
    from lora_chat.training.report.record import from_json

    if (path := _path(line, version)) is None:
        return None
    try:
        return replace(from_json(path.read_text(encoding="utf-8")), adapter=line.name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = clean_line(str(error).partition("\n")[0], 120)
        raise StoreError(f"The report {path} cannot be read ({why}): mend it, or delete it.") from error


def reports(line: Path) -> list[str]:
    """The versions that have a report, the oldest first."""
    with suppress(OSError):
        names = [path.name.removesuffix(_ENDING) for path in (line / FOLDER).iterdir() if path.name.endswith(_ENDING)]
        return sorted((name for name in names if NAME_PATTERN.fullmatch(name)), key=version_key)
    return []


def reported(lines: Path) -> list[str]:
    """The adapters that have a report, by name."""
    with suppress(OSError):
        return sorted(folder.name for folder in lines.iterdir() if folder.is_dir() and reports(folder))
    return []


def newest(lines: Path) -> Record | None:
    """The report that was made last, of any adapter; a damaged one is left out."""
    found: list[Record] = []
    for name in reported(lines):
        for version in reports(lines / name):
            with suppress(StoreError):
                found += filter(None, [report(lines / name, version)])
    return max(found, key=lambda each: each.made, default=None)


def forget_checks(line: Path, gone: Collection[Check]) -> None:
    """Take out of all reports what was asked and said of these checks. A report that is damaged is deleted.

    Whoever calls it has the line for themselves.

    Raises:
        StoreError: the disk does not let it, saying where and why.
    """
    words = Forgotten.of(gone)
    for version in reports(line) if gone else ():
        path = line / FOLDER / f"{version}{_ENDING}"
        try:
            kept = report(line, version)
        except StoreError:  # nobody can tell what it holds
            try:
                path.unlink()
                sync_folder(path.parent)
            except OSError as error:
                raise StoreError(f"The report {path} cannot be deleted ({error.strerror}): delete it.") from error
            continue
        if kept is not None and (less := _without(kept, words)) != kept:
            _write(path, less)


def _quotes(record: Record) -> bool:
    """Whether it holds words of anybody's."""
    asked = record.exam and record.exam.answers
    return bool(asked or (record.checks and (record.checks.wrong or record.checks.lost)))


def _known(record: Record, line: Path) -> Record:
    """What the checks of ``line`` still know of it; all of it where nothing was ever taught there.

    Of what is forgotten nobody knows the words any more, but the record itself: it says what was wanted.
    """
    checks = kept_checks(line)
    if checks is None:
        return record
    there = _There.of(checks)
    known = _only(_without(record, Forgotten.of(there.gone(record))), there.knows_wrong, there.knows)
    return known if known == record else _only(known, there.knows_wrong, there.knows_prompted)


@dataclass(frozen=True)
class _There:
    """What a line still teaches, as ``plain`` has it."""

    checks: tuple[Check, ...]
    taught: Mapping[str, Collection[str]]
    """The answers to each question."""
    reworded: Mapping[str, Collection[str]]
    """To each question in other words."""
    answers: Collection[str]

    @classmethod
    def of(cls, checks: Sequence[Check]) -> _There:
        taught, reworded = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for check in checks:
            answers = set(told_by(check))
            taught[plain(check.question)] |= answers
            for words in check.rewordings:
                reworded[plain(words)] |= answers
        return cls(tuple(checks), dict(taught), dict(reworded), set().union(*taught.values()))

    def knows_wrong(self, wrong: Wrong) -> bool:
        """Whether its question still has that answer."""
        asked = plain(wrong.question)
        return plain(wrong.taught) in {*self.taught.get(asked, ()), *self.reworded.get(asked, ())}

    def knows(self, row: Answered) -> bool:
        """Whether what it comes from is still taught, and, where it fires, what it tells."""
        origin = _origin(row)
        answers = self.taught.get(plain(origin)) if origin else self.answers
        if answers is None or (row.wanted and plain(row.wanted) not in answers):
            return False
        return row.kind in ("taught", "reworded") or row.right or fires_any(self.checks, row.question, row.adapter)

    def knows_prompted(self, row: Answered) -> bool:
        """The same of what the base says with the examples before it, all that there were."""
        is_taught = row.kind in ("taught", "reworded")
        return is_taught or row.prompted_right is not False or fires_any(self.checks, row.question, row.prompted)

    def gone(self, record: Record) -> list[Check]:
        """What ``record`` says was taught, and is not any more."""
        rows = record.exam.answers if record.exam else ()
        wrong = (*record.checks.lost, *record.checks.wrong) if record.checks else ()
        said = [(_origin(row) or row.question, row.wanted) for row in rows if row.wanted]
        said += [(each.question, each.taught) for each in wrong]
        return [
            Check((Turn(Role.USER, asked),), wanted)
            for asked, wanted in dict.fromkeys(said)
            if plain(asked) not in {*self.taught, *self.reworded} and plain(wanted) not in self.answers
        ]


def _origin(row: Answered) -> str:
    """The taught question that it comes from; empty where nobody knows."""
    return row.origin or (row.question if row.kind == "taught" else "")


def _without(record: Record, words: Forgotten) -> Record:
    """Without what these words are in."""

    def is_clean(wrong: Wrong) -> bool:
        told = words.tells(wrong.taught, wrong.answer) or words.tells_in_part(wrong.question, wrong.answer)
        return not (words.asks(wrong.question) or told)

    def stays(row: Answered) -> bool:
        told = (row.question, row.wanted, row.adapter, row.base, row.prompted)
        if words.asks(row.question, row.origin) or words.tells(*told):
            return False
        if row.kind in ("near", "far"):
            return not words.tells_in_part(row.question, row.adapter, row.base, row.prompted)
        wrong = (None if row.right else row.adapter, None if row.prompted_right else row.prompted)
        return not words.tells_in_part(row.question, *wrong)

    return _only(record, is_clean, stays)


def _only(record: Record, wrong_stays: Callable[[Wrong], bool], row_stays: Callable[[Answered], bool]) -> Record:
    """With only those of its questions; what was counted stays."""
    checks, exam, kept = record.checks, record.exam, record.kept
    if checks is not None:
        lost, wrong = tuple(filter(wrong_stays, checks.lost)), tuple(filter(wrong_stays, checks.wrong))
        sentence = checks.sentence
        if len(lost) < len(checks.lost):  # which both quote
            sentence = f"{checks.held:,} of {checks.of:,} checks hold; {len(checks.lost):,} lost."
            kept = kept and "it lost checks that the version before held."
        checks = replace(checks, lost=lost, wrong=wrong, sentence=sentence)
    if exam is not None:
        exam = replace(exam, answers=tuple(filter(row_stays, exam.answers)))
    return replace(record, checks=checks, kept=kept, exam=exam)


def _path(line: Path, version: str) -> Path | None:
    """Where the report of ``version`` lies; None where no file can be called so."""
    return line / FOLDER / f"{version}{_ENDING}" if NAME_PATTERN.fullmatch(version) else None
