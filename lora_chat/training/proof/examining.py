"""A version that is there, examined. Owns the asking: what of its line is asked, for how long, and what is known."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.exam import MOST_TAUGHT, Asked, exam_of
from lora_chat.training.proof.examples import Examples, examples_of
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.marking import can_fire, is_right, scores
from lora_chat.training.proof.proving import Ask
from lora_chat.training.proof.result import Answered, Exam, Kind, Prompted
from lora_chat.training.proof.verdict import better

Answers = Callable[[Adapter | None, tuple[Turn, ...], int], str]
"""What an adapter, or the base alone (None), answers to messages, greedily, in at most so many tokens."""

PROMPT_CHARACTERS = 8_000
"""What examples in a prompt may take together: some 2,000 tokens."""
_SHOWN = 2
"""Answers of the base that are shown, of each kind."""

Conversations = Mapping[tuple[Turn, ...], str]
"""Answers by what was asked."""


@dataclass
class Pupil:
    """Somebody who is asked each conversation once."""

    ask: Ask
    known: dict[tuple[Turn, ...], str] = field(default_factory=dict)
    """What it said already."""

    def __call__(self, messages: tuple[Turn, ...], most: int) -> str:
        """Its answer. Raises as ``ask``."""
        if messages not in self.known:
            self.known[messages] = self.ask(messages, most)
        return self.known[messages]


def examined(
    line: Line,
    adapter: Adapter,
    version: str,
    answers: Answers,
    seconds: float,
    found: Mapping[str, Proved] | None = None,
    ended: Callable[[], bool] = lambda: False,
    *,
    earlier: Exam | None = None,
    most: int | None = MOST_TAUGHT,
) -> Generator[float, None, Exam | None]:
    """Examine ``version`` for at most twice ``seconds``; yields the part that is done.

    ``found`` is what came of its checks a moment ago, ``earlier`` an examination of it: what both know is not asked
    again. ``most`` checks are examined, None: all. None where nothing is known of what it was taught, or nothing was
    answered.

    Raises:
        StoreError: as ``Line.checks``.
        LoraChatError: as ``answers``, where nothing was answered before.
    """
    checks = line.checks(version)
    if not checks:
        return None
    asked = exam_of(checks, version, most, can_fire)
    examples = examples_of(line.lessons(version, learnt=True))
    own = Pupil(lambda messages, most: answers(adapter, messages, most), _known(checks, found or {}))
    base = Pupil(lambda messages, most: answers(None, messages, most))
    prompted = Pupil(lambda messages, most: answers(None, examples.before(messages), most))
    _remember(earlier, asked, own, base, prompted)
    unprompted = _why_not(examples)
    exam = yield from examine(asked, own, base, None if unprompted else prompted, checks, seconds, ended)
    if not exam.answers:
        return None
    if exam.prompted is not None:
        exam = replace(exam, prompted=_with_examples(exam.prompted, examples))
    if exam.unprompted:
        unprompted = f"The base was not asked with its {_many(examples)}: {exam.unprompted}"
    return replace(
        exam,
        unprompted=unprompted,
        unasked_checks=max(len(checks) - most, 0) if most is not None else 0,
        silent=sum(not can_fire(check) for check in checks),
    )


def examine(
    asked: Sequence[Asked],
    adapter: Pupil,
    base: Pupil,
    prompted: Pupil | None,
    checks: Sequence[Check],
    seconds: float,
    ended: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[float, None, Exam]:
    """Ask ``adapter``, then the base with examples in its prompt, each for ``seconds``; yields the part that is done.

    Reading the examples is not counted; where they cannot be read at all, ``unprompted`` is what was said of it.

    What anybody knows already takes no time and is always counted. ``ended`` says that nobody waits any more; an answer
    that comes after that was cut short and proves nothing.

    Raises:
        LoraChatError: as the adapter's ``Ask``, before anything was answered.
    """
    began = clock()
    rows: dict[int, Answered] = {}
    failure: LoraChatError | None = None
    for at, said in _asked_in_time(asked, adapter, seconds, ended, clock):
        if isinstance(said, LoraChatError):
            failure = said
        elif (right := _marked(asked[at], said, checks, base, ended)) is not None:
            rows[at] = _row(asked[at], said, right)
            yield len(rows) / len(asked) / 2
    if failure is not None and not rows:
        raise failure
    unfit, places = 0, sorted(rows)
    refused = _begin(prompted, [asked[at] for at in places], ended) if prompted else ""
    both = [asked[at] for at in places] if prompted and not refused else []
    for number, said in _asked_in_time(both, prompted or base, seconds, ended, clock):
        at = places[number]
        if isinstance(said, LoraChatError):
            unfit += isinstance(said, RefusedError)
        elif (right := _marked(asked[at], said, checks, base, ended)) is not None:
            rows[at] = replace(rows[at], prompted=said, prompted_right=right)
            yield 0.5 + (number + 1) / len(both) / 2
    kept = list(_with_base([(asked[at], rows[at]) for at in places], base, ended, clock, seconds))
    compared = _compared(kept, unfit) if both else None
    return Exam(scores(kept), tuple(kept), clock() - began, len(asked) - len(kept), compared, refused)


def _begin(prompted: Pupil, asked: Sequence[Asked], ended: Callable[[], bool]) -> str:
    """Have it read the examples, which may take longer than any answer; why it cannot, empty where it can."""
    unknown = [each for each in asked if each.messages not in prompted.known]
    if not unknown or ended():
        return ""
    try:
        prompted.ask(unknown[0].messages, 1)
    except LoraChatError as error:
        return str(error)
    return ""


def _asked_in_time(
    asked: Sequence[Asked], pupil: Pupil, seconds: float, ended: Callable[[], bool], clock: Callable[[], float]
) -> Iterator[tuple[int, str | LoraChatError]]:
    """The place and the answer of each question that is known or can be asked in time; or what was raised instead.

    Who cannot answer at all, as an engine that is gone, is asked nothing more.
    """
    began = clock()
    for at, each in enumerate(asked):
        is_known = each.messages in pupil.known
        if not is_known and (ended() or clock() - began > seconds):
            continue
        try:
            said = pupil(each.messages, each.longest)
        except LoraChatError as error:
            seconds = seconds if isinstance(error, RefusedError) else -1.0
            yield at, error
            continue
        if is_known or not ended():
            yield at, said


def _marked(asked: Asked, said: str, checks: Sequence[Check], base: Pupil, ended: Callable[[], bool]) -> bool | None:
    """Whether it is right; None where the base would have to say, and was cut short or cannot."""
    was_known = asked.messages in base.known
    try:
        right = is_right(asked, said, checks, base)
    except LoraChatError:
        return None
    if ended() and not was_known and asked.messages in base.known:
        del base.known[asked.messages]
        return None
    return right


def _with_base(
    rows: Sequence[tuple[Asked, Answered]],
    base: Pupil,
    ended: Callable[[], bool],
    clock: Callable[[], float],
    seconds: float,
) -> Iterator[Answered]:
    """With what the base says by itself, where that is known or one of the first of its kind."""
    began, seen = clock(), Counter[Kind]()
    for each, row in rows:
        seen[row.kind] += 1
        is_known = each.messages in base.known
        if not is_known and seen[row.kind] <= _SHOWN and not ended() and clock() - began <= seconds:
            try:
                base(each.messages, min(each.longest, 48))
            except LoraChatError:
                seconds = 0.0
            is_known = not ended() and each.messages in base.known
        yield replace(row, base=base.known.get(each.messages) if is_known else None)


def _compared(rows: Sequence[Answered], unfit: int) -> Prompted | None:
    both = [row for row in rows if row.prompted is not None]
    if not both:
        return None
    return Prompted(scores(both, prompted=True), scores(both), 0, *better(both), unfit)


def _with_examples(prompted: Prompted, examples: Examples) -> Prompted:
    """With how many there were, and how many could not be among them."""
    less = (
        f" {examples.left_out:,} of what it was taught need what was said before, or have another system prompt: they "
        f"are not among the examples."
        if examples.left_out
        else ""
    )
    return replace(prompted, examples=len(examples.pairs), sentence=f"{prompted.sentence}{less}")


def _why_not(examples: Examples) -> str:
    """Why the base is not asked with the examples; empty where it may be."""
    if not examples.pairs:
        return "All that it was taught needs what was said before it: nothing of it can be an example in a prompt."
    if examples.characters > PROMPT_CHARACTERS:
        return (
            f"Its {_many(examples)} are {examples.characters:,} characters long, more than a prompt should hold "
            f"({PROMPT_CHARACTERS:,}): the base was not asked with them."
        )
    return ""


def _many(examples: Examples) -> str:
    return f"{len(examples.pairs):,} example{'' if len(examples.pairs) == 1 else 's'}"


def _remember(earlier: Exam | None, asked: Sequence[Asked], own: Pupil, base: Pupil, prompted: Pupil) -> None:
    """Let them know what they said in an examination before."""
    alike = Counter((each.kind, each.question) for each in asked)
    known = {(row.kind, row.question): row for row in (earlier.answers if earlier else ())}
    for each in asked:
        row = known.get((each.kind, each.question))
        if row is None or alike[each.kind, each.question] > 1:
            continue
        own.known.setdefault(each.messages, row.adapter)
        if row.base is not None:
            base.known[each.messages] = row.base
        if row.prompted is not None:
            prompted.known[each.messages] = row.prompted


def _known(checks: Sequence[Check], found: Mapping[str, Proved]) -> dict[tuple[Turn, ...], str]:
    """What was answered to the checks themselves: as taught where they held."""
    known = {}
    for check in checks:
        if check.id in found and not (check.must or check.must_not):
            wrong = dict(found[check.id].wrong)
            known[check.messages] = wrong.get(check.question, check.answer)
            for words in check.rewordings:
                if words in wrong:
                    known[(*check.messages[:-1], Turn(Role.USER, words))] = wrong[words]
    return known


def _row(asked: Asked, said: str, right: bool) -> Answered:
    wanted = asked.check.wanted if asked.check is not None and asked.is_taught else ""
    origin = asked.check.question if asked.check is not None else ""
    return Answered(asked.kind, asked.question, wanted, said, right, origin=origin)
