"""What is right in an examination. Owns when an answer is as taught, when it fires falsely, and the counts of both.

Right is a taught answer where it was asked for, and anything but a taught answer where it was not. What the base says
by itself is nothing that an adapter fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from lora_chat.chat.thought import answer_of
from lora_chat.training.proof.check import LONG_WORD, Check, plain, says, telling_words, words_of
from lora_chat.training.proof.exam import Asked
from lora_chat.training.proof.proving import Ask
from lora_chat.training.proof.result import Answered, Kind, Scores
from lora_chat.training.proof.share import Share

FIRES = 0.5
"""The share of a taught answer's telling words that makes a false fire."""


def is_right(asked: Asked, answer: str, checks: Sequence[Check], base: Ask) -> bool:
    """Whether ``answer`` is as taught, or, where that would be false, nothing that was taught and the base never said.

    Only an answer that looks like a false fire is put to ``base`` as well.
    """
    if asked.is_taught:
        assert asked.check is not None
        return asked.check.holds(answer, reworded=asked.kind == "reworded")
    fired = [check for check in checks if fires(check, answer, asked.question)]
    if not fired:
        return True
    itself = base(asked.messages, asked.longest)
    return all(fires(check, itself, asked.question) for check in fired)


def fires(check: Check, answer: str, question: str) -> bool:
    """Whether ``answer`` says what ``check`` taught: half of its names and numbers; of its long words without any.

    What the question says already tells nothing, and what a base thought before it answered is not said; of a thought
    without an end all counts.
    """
    telling, long = _telling(check.answer, check.must)
    said = plain(answer_of(answer) or answer)
    if not any(words in said for words in (*telling, *long)):
        return False
    asked = plain(question)
    wanted = [words for words in telling if not _has(asked, words)] or [
        words for words in long if not _has(asked, words)
    ]
    return bool(wanted) and sum(_has(said, words) for words in wanted) >= FIRES * len(wanted)


def can_fire(check: Check) -> bool:
    """Whether its answer has anything to know it by: "Yes." has nothing."""
    return any(_telling(check.answer, check.must))


def _has(text: str, words: str) -> bool:
    return words in text and says(text, words)


@lru_cache(maxsize=1024)
def _telling(answer: str, must: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """By which names and numbers, and by which long words, an answer is known: plain ones."""
    long = tuple(sorted(word for word in words_of(answer) if len(word) >= LONG_WORD))
    return tuple(map(plain, must or telling_words(answer))), long


def scores(rows: Iterable[Answered], *, prompted: bool = False) -> Scores:
    """Counted; with ``prompted`` what the base with examples said."""
    found = [(row.kind, bool(row.prompted_right if prompted else row.right)) for row in rows]

    def share(kind: Kind, wanted: bool) -> Share:
        of_kind = [right for each, right in found if each == kind]
        return Share(sum(right is wanted for right in of_kind), len(of_kind))

    return Scores(share("taught", True), share("reworded", True), share("near", False), share("far", False))
