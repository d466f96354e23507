"""One question in columns. Owns which answers stand beside each other, having them made, and what marking one keeps.

Nothing of them is kept until one is marked as the better. What a training changed is ``comparison``'s.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.engine.protocol import Sampling, TextChunk
from lora_chat.errors import LoraChatError, RefusedError, UsageError
from lora_chat.session import Draft, Session, Wearing, choose_sampling
from lora_chat.sitting.sampling import wishes
from lora_chat.sitting.sitting import Sitting
from lora_chat.text import clean_line

MOST = 4
"""Columns beside each other."""

BASE = "base"
"""What the base alone is called; an adapter of that name is ``@base``."""

TEMPERATURES = "temperatures"
"""What makes one adapter's columns its temperatures."""

DEGREES = (0.0, 0.1, 0.7, 1.0)
"""Those temperatures."""

HOW = "/compare base @NAME"


@dataclass(frozen=True)
class Column:
    """Who answers, and how."""

    who: str
    """The base's name, or the adapter's."""
    wearing: Wearing | None
    sampling: Sampling
    at: str = ""
    """What tells it from the same one beside it: ``greedy``, ``temperature 0.7``."""

    @property
    def scale(self) -> float:
        """How strongly the adapter is worn."""
        return self.wearing.scale if self.wearing else 1.0

    @property
    def name(self) -> str:
        """``shop ×0.5``; with its temperature where that is what is compared."""
        return f"{self.worn}, {self.at}" if self.at else self.worn

    @property
    def worn(self) -> str:
        """``shop ×0.5``."""
        return self.who if self.scale == 1 else f"{self.who} ×{self.scale:g}"


@dataclass(frozen=True)
class Comparison:
    """A question and who is to answer it."""

    question: Message
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Began:
    """This column is being answered."""

    column: int


@dataclass(frozen=True)
class Grew:
    """A piece of a column's answer."""

    column: int
    text: str


@dataclass(frozen=True)
class Answered:
    """A column's end: its answer, whole or stopped, or why there is none; neither where it was not asked."""

    column: int
    draft: Draft | None = None
    failure: LoraChatError | None = None

    @property
    def can_be_marked(self) -> bool:
        """Whether it is whole and says something."""
        return self.draft is not None and self.draft.status is Status.DONE and bool(self.draft.text)


ColumnEvent = Began | Grew | Answered


def choose_columns(sitting: Sitting, words: str) -> Comparison | None:
    """What ``words`` compare: ``base @a @b=0.5``, ``@a temperatures``; nothing is the base and what is worn.

    None where the person does not want to wear one of them on this base.

    Raises:
        UsageError: nothing was asked yet, or the words make no columns.
        NotFoundError: an adapter is not installed, naming the nearest.
        RefusedError: one does not fit.
    """
    sitting.look_after_what_is_worn()
    asked = [message for message in sitting.branch() if message.role is Role.USER]
    if not asked:
        raise UsageError(f"Ask something first, then {HOW} has the last question answered side by side.")
    names, degrees = _read(words, sitting.wearing is not None)
    chosen = [_worn(sitting, name) for name in names] or [sitting.wearing]
    for place, wearing in enumerate(chosen):
        if _key(wearing) in map(_key, chosen[:place]):
            raise UsageError(f"{_who(sitting, wearing)} stands there twice: name each column once.")
    worn = _key(sitting.wearing)
    if not all(_key(each) == worn or sitting.agrees_to(each) for each in chosen if each is not None):
        return None
    return Comparison(asked[-1], tuple(_columns(sitting, chosen, degrees)))


def ask_columns(session: Session, comparison: Comparison, cancel: threading.Event) -> Iterator[ColumnEvent]:
    """Have the columns answered one after another; one that fails leaves the others.

    Setting ``cancel`` ends the one that is being written within a token, and the rest is not asked.
    """
    for place, column in enumerate(comparison.columns):
        if cancel.is_set():
            yield Answered(place)
            continue
        yield Began(place)
        try:
            for event in session.draft(comparison.question, column.wearing, column.sampling, cancel):
                yield Grew(place, event.text) if isinstance(event, TextChunk) else Answered(place, event)
        except LoraChatError as error:
            yield Answered(place, failure=error)


