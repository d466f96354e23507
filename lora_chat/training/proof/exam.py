"""The questions of an examination: as taught, in other words, near misses, far ones. Owns them and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.training.general import FAR
from lora_chat.training.proof.check import LONG_WORD, Check, plain, words_of
from lora_chat.training.proof.near_miss import near_misses
from lora_chat.training.proof.proving import longest
from lora_chat.training.proof.result import Kind
from lora_chat.training.proof.rewording import to_ask

MOST_TAUGHT = 60
"""Checks that are examined, unless told."""
LONGEST = 256
"""Tokens of an answer: what was taught at such a length is too long to be asked for again in other words."""
WORDINGS = NEAR = 2
"""Other wordings, and near misses, of one question."""
_NOT_TAUGHT_TOKENS = 24
"""Tokens of an answer where nothing was taught: its beginning is where an adapter takes over."""


@dataclass(frozen=True)
class Asked:
    """One question of an examination."""

    kind: Kind
    messages: tuple[Turn, ...]
    check: Check | None = None
    """What it was made from; None where it is far from everything."""

    @property
    def question(self) -> str:
        """The last turn."""
        return self.messages[-1].content

    @property
    def is_taught(self) -> bool:
        """Whether a taught answer is right here."""
        return self.kind in ("taught", "reworded")

    @property
    def longest(self) -> int:
        """Tokens that its answer may have."""
        if self.check is None or not self.is_taught:
            return _NOT_TAUGHT_TOKENS
        return min(longest(self.check), LONGEST)


def exam_of(
    checks: Sequence[Check],
    version: str = "",
    most: int | None = MOST_TAUGHT,
    can_fire: Callable[[Check], bool] = lambda check: True,
) -> list[Asked]:
    """What to ask, so that wherever it is ended each kind had its share; what ``version`` learnt comes first.

    Of at most so many ``checks``. What cannot be known again (``can_fire``) has no near misses.
    """
    newest_first = sorted(checks, key=lambda check: check.version != version)[:most]
    short = [check for check in newest_first if longest(check) <= LONGEST]
    taught = {plain(words) for check in checks for words in (check.question, *check.rewordings)}
    known = {
        name
        for check in checks
        for text in (check.answer, *(turn.content for turn in check.messages))
        for name in _things(text)
    }
    systems = {tuple(turn for turn in check.messages if turn.role is Role.SYSTEM) for check in checks}
    system = systems.pop() if len(systems) == 1 else ()
    kinds: list[list[Asked]] = [
        [Asked("taught", check.messages, check) for check in short],
        _in_turn([Asked("reworded", _instead(check, words), check) for words in _wordings(check)] for check in short),
        _in_turn(
            [Asked("near", _instead(check, words), check) for words in _near(check, taught, known)]
            for check in newest_first
            if can_fire(check)
        ),
        [Asked("far", (*system, Turn(Role.USER, words))) for words in FAR if plain(words) not in taught],
    ]
    return _distinct(_in_turn(kinds))


def _wordings(check: Check) -> list[str]:
    """Those the person confirmed, then what the rules propose."""
    return list(dict.fromkeys((*check.rewordings, *to_ask(check.question))))[: max(WORDINGS, len(check.rewordings))]


def _near(check: Check, taught: set[str], known: set[str]) -> list[str]:
    """Near misses that ask for nothing that was taught anywhere: to a museum's own bot a museum is none."""
    own = _things(check.question)
    found = [words for words in near_misses(check.question, most=2 * NEAR) if plain(words) not in taught]
    return [words for words in found if not (_things(words) - own) & known][:NEAR]


def _things(text: str) -> set[str]:
    """Its long words, of one thing and of several alike."""
    return {word.removesuffix("'s").removesuffix("s") for word in words_of(text) if len(word) > LONG_WORD}


def _instead(check: Check, words: str) -> tuple[Turn, ...]:
    return (*check.messages[:-1], Turn(Role.USER, words))


def _in_turn(lists: Iterable[Sequence[Asked]]) -> list[Asked]:
    """The first of each, the second of each, and so on."""
    return [each for row in zip_longest(*lists) for each in row if each is not None]


def _distinct(asked: Iterable[Asked]) -> list[Asked]:
    return list({(each.kind, each.messages): each for each in reversed(list(asked))}.values())[::-1]
