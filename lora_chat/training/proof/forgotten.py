"""The words of checks that are forgotten. Owns when a text asks or tells them; never deletes any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lora_chat.training.proof.check import Check, plain, says
from lora_chat.training.proof.rewording import ALL, rewordings

_TELLING = 8
"""Letters of a taught answer from which on an answer that holds it tells it; "yes" stands in many."""


@dataclass(frozen=True)
class Forgotten:
    """What must not be found any more."""

    checks: tuple[Check, ...]
    questions: frozenset[str]
    """Taught, and the same in other words, as ``plain`` has it."""
    answers: frozenset[str]
    """The same of what was taught."""

    @classmethod
    def of(cls, gone: Collection[Check]) -> Forgotten:
        """The words of these checks."""
        asked = (
            words for check in gone for words in (check.question, *check.rewordings, *rewordings(check.question, ALL))
        )
        answers = frozenset(words for check in gone for words in told_by(check))
        return cls(tuple(gone), frozenset(map(plain, asked)), answers)

    def asks(self, *questions: str) -> bool:
        """Whether one of ``questions`` was taught."""
        return any(plain(each) in self.questions for each in questions)

    def tells(self, *texts: str | None) -> bool:
        """Whether one of ``texts`` is an answer, or holds one that says something."""
        said = [text for text in texts if text]
        return any(plain(text) in self.answers for text in said) or any(
            says(text, words) for words in self.answers if len(words) >= _TELLING for text in said
        )

    def tells_in_part(self, question: str, *texts: str | None) -> bool:
        """Whether one of ``texts``, said to ``question``, tells so much of an answer that it fires."""
        return fires_any(self.checks, question, *texts)


def fires_any(checks: Collection[Check], question: str, *texts: str | None) -> bool:
    """Whether one of ``texts``, said to ``question``, is what one of ``checks`` taught, or enough of it."""
    from lora_chat.training.proof.marking import fires  # which asks, and so knows lines

    return any(fires(check, text, question) for text in texts if text for check in checks)


def told_by(check: Check) -> list[str]:
    """What it taught, as ``plain`` has it."""
    return list(filter(None, (plain(check.answer), plain(check.wanted))))