def mark_better(sitting: Sitting, comparison: Comparison, ended: Mapping[int, Answered], better: int) -> None:
    """Rate column ``better`` good and show it in the conversation; the other whole answers are kept beside it.

    Raises:
        RefusedError: that one is not whole.
        NotFoundError: the conversation was deleted meanwhile.
        StoreError: nothing could be kept.
    """
    drafts = {place: each.draft for place, each in ended.items() if each.can_be_marked and each.draft is not None}
    if better not in drafts:
        raise RefusedError("That answer is not whole: mark one that is, or ask again with /compare.")
    _keep(sitting, comparison.question, list(drafts.values()), drafts[better])
    sitting.refresh()
    sitting.face.changed()
    sitting.prefill()
    others = len({_same(draft) for draft in drafts.values()}) - 1
    beside = "; the other answers stand beside it, unrated" if others > 1 else "; the other one stands beside it"
    name = clean_line(comparison.columns[better].name, 80)
    sitting.face.note(f"Rated good and shown: {name}{beside if others else ''}.")


def _read(words: str, is_wearing: bool) -> tuple[list[str], tuple[float, ...]]:
    """The names of the columns, none for what is worn, and the temperatures they are made of."""
    names = words.split()
    if TEMPERATURES in names:
        names.remove(TEMPERATURES)
        if len(names) > 1:
            raise UsageError(f"Temperatures are one adapter's: write /compare @NAME {TEMPERATURES}.")
        if not names and not is_wearing:
            raise UsageError(f"No adapter is worn: write /compare @NAME {TEMPERATURES}, or base in its place.")
        return names, DEGREES
    if len(names) > MOST:
        raise UsageError(f"/compare takes at most {MOST} columns, not {len(names)}: leave some out.")
    if names in ([], [BASE]):
        if not is_wearing:
            raise UsageError(f"No adapter is worn to hold against the base: write {HOW}.")
        return [BASE, ""], ()
    return (names if len(names) > 1 else [BASE, *names]), ()


def _worn(sitting: Sitting, name: str) -> Wearing | None:
    if name == BASE:
        return None
    return sitting.services.wear(name.removeprefix("@")) if name else sitting.wearing


def _columns(sitting: Sitting, chosen: Sequence[Wearing | None], degrees: Sequence[float]) -> Iterator[Column]:
    """All of them with one seed, so that what differs is not its doing."""
    seed = wishes(sitting).get("seed", secrets.randbits(32))
    for wearing in chosen:
        who = _who(sitting, wearing)
        sampling = choose_sampling(sitting.session.config, wearing, **wishes(sitting) | {"seed": seed})
        if not degrees:
            yield Column(who, wearing, sampling)
        for degree in degrees:
            at = f"temperature {degree:.1f}" if degree else "greedy"
            yield Column(who, wearing, replace(sampling, temperature=degree), at)


def _who(sitting: Sitting, wearing: Wearing | None) -> str:
    return wearing.name if wearing else sitting.answerer.name


def _key(wearing: Wearing | None) -> tuple[str, float] | None:
    return (wearing.name, wearing.scale) if wearing else None


def _keep(sitting: Sitting, question: Message, drafts: Sequence[Draft], better: Draft) -> None:
    """All of it at once. What the same one said there before, to the letter, is not kept twice: it is that one."""
    store = sitting.store
    with store.as_one():
        messages = store.messages(question.conversation)
        whole = [each for each in messages if each.status is Status.DONE and each.edited_from is None]
        found = {_same(each): each for each in whole if each.parent == question.id}
        for draft in sorted(drafts, key=lambda draft: draft is not better):
            if _same(draft) not in found:
                found[_same(draft)] = store.add_message(
                    question.conversation, Role.ASSISTANT, draft.text, parent=question.id, **draft.came
                )
        kept = store.rate(found[_same(better)].id, Rating.GOOD)
        store.update_conversation(question.conversation, head=store.newest_leaf(kept.id))


def _same(answer: Message | Draft) -> tuple[object, ...]:
    """What was said and by whom: two answers in which this is alike are one."""
    if isinstance(answer, Message):
        return answer.content, answer.base, answer.adapter, answer.adapter_sha256, answer.scale
    came = answer.came
    return answer.text, came.get("base"), came.get("adapter"), came.get("adapter_sha256"), came.get("scale")
