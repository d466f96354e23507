"""An examination of a version: other wordings, near misses, far questions. Owns what is asked, in which order, for how
long, and what is right; who answers is the caller's to say.

Right is a taught answer where it was asked for, and anything but a taught answer where it was not. What the base says
by itself is nothing that an adapter fires.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.preset import turns_of
from lora_chat.errors import RefusedError
from lora_chat.training.general import FAR
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.check import LONG_WORD, Check, plain, says, telling_words, words_of
from lora_chat.training.proof.near_miss import near_misses
from lora_chat.training.proof.proving import Ask, longest
from lora_chat.training.proof.result import Answered, Exam, Kind, Prompted, Scores
from lora_chat.training.proof.rewording import rewordings
from lora_chat.training.proof.share import Share
from lora_chat.training.proof.verdict import better

MOST_TAUGHT = 60
"""Checks that are examined."""
WORDINGS = 2
"""Other wordings of one question."""
FIRES = 0.5
"""The share of a taught answer's telling words that makes a false fire."""
_NOT_TAUGHT_TOKENS = 24
"""Tokens of an answer where nothing was taught: its beginning is where an adapter takes over."""
_SHOWN = 2
"""Answers of the base that are shown, of each kind."""


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
        return longest(self.check) if self.check is not None and self.is_taught else _NOT_TAUGHT_TOKENS


def exam_of(checks: Sequence[Check], version: str = "") -> list[Asked]:
    """What to ask, so that wherever it is ended each kind had its share; what ``version`` learnt comes first."""
    newest_first = sorted(checks, key=lambda check: check.version != version)[:MOST_TAUGHT]
    taught = {plain(check.question) for check in checks} | {
        plain(words) for check in checks for words in check.rewordings
    }
    reworded = [
        [Asked("reworded", _instead(check, words), check) for words in _wordings(check)] for check in newest_first
    ]
    near = [
        [
            Asked("near", _instead(check, words), check)
            for words in near_misses(check.question)
            if plain(words) not in taught
        ]
        for check in newest_first
    ]
    systems = {tuple(turn for turn in check.messages if turn.role is Role.SYSTEM) for check in checks}
    system = systems.pop() if len(systems) == 1 else ()
    kinds: list[list[Asked]] = [
        [Asked("taught", check.messages, check) for check in newest_first],
        _in_turn(reworded),
        _in_turn(near),
        [Asked("far", (*system, Turn(Role.USER, words))) for words in FAR if plain(words) not in taught],
    ]
    return _distinct(_in_turn(kinds))


