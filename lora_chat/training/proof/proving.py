"""Asking checks, and what came of them in a sentence. Owns the counting; who answers is the caller's to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lora_chat.chat.conversation import Turn
from lora_chat.errors import RefusedError
from lora_chat.text import clean_line
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Proved

Ask = Callable[[tuple[Turn, ...], int], str]
"""The greedy answer to a conversation, in at most so many tokens."""
Found = tuple[Check, Proved]

_LEAST_TOKENS = 24
_LEAST_TOKENS_OF_WORDS = 48
"""Where words decide, they may come late."""
_NAMED = 3
_SHOWN = 60


@dataclass(frozen=True)
class Outcome:
    """What came of the checks of one version."""

    of: int
    """Asked."""
    held: int
    new: int
    """First taught to this version."""
    lost: tuple[Found, ...]
    """Those that the version before answered rightly and this one does not; what it was taught anew is none."""
    wrong: tuple[Found, ...] = ()
    """All that do not hold, the lost ones among them."""
    left: int = 0
    """Not asked."""

    @property
    def sentence(self) -> str:
        """Such as ``41 of 45 checks hold; 3 new; 1 lost: “…” now answers “…”.``"""
        if not self.of:
            return f"No check was asked of {self.left:,}." if self.left else "There are no checks yet."
        parts = [f"{self.held:,} of {self.of:,} check{'s hold' if self.of != 1 else ' holds'}"]
        parts += [f"{self.new:,} new"] if 0 < self.new < self.of else []
        parts += [f"{self.left:,} not asked"] if self.left else []
        parts += [f"{len(self.lost):,} lost: {self._lost}"] if self.lost else []
        return "; ".join(parts) + "."

    @property
    def _lost(self) -> str:
        named = ", ".join(_now(proved) for _, proved in self.lost[:_NAMED])
        more = len(self.lost) - _NAMED
        return f"{named} and {more:,} more" if more > 0 else named


def _now(proved: Proved) -> str:
    asked, said = (clean_line(text, _SHOWN) for text in proved.wrong[0]) if proved.wrong else ("", "")
    return f"“{asked}” now answers {f'“{said}”' if said else 'nothing'}"


def prove(
    checks: Iterable[Check],
    ask: Ask,
    cancel: threading.Event | None = None,
    refused: Callable[[RefusedError], object] = lambda error: None,
) -> Iterator[Found]:
    """Ask each check with all of its rewordings; one that ``cancel`` interrupts is left out, and all after it.

    One that is refused, as it does not fit in the window, is left out too and ``refused`` is told. Raises as ``ask``.
    """
    cancelled = cancel or threading.Event()
    for check in checks:
        try:
            proved = _proved(check, ask, cancelled)
        except RefusedError as error:
            refused(error)
            continue
        if proved is None:
            return
        yield check, proved


def _proved(check: Check, ask: Ask, cancelled: threading.Event) -> Proved | None:
    wrong = []
    for messages, reworded in check.asked():
        said = "" if cancelled.is_set() else ask(messages, longest(check))
        if cancelled.is_set():
            return None
        if not check.holds(said, reworded=reworded):
            wrong.append((messages[-1].content, said))
    return Proved(not wrong, tuple(wrong))


def longest(check: Check) -> int:
    """Tokens in which the taught answer fits, whatever its script: a letter is half of one at most, all else one."""
    letters = sum(letter.isascii() and (letter.isalpha() or letter.isspace()) for letter in check.answer)
    others = len(check.answer.encode("utf-8", "replace")) - letters
    least = _LEAST_TOKENS_OF_WORDS if check.must or check.must_not else _LEAST_TOKENS
    return max(letters // 2 + others + 8, least)


def in_order(checks: Iterable[Check], last: Mapping[str, Proved]) -> list[Check]:
    """All of them, those first of which somebody who is interrupted wants to know: what was wrong, then what is new.

    ``last`` is what was found before, by the checks' ids; the rest is the earliest first.
    """
    return sorted(checks, key=lambda check: (2 if last[check.id].held else 0) if check.id in last else 1)


def outcome(
    checks: Iterable[Check], after: Mapping[str, Proved], before: Mapping[str, Proved], version: str
) -> Outcome:
    """Count what ``version`` answered (``after``, by the checks' ids) beside what the version before it did."""
    known = list(checks)
    asked = [(check, after[check.id]) for check in known if check.id in after]
    wrong = tuple(found for found in asked if not found[1].held)
    return Outcome(
        of=len(asked),
        held=len(asked) - len(wrong),
        new=sum(check.id not in before and check.version in ("", version) for check, _ in asked),
        lost=tuple(
            (check, found)
            for check, found in wrong
            if check.version != version and check.id in before and before[check.id].held
        ),
        wrong=wrong,
        left=len(known) - len(asked),
    )
