"""What will be learnt. Owns which turns become lessons and why others do not; never tokenises.

From history only what a person vouched for is taken: answers they edited or rated good, on the visible branch or beside
it, where the question was answered again. A file is taken as given.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.text import clean
from lora_chat.training.redact import redact

LONGEST_LINE = 1_000_000
"""Characters of one line of a file."""

EXCLUDED = "excluded"
"""Why an answer is left out that the person chose to leave out."""

OTHERWISE = "answered otherwise since"
"""Why an answer is left out to a question that has a newer one."""

NEVER = "never to be trained on"
"""Why the answers of a conversation are left out that the person keeps out of every training."""

_ARTICLE = re.compile(r"^Q: (?P<question>.*)\nA:\s*$", re.DOTALL)
"""The article's prompt: ``Q: …\\nA:``."""


@dataclass(frozen=True)
class Lesson:
    """One conversation and which of its answers are learnt."""

    messages: tuple[Turn, ...]
    learn: tuple[int, ...]
    """Indices of the assistant turns that are learnt; the others are context."""
    source: str
    """Where it comes from: ``line 12`` or a conversation's id."""
    why: tuple[str, ...] = field(default=(), compare=False)
    """Of each of ``learn``: ``edited``, ``rated good`` or ``unrated`` from the history, ``example`` from a file; a job
    does not keep it."""
    redacted: tuple[int, ...] = field(default=(), compare=False)
    """Pieces of private data replaced in each of ``messages``; a job does not keep it."""

    def without(self, indices: Collection[int]) -> Lesson | None:
        """The same with these answers as context, up to the last that is still learnt; None where none is."""
        kept = [place for place, index in enumerate(self.learn) if index not in indices]
        if not kept:
            return None
        end = self.learn[kept[-1]] + 1
        return Lesson(
            messages=self.messages[:end],
            learn=tuple(self.learn[place] for place in kept),
            source=self.source,
            why=tuple(self.why[place] for place in kept) if self.why else (),
            redacted=self.redacted[:end],
        )


@dataclass(frozen=True)
class Selection:
    """All lessons, and what was left out."""

    lessons: tuple[Lesson, ...]
    dropped: dict[str, int]
    """Answers left out, counted by reason."""
    redacted: int = 0
    """Pieces of private data replaced by placeholders."""

    @property
    def examples(self) -> int:
        """Answers that are learnt."""
        return sum(len(lesson.learn) for lesson in self.lessons)

    def without(self, left_out: Collection[tuple[str, int]]) -> Selection:
        """What is left when the person leaves out single answers, each as (its lesson's source, index in the messages).

        They become context; lessons that teach nothing any more are gone, and perhaps all of them are.
        """
        kept: list[Lesson] = []
        for lesson in self.lessons:
            rest = lesson.without({index for source, index in left_out if source == lesson.source})
            kept += [] if rest is None else [rest]
        less = Selection(tuple(kept), self.dropped, self.redacted)
        excluded = self.examples - less.examples
        if not excluded:
            return self
        no_more = _redacted_in(self.lessons) - _redacted_in(less.lessons)
        dropped = self.dropped | {EXCLUDED: self.dropped.get(EXCLUDED, 0) + excluded}
        return replace(less, dropped=dropped, redacted=self.redacted - no_more)


def _redacted_in(lessons: Collection[Lesson]) -> int:
    return sum(sum(lesson.redacted) for lesson in lessons)


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


def select_from_history(store: Store, wanted: HistoryFilter) -> Selection:
    """Choose lessons from saved conversations.

    Raises:
        RefusedError: nothing is left, saying what was found and how to vouch for an answer.
    """
    dropped: Counter[str] = Counter()
    seen: set[tuple[Turn, ...]] = set()
    lessons = []
    for conversation in _conversations(store, wanted):
        if conversation.never_train:
            dropped[NEVER] += sum(message.role is Role.ASSISTANT for message in store.branch(conversation.id))
            continue
        branch = [_vouched(store, message, wanted) for message in store.branch(conversation.id)]
        lesson = _lesson(conversation, branch, wanted, dropped, seen)
        if lesson is not None:
            lessons.append(lesson)
    lessons = _newest_words(lessons, dropped)
    if not lessons:
        found = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count) or "no answers at all"
        raise RefusedError(
            f"There is nothing to learn in the history ({found}): rate an answer good or write the one you wanted, "
            f"with `lora-chat history rate` and `history edit` or /rate and /edit in the chat."
        )
    return Selection(tuple(lessons), dict(dropped), _redacted_in(lessons))


def select_from_file(path: Path) -> Selection:
    """Read lessons from a JSONL file: OpenAI messages, ShareGPT, Alpaca, or ``{"prompt", "response"}``.

    Every line is checked before anything is returned.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: a line cannot be used, by number; or there is none.
    """
    lessons = tuple(_read_lessons(path))
    if not lessons:
        raise RefusedError(f"{path} holds no examples: give one JSON object a line.")
    return Selection(lessons, {})


def _conversations(store: Store, wanted: HistoryFilter) -> list[Conversation]:
    if wanted.conversations:
        return [store.conversation(conversation) for conversation in wanted.conversations]
    return list(reversed(store.conversations()))