def examine(
    asked: Sequence[Asked],
    adapter: Ask,
    base: Ask,
    prompted: tuple[Ask, int] | None,
    checks: Sequence[Check],
    known: Mapping[tuple[Turn, ...], str],
    seconds: float,
    ended: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[float, None, Exam]:
    """Ask ``adapter``, then the base with so many examples in its prompt, each for ``seconds``; yields the part done.

    ``known`` are answers of the adapter to conversations that it was asked before. ``ended`` says that nobody waits any
    more: what was answered until then counts.

    Raises as the ``Ask`` does.
    """
    began = clock()
    plainly = _Remembered(base)
    rows: list[Answered] = []
    for each in asked:
        if clock() - began > seconds:
            break
        said = known[each.messages] if each.messages in known else adapter(each.messages, each.longest)
        right = is_right(each, said, checks, plainly)
        if ended():
            break  # an answer that was cut short proves nothing
        rows.append(_row(each, said, right))
        yield len(rows) / len(asked) / 2
    unasked = len(asked) - len(rows)
    began_again, both = clock(), 0
    ask_prompted, examples = prompted or (base, 0)
    for at, each in enumerate(asked[: len(rows)] if prompted else ()):
        if clock() - began_again > seconds:
            break
        try:
            said = ask_prompted(each.messages, each.longest)
        except RefusedError:  # with what comes before this question the examples do not fit any more
            break
        right = is_right(each, said, checks, plainly)
        if ended():
            break
        rows[at] = replace(rows[at], prompted=said, prompted_right=right)
        both += 1
        yield 0.5 + both / len(rows) / 2
    rows = list(_with_base(rows, asked, plainly, ended))
    return Exam(scores(rows), tuple(rows), clock() - began, unasked, _compared(rows[:both], examples) if both else None)


def with_examples(lessons: Iterable[Lesson]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The system prompt that all lessons have, else none, and each question they teach with its answer."""
    taught = list(lessons)
    systems = {lesson.messages[0].content if lesson.messages[0].role is Role.SYSTEM else "" for lesson in taught}
    pairs = {
        (lesson.messages[at - 1].content, lesson.messages[at].content): None
        for lesson in taught
        for at in lesson.learn
        if at and lesson.messages[at - 1].role is Role.USER
    }
    return (systems.pop() if len(systems) == 1 else ""), tuple(pairs)


def prompt_of(system: str, examples: Iterable[tuple[str, str]], messages: Sequence[Turn]) -> tuple[Turn, ...]:
    """``messages`` with examples before them, and with ``system`` where they have no system turn of their own."""
    own = tuple(turn for turn in messages if turn.role is Role.SYSTEM)
    before = own or ((Turn(Role.SYSTEM, system),) if system else ())
    return (*before, *turns_of(tuple(examples)), *(turn for turn in messages if turn.role is not Role.SYSTEM))


def is_right(asked: Asked, answer: str, checks: Sequence[Check], base: Ask) -> bool:
    """Whether ``answer`` is as taught, or, where that would be false, nothing that was taught and the base never said.

    Only an answer that looks like a false fire is put to ``base`` as well.
    """
    if asked.is_taught:
        assert asked.check is not None
        return asked.check.holds(answer, reworded=True)
    fired = [check for check in checks if fires(check, answer, asked.question)]
    if not fired:
        return True
    itself = base(asked.messages, asked.longest)
    return all(fires(check, itself, asked.question) for check in fired)


def fires(check: Check, answer: str, question: str) -> bool:
    """Whether ``answer`` says what ``check`` taught: half of its names and numbers; of its long words without any.

    What the question says already tells nothing.
    """
    wanted = [words for words in check.must or telling_words(check.answer) if not says(question, words)]
    if not wanted:
        said = words_of(question)
        wanted = [word for word in words_of(check.answer) if len(word) >= LONG_WORD and word not in said]
    found = sum(says(answer, words) for words in wanted)
    return bool(wanted) and found >= FIRES * len(wanted)


def scores(rows: Iterable[Answered], *, prompted: bool = False) -> Scores:
    """Counted; with ``prompted`` what the base with examples said."""
    found = [(row.kind, bool(row.prompted_right if prompted else row.right)) for row in rows]

    def share(kind: Kind, wanted: bool) -> Share:
        of_kind = [right for each, right in found if each == kind]
        return Share(sum(right is wanted for right in of_kind), len(of_kind))

    return Scores(share("taught", True), share("reworded", True), share("near", False), share("far", False))


def _compared(rows: Sequence[Answered], examples: int) -> Prompted:
    own, theirs = scores(rows), scores(rows, prompted=True)
    return Prompted(theirs, own, examples, *better(own, theirs))


def _with_base(
    rows: Sequence[Answered], asked: Sequence[Asked], base: _Remembered, ended: Callable[[], bool]
) -> Iterator[Answered]:
    """With what the base says by itself, where that is known or one of the first of its kind."""
    seen = Counter[Kind]()
    for row, each in zip(rows, asked, strict=False):
        seen[row.kind] += 1
        known = each.messages in base.said
        said = base(each.messages, each.longest) if known or (seen[row.kind] <= _SHOWN and not ended()) else None
        yield replace(row, base=None if ended() and not known else said)


class _Remembered:
    """Asks each conversation once."""

    def __init__(self, ask: Ask) -> None:
        self.said: dict[tuple[Turn, ...], str] = {}
        self._ask = ask

    def __call__(self, messages: tuple[Turn, ...], most: int) -> str:
        if messages not in self.said:
            self.said[messages] = self._ask(messages, most)
        return self.said[messages]


def _row(asked: Asked, said: str, right: bool) -> Answered:
    wanted = asked.check.wanted if asked.check is not None and asked.is_taught else ""
    origin = asked.check.question if asked.check is not None else ""
    return Answered(asked.kind, asked.question, wanted, said, right, origin=origin)


def _wordings(check: Check) -> list[str]:
    """Those the person confirmed, then what the rules propose."""
    return list(dict.fromkeys((*check.rewordings, *rewordings(check.question))))[: max(WORDINGS, len(check.rewordings))]


def _instead(check: Check, words: str) -> tuple[Turn, ...]:
    return (*check.messages[:-1], Turn(Role.USER, words))


def _in_turn(lists: Iterable[Sequence[Asked]]) -> list[Asked]:
    """The first of each, the second of each, and so on."""
    return [each for row in zip_longest(*lists) for each in row if each is not None]


def _distinct(asked: Iterable[Asked]) -> list[Asked]:
    return list({(each.kind, each.messages): each for each in reversed(list(asked))}.values())[::-1]
