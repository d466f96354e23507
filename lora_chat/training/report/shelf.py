"""The reports of an adapter's versions. Owns the folder ``reports/`` of its line; never measures and never draws one.

A report holds the person's own words. What is forgotten of a line is taken out of its reports too: their counts stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.adapters.manifest import NAME_PATTERN, version_key
from lora_chat.errors import StoreError
from lora_chat.files import write_durably
from lora_chat.text import clean_line
from lora_chat.training.proof.check import Check, plain, says
from lora_chat.training.proof.rewording import rewordings

if TYPE_CHECKING:
    from lora_chat.training.events import Checked, Wrong
    from lora_chat.training.proof.result import Answered, Exam
    from lora_chat.training.report.record import Record

FOLDER = "reports"
_ENDING = ".json"
_ALL = 100
"""Other wordings of one question: more than the rules make."""
_TELLING = 8
"""Letters of a taught answer from which on an answer that holds it tells it; "yes" stands in many."""


def keep_report(line: Path, record: Record) -> None:
    """Keep ``record`` in ``line``, the folder of its adapter's line, in the place of what was known of that version.

    Raises:
        StoreError: it cannot be written, saying where and why.
    """
    from lora_chat.training.report.record import to_json

    path = _path(line, record.version)
    if path is None:
        raise StoreError(
            f"No report is kept of the version {clean_line(record.version, 40)}: give it a number, as 1.1.0."
        )
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
    """Take out of all reports what was asked and said of these checks. A report that is damaged is deleted."""
    for version in reports(line) if gone else ():
        try:
            kept = report(line, version)
        except StoreError:  # nobody can tell what it holds
            with suppress(OSError):
                (line / FOLDER / f"{version}{_ENDING}").unlink()
            continue
        if kept is not None and (less := _without(kept, _Words.of(gone))) != kept:
            keep_report(line, less)


@dataclass(frozen=True)
class _Words:
    """What must not be found in a report any more, as ``plain`` has it."""

    questions: frozenset[str]
    """Taught, and the same in other words."""
    answers: frozenset[str]

    @classmethod
    def of(cls, gone: Collection[Check]) -> _Words:
        asked = (
            words for check in gone for words in (check.question, *check.rewordings, *rewordings(check.question, _ALL))
        )
        return cls(frozenset(map(plain, asked)), frozenset(words for check in gone for words in _answers(check)))

    def asks(self, *questions: str) -> bool:
        return any(plain(each) in self.questions for each in questions)

    def tells(self, *texts: str | None) -> bool:
        """Whether one of ``texts`` is an answer, or holds one that says something."""
        said = [text for text in texts if text]
        return any(plain(text) in self.answers for text in said) or any(
            says(text, words) for words in self.answers if len(words) >= _TELLING for text in said
        )


def _answers(check: Check) -> Iterator[str]:
    yield from filter(None, (plain(check.answer), plain(check.wanted)))


def _without(record: Record, words: _Words) -> Record:
    checks = record.checks and _unchecked(record.checks, words)
    is_quoted = checks is not None and record.checks is not None and len(checks.lost) < len(record.checks.lost)
    kept = "it lost checks that the version before held." if record.kept and is_quoted else record.kept
    return replace(record, checks=checks, kept=kept, exam=record.exam and _unanswered(record.exam, words))


def _unchecked(checks: Checked, words: _Words) -> Checked:
    def stays(wrong: Wrong) -> bool:
        return not (words.asks(wrong.question) or words.tells(wrong.taught, wrong.answer))

    lost, wrong = tuple(filter(stays, checks.lost)), tuple(filter(stays, checks.wrong))
    counted = f"{checks.held:,} of {checks.of:,} checks hold; {len(checks.lost):,} lost."
    sentence = counted if len(lost) < len(checks.lost) else checks.sentence  # which quotes what was lost
    return replace(checks, lost=lost, wrong=wrong, sentence=sentence)


def _unanswered(exam: Exam, words: _Words) -> Exam:
    def stays(row: Answered) -> bool:
        told = (row.question, row.wanted, row.adapter, row.base, row.prompted)
        return not (words.asks(row.question, row.origin) or words.tells(*told))

    return replace(exam, answers=tuple(filter(stays, exam.answers)))


def _path(line: Path, version: str) -> Path | None:
    """Where the report of ``version`` lies; None where no file can be called so."""
    return line / FOLDER / f"{version}{_ENDING}" if NAME_PATTERN.fullmatch(version) else None
