"""What a person vouched for in the history. Owns which saved answers become lessons and why others do not; never
tokenises and never masks by itself.

Taken are answers they edited or rated good, on the visible branch or beside it, where the question was answered again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.chat.thought import answer_of
from lora_chat.errors import RefusedError
from lora_chat.training.choosing.near import near_duplicates
from lora_chat.training.choosing.redact import redact
from lora_chat.training.lesson import Lesson, Selection

OTHERWISE = "answered otherwise since"
"""Why an answer is left out to a question that has a newer one."""

NEVER = "never to be trained on"
"""Why the answers of a conversation are left out that the person keeps out of every training."""

NEAR = "near duplicate"
"""Why an exchange is left out that a newer one says in almost the same words."""

Vouched = Literal["edited", "rated good"]


@dataclass(frozen=True)
class HistoryFilter:
    """Which part of the history to look at; empty fields leave everything in."""

    since: float | None = None
    """Unix seconds; older answers are left out."""
    conversations: tuple[str, ...] = ()
    adapter: str | None = None
    """Only answers that wore it."""
    text: str = ""
    """Only exchanges whose question or answer holds it, without regard to case."""
    unrated: bool = False
    """Take answers nobody judged as well: the model then learns its own words."""
    until: float | None = None
    """Unix seconds; answers of that moment and newer ones are left out."""
    vouched: Vouched | None = None
    """Only answers that are vouched for in this way."""
    keep: frozenset[str] = frozenset()
    """Names of the rules for private data that are left off: what they find stays as it was said."""
    thoughts: bool = False
    """Learn what a thinking base thought before its answers as well."""


@dataclass(frozen=True)
class _Chosen:
    """One conversation's lesson and how new each of its answers is."""

    lesson: Lesson
    ages: tuple[tuple[bool, int], ...]
    """Of each of ``learn``: whether it is vouched for, and the message's number, which grows with time."""


def select_from_history(store: Store, wanted: HistoryFilter, system: str = "") -> Selection:
    """Choose lessons from saved conversations; ``system`` is the prompt that holds where one has none of its own.

    Raises:
        RefusedError: nothing is left, saying what was found and how to vouch for an answer.
    """
    dropped: Counter[str] = Counter()
    seen: set[tuple[Turn, ...]] = set()
    chosen = []
    for conversation in _conversations(store, wanted):
        branch = [_vouched(store, message, wanted) for message in store.branch(conversation.id)]
        if conversation.never_train:
            dropped[NEVER] += sum(message.role is Role.ASSISTANT for message in branch)
            continue
        lesson = _lesson(replace(conversation, system=conversation.system or system), branch, wanted, dropped, seen)
        chosen += [] if lesson is None else [lesson]
    lessons = _newest_words(_without_near(chosen, dropped), dropped)
    dropped += Counter()  # without what was counted as none
    if not lessons:
        found = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no answers at all"
        raise RefusedError(
            f"There is nothing to learn in the history ({found}): rate an answer good or write the one you wanted, "
            f"with `lora-chat history rate` and `history edit` or /rate and /edit in the chat."
        )
    return Selection(tuple(lessons), dict(dropped))


def _conversations(store: Store, wanted: HistoryFilter) -> list[Conversation]:
    if wanted.conversations:
        return [store.conversation(conversation) for conversation in wanted.conversations]
    return list(reversed(store.conversations()))


def _without_near(chosen: list[_Chosen], dropped: Counter[str]) -> list[Lesson]:
    """Without exchanges that another says in almost the same words: the newest that is vouched for stays."""
    places = [(at, place) for at, each in enumerate(chosen) for place in range(len(each.ages))]
    places.sort(key=lambda each: chosen[each[0]].ages[each[1]], reverse=True)
    near = near_duplicates([_exchange(chosen[at].lesson, place) for at, place in places])
    left_out: dict[int, set[int]] = {}
    for number in near:
        at, place = places[number]
        left_out.setdefault(at, set()).add(chosen[at].lesson.learn[place])
    dropped[NEAR] += len(near)
    kept = [each.lesson.without(left_out.get(at, ())) for at, each in enumerate(chosen)]
    return [lesson for lesson in kept if lesson is not None]


