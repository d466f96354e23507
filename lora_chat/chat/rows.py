"""How conversations and messages lie in the tables. Owns the way from a dataclass to a row and back; never opens,
begins or commits anything.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, TypedDict

from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status
from lora_chat.errors import NotFoundError, StoreError
from lora_chat.text import clean


class ConversationFields(TypedDict, total=False):
    """What of a conversation can be changed."""

    title: str
    system: str
    model: str
    adapter: str | None
    scale: float
    head: int | None
    never_train: bool
    preset: str
    examples: tuple[tuple[str, str], ...]
    own_system: str | None
    pinned: bool
    archived: bool
    sampling: str


class AnswerFields(TypedDict, total=False):
    """How an answer came to be; each is a field of Message."""

    finish_reason: str | None
    error: str | None
    base: str | None
    adapter: str | None
    adapter_sha256: str | None
    scale: float | None
    sampling: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    generated_tokens: int | None
    first_token_ms: float | None
    tokens_per_second: float | None
    context_start: int | None


class MessageFields(AnswerFields, total=False):
    """What of a message can be changed after it was added."""

    content: str
    status: Status
    rating: Rating | None
    edited_from: int | None


CONVERSATION_FIELDS = ConversationFields.__optional_keys__
ANSWER_FIELDS = AnswerFields.__optional_keys__
MESSAGE_FIELDS = MessageFields.__optional_keys__

_OF_A_CONVERSATION = frozenset(each.name for each in fields(Conversation))
_OF_A_MESSAGE = [each.name for each in fields(Message)]


def conversation_of(row: sqlite3.Row) -> Conversation:
    """Turn a row of ``conversations`` into a Conversation.

    Damaged examples are none, and their preset is no longer named: one row must not hide all the others from the
    window. ``lora-chat doctor`` says which those are. A column that a newer program added meanwhile is left out.
    """
    values = _known(row, _OF_A_CONVERSATION)
    examples = examples_of(values["examples"])
    preset = values["preset"] if examples is not None else ""
    marks = {name: bool(values[name]) for name in ("never_train", "pinned", "archived")}
    return Conversation(**values | marks | {"preset": preset, "examples": examples or ()})


@lru_cache(maxsize=256)  # all conversations are listed after each turn, and many begin alike
def examples_of(text: object) -> tuple[tuple[str, str], ...] | None:
    """What the column ``examples`` holds; None where that is nothing lora-chat ever writes: a damaged file."""
    try:
        pairs = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return None
    if not all(isinstance(side, str) for pair in pairs for side in pair):
        return None
    return tuple((question, answer) for question, answer in pairs)


def messages_of(rows: Sequence[sqlite3.Row]) -> list[Message]:
    """Turn rows of ``messages`` into Messages; a reply whose writing program is gone is ``interrupted``.

    A column that a newer program added meanwhile is left out. Conversations of thousands of messages go through here
    at each look, so where the columns stand is found out once.

    Raises:
        StoreError: a row holds a value that lora-chat never writes: a damaged file.
    """
    if not rows:
        return []
    names = rows[0].keys()
    picked = itemgetter(*map(names.index, _OF_A_MESSAGE))
    return [_message(dict(zip(_OF_A_MESSAGE, picked(row), strict=True)), row) for row in rows]


def message_of(row: sqlite3.Row) -> Message:
    """Turn one row as ``messages_of`` does."""
    return messages_of([row])[0]


def _message(values: dict[str, Any], row: sqlite3.Row) -> Message:
    try:
        values["role"], values["status"] = Role(values["role"]), Status(values["status"])
        values["rating"] = Rating(values["rating"]) if values["rating"] else None
    except ValueError as error:
        raise StoreError(f"Message {values['id']} is damaged ({error}): restore a backup of the chats.") from error
    if values["status"] is Status.STREAMING and not is_alive(row["writer"]):
        values["status"] = Status.INTERRUPTED
    return Message(**values)


def _known(row: sqlite3.Row, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in zip(row.keys(), row, strict=True) if name in names}


def storable(values: Mapping[str, object], allowed: frozenset[str]) -> dict[str, Any]:
    """Clean every text on its way in; a name outside ``allowed`` is the calling code's mistake, a TypeError."""
    if unknown := sorted(values.keys() - allowed):
        raise TypeError(f"not a field that can be set: {', '.join(unknown)}")
    return {name: stored(value) for name, value in values.items()}


def stored(value: object) -> object:
    """A field as its column holds it: texts cleaned, examples as JSON."""
    if isinstance(value, tuple):
        return json.dumps([[clean(question), clean(answer)] for question, answer in value], ensure_ascii=False)
    return clean(value) if isinstance(value, str) else value


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert one row and return its rowid. Table and column names are the program's own, never input."""
    marks = ", ".join("?" * len(values))
    cursor = connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    return cursor.lastrowid or 0


def update(connection: sqlite3.Connection, table: str, id: str | int, values: Mapping[str, Any]) -> None:
    """Set columns of one row.

    Raises:
        NotFoundError: the row does not exist.
    """
    assignments = ", ".join(f"{name} = ?" for name in values) or "id = id"
    done = connection.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", (*values.values(), id))
    if not done.rowcount:
        raise NotFoundError(f"No {table.removesuffix('s')} {id}: it may have been deleted meanwhile.")


@cache
def this_writer() -> str:
    """Name this process as ``pid:start``: a process id alone may be given to another program later."""
    import os

    import psutil  # type: ignore[import-untyped]

    return f"{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_alive(writer: str | None) -> bool:
    """Whether the process that claimed a streaming reply still runs; one that only waits to be reaped does not."""
    import psutil

    pid, _, began = (writer or "").partition(":")
    try:
        process = psutil.Process(int(pid))
        # Start times are counted from a boot time that shifts by a second when the clock is set.
        return process.status() != psutil.STATUS_ZOMBIE and bool(abs(process.create_time() - float(began)) < 2)
    except (psutil.Error, ValueError, OverflowError):
        return False