def _newest_words(lessons: list[Lesson], dropped: Counter[str]) -> list[Lesson]:
    """Without answers to what was answered otherwise since, in the same words: nobody can learn to say both."""
    newest = {lesson.messages[:index]: (at, index) for at, lesson in enumerate(lessons) for index in lesson.learn}
    kept = []
    for at, lesson in enumerate(lessons):
        old = {index for index in lesson.learn if newest[lesson.messages[:index]] != (at, index)}
        dropped[OTHERWISE] += len(old)
        kept += [rest for rest in [lesson.without(old)] if rest is not None]
    dropped += Counter()  # without what was counted as none
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
) -> Lesson | None:
    """One conversation's lesson up to its last chosen answer; None where none was chosen."""
    turns = [Turn(Role.SYSTEM, conversation.system)] if conversation.system else []
    learn: dict[int, str] = {}
    for message in branch:
        turns.append(message.turn)
        if message.role is not Role.ASSISTANT:
            continue
        exchange = tuple(turns[-2:])
        reason = _reason_against(message, wanted) or _unless_holding(wanted.text, exchange)
        if reason is None and exchange in seen:
            reason = "duplicate"
        if reason is None:
            seen.add(exchange)
            learn[len(turns) - 1] = _reason_for(message)
        else:
            dropped[reason] += 1
    if not learn:
        return None
    masked = [redact(turn.content) for turn in turns[: max(learn) + 1]]
    clean_turns = tuple(replace(turn, content=text) for turn, (text, _) in zip(turns, masked, strict=False))
    hits = tuple(hits for _, hits in masked)
    return Lesson(clean_turns, tuple(learn), conversation.id, tuple(learn.values()), hits)


def _reason_for(message: Message) -> str:
    if message.edited_from is not None:
        return "edited"
    return "rated good" if message.rating is Rating.GOOD else "unrated"


def _reason_against(message: Message, wanted: HistoryFilter) -> str | None:
    if message.status is not Status.DONE:
        return str(message.status)
    if not message.content.strip():
        return "empty"
    if message.rating is Rating.BAD:
        return "rated bad"
    if wanted.since is not None and message.created_at < wanted.since:
        return "too old"
    if wanted.adapter is not None and message.adapter != wanted.adapter:
        return "wore another adapter"
    if message.edited_from is None and message.rating is not Rating.GOOD and not wanted.unrated:
        return "unrated"
    return None


def _unless_holding(text: str, exchange: tuple[Turn, ...]) -> str | None:
    found = any(text.casefold() in turn.content.casefold() for turn in exchange)
    return None if found else "not about that"


def _read_lessons(path: Path) -> Iterator[Lesson]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read_line(line, number, path)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}: give a JSONL file or `from-history`.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"Cannot read {path} ({error}): give a JSONL file in UTF-8.") from error


def _read_line(line: str, number: int, path: Path) -> Lesson:
    where = f"Line {number} of {path}"
    if len(line) > LONGEST_LINE:
        raise RefusedError(f"{where} is longer than {LONGEST_LINE:,} characters: split it; nothing was trained.")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{where} is not JSON ({error}): correct it; nothing was trained.") from error
    turns = _turns_of(row) if isinstance(row, dict) else None
    if turns is None:
        raise RefusedError(
            f'{where} has none of the known forms ("messages", "conversations", "instruction" and "output", '
            f'"prompt" and "response"): correct it; nothing was trained.'
        )
    learn = tuple(i for i, turn in enumerate(turns) if turn.role is Role.ASSISTANT and turn.content)
    if not learn or not any(turn.role is Role.USER for turn in turns[: learn[0]]):
        raise RefusedError(f"{where} has no answer to a question: correct it; nothing was trained.")
    return Lesson(tuple(turns[: learn[-1] + 1]), learn, f"line {number}", ("example",) * len(learn))


def _turns_of(row: dict[str, Any]) -> list[Turn] | None:
    """The row's turns in whichever of the known forms it has, or None."""
    if isinstance(row.get("messages"), list):
        return _listed(row["messages"], "role", "content")
    if isinstance(row.get("conversations"), list):
        return _listed(row["conversations"], "from", "value")
    if isinstance(row.get("instruction"), str) and isinstance(row.get("output"), str):
        more = row.get("input")
        asked = f"{row['instruction']}\n\n{more}" if isinstance(more, str) and more.strip() else row["instruction"]
        return [_turn(Role.USER, asked), _turn(Role.ASSISTANT, row["output"])]
    if isinstance(row.get("prompt"), str) and isinstance(row.get("response"), str):
        article = _ARTICLE.match(row["prompt"])
        asked = article["question"] if article else row["prompt"]
        return [_turn(Role.USER, asked), _turn(Role.ASSISTANT, row["response"])]
    return None


_ROLES = {each.value: each for each in Role} | {"human": Role.USER, "gpt": Role.ASSISTANT}


def _listed(entries: list[Any], role_key: str, text_key: str) -> list[Turn] | None:
    turns = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get(text_key), str):
            return None
        role = _ROLES.get(str(entry.get(role_key)))
        if role is None:
            return None
        turns.append(_turn(role, entry[text_key]))
    return turns or None


def _turn(role: Role, text: str) -> Turn:
    return Turn(role, clean(text).strip())