def _exchange(lesson: Lesson, place: int) -> tuple[str, str]:
    """The answer at that place of ``learn`` and what it answers."""
    index = lesson.learn[place]
    return (lesson.messages[index - 1].content if index else ""), lesson.messages[index].content


def _newest_words(lessons: list[Lesson], dropped: Counter[str]) -> list[Lesson]:
    """Without answers to what was answered otherwise since, in the same words: nobody can learn to say both."""
    newest = {lesson.messages[:index]: (at, index) for at, lesson in enumerate(lessons) for index in lesson.learn}
    kept = []
    for at, lesson in enumerate(lessons):
        old = {index for index in lesson.learn if newest[lesson.messages[:index]] != (at, index)}
        dropped[OTHERWISE] += len(old)
        kept += [rest for rest in [lesson.without(old)] if rest is not None]
    return kept


def _vouched(store: Store, message: Message, wanted: HistoryFilter) -> Message:
    """The answer itself where it is vouched for, else the newest other answer to the same message that is.

    Asking again does not take back what was written; it stands beside the new answer.
    """
    strict = replace(wanted, unrated=False)
    if message.role is not Role.ASSISTANT or _reason_against(message, strict) is None:
        return message
    others = [each for each in store.siblings(message.id) if _reason_against(each, strict) is None]
    return max(others, key=lambda each: (each.edited_from is not None, each.id), default=message)


def _lesson(
    conversation: Conversation,
    branch: list[Message],
    wanted: HistoryFilter,
    dropped: Counter[str],
    seen: set[tuple[Turn, ...]],
) -> _Chosen | None:
    """One conversation's lesson up to its last chosen answer; None where none was chosen."""
    turns = [Turn(Role.SYSTEM, conversation.system)] if conversation.system else []
    learn: dict[int, Message] = {}
    for message in branch:
        turns.append(_said(message, wanted))
        if message.role is not Role.ASSISTANT:
            continue
        exchange = tuple(turns[-2:])
        reason = _reason_against(message, wanted) or _unless_holding(wanted.text, exchange)
        if reason is None and exchange in seen:
            reason = "duplicate"
        if reason is None:
            seen.add(exchange)
            learn[len(turns) - 1] = message
        else:
            dropped[reason] += 1
    if not learn:
        return None
    masked = [redact(turn.content, wanted.keep) for turn in turns[: max(learn) + 1]]
    said = tuple(replace(turn, content=each.text) for turn, each in zip(turns, masked, strict=False))
    why = tuple(_why(message) for message in learn.values())
    lesson = Lesson(said, tuple(learn), conversation.id, why, tuple(each.hits for each in masked))
    return _Chosen(lesson, tuple((_why(message) != "unrated", message.id) for message in learn.values()))


def _said(message: Message, wanted: HistoryFilter) -> Turn:
    """As it is learnt: without what was thought before an answer, unless that is wanted."""
    if message.role is not Role.ASSISTANT or wanted.thoughts:
        return message.turn
    return replace(message.turn, content=answer_of(message.content))


def _why(message: Message) -> str:
    if message.edited_from is not None:
        return "edited"
    return "rated good" if message.rating is Rating.GOOD else "unrated"


def _reason_against(message: Message, wanted: HistoryFilter) -> str | None:
    if message.status is not Status.DONE:
        return str(message.status)
    if not answer_of(message.content).strip():
        return "empty"
    if message.rating is Rating.BAD:
        return "rated bad"
    if wanted.since is not None and message.created_at < wanted.since:
        return "too old"
    if wanted.until is not None and message.created_at >= wanted.until:
        return "too new"
    if wanted.adapter is not None and message.adapter != wanted.adapter:
        return "wore another adapter"
    if _why(message) == "unrated":
        return None if wanted.unrated else "unrated"
    return None if wanted.vouched is None or _is(message, wanted.vouched) else f"not {wanted.vouched}"


def _is(message: Message, vouched: Vouched) -> bool:
    """An answer can be both edited and rated good."""
    return message.edited_from is not None if vouched == "edited" else message.rating is Rating.GOOD


def _unless_holding(text: str, exchange: tuple[Turn, ...]) -> str | None:
    found = any(text.casefold() in turn.content.casefold() for turn in exchange)
    return None if found else "not about that"
