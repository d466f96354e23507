"""A turn or a conversation that is deleted, and how it comes back. Owns what goes with it, what may not; never asks.

What is deleted is gone from the file, its words from the search index too. Only whoever holds the ``Removed`` or the
``RemovedConversation`` can bring it back, as it was: a message's number never names another one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lora_chat.chat.attached import words_of
from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.chat.rows import insert
from lora_chat.chat.store import TITLE_LENGTH, Store
from lora_chat.errors import RefusedError
from lora_chat.text import clean_line

_BELOW = """
    WITH RECURSIVE below (id) AS (
        SELECT :message
        UNION ALL
        SELECT m.id FROM below JOIN messages m ON m.conversation = :conversation AND m.parent = below.id
    )
    SELECT messages.* FROM below JOIN messages ON messages.id = below.id ORDER BY messages.id
"""


@dataclass(frozen=True)
class Removed:
    """A message and all that followed it, on every branch."""

    conversation: str
    head: int | None
    """The end of the branch that was in sight."""
    rows: tuple[Mapping[str, Any], ...]
    """As they lay in the table, oldest first."""
    title: str | None = None
    """The conversation's, where that was made of what is gone."""

    @property
    def vouched(self) -> int:
        """Answers that the person wrote or rated good."""
        return sum(row["edited_from"] is not None or row["rating"] == Rating.GOOD for row in self.rows)

    def __len__(self) -> int:
        """Messages."""
        return len(self.rows)


@dataclass(frozen=True)
class RemovedConversation:
    """A conversation with all of its branches."""

    row: Mapping[str, Any]
    """As it lay in the table."""
    rows: tuple[Mapping[str, Any], ...]
    """Its messages, likewise, oldest first."""
    drafts: tuple[Mapping[str, Any], ...] = ()
    """What stood unsent in it, likewise: one row or none."""

    @property
    def conversation(self) -> str:
        """Its id."""
        return str(self.row["id"])

    @property
    def title(self) -> str:
        """What it was called."""
        return str(self.row["title"])


def remove_conversation(store: Store, id: str) -> RemovedConversation:
    """Delete a conversation with all that was said in it; an answer that is being written ends where it is.

    Raises:
        NotFoundError: there is no such conversation.
    """
    with store.database.writing():
        conversations = store.database.rows("SELECT * FROM conversations WHERE id = ?", (id,))
        messages = store.database.rows("SELECT * FROM messages WHERE conversation = ? ORDER BY id", (id,))
        drafts = tuple(dict(each) for each in store.database.rows("SELECT * FROM drafts WHERE conversation = ?", (id,)))
        store.delete_conversation(id)
    return RemovedConversation(dict(conversations[0]), tuple(_ended(dict(each)) for each in messages), drafts)


def _ended(row: dict[str, Any]) -> dict[str, Any]:
    """As it lies in the table, but that nobody writes it any more: who does finds it gone."""
    if row["status"] != Status.STREAMING:
        return row
    return row | {"status": Status.STOPPED, "writer": None, "finish_reason": "cancelled"}


def restore_conversation(store: Store, removed: RemovedConversation) -> None:
    """Bring it back, all that was said in it and what stood unsent; it is listed where it was."""
    with store.database.writing() as connection:
        insert(connection, "conversations", removed.row)
        for row in removed.rows:
            insert(connection, "messages", row)
        for row in removed.drafts:
            insert(connection, "drafts", row)


def remove(store: Store, message_id: int) -> Removed:
    """Delete a message with all that followed it; in sight comes the answer beside it, else what stood before it.

    Raises:
        NotFoundError: there is no such message.
        RefusedError: an answer of the conversation is being written, or one that the person wrote stands in the place
            of this one and would be left without it.
    """
    with store.database.writing() as connection:
        message = store.message(message_id)
        if any(each.status is Status.STREAMING for each in store.messages(message.conversation)):
            raise RefusedError("An answer is still being written here: wait for it or stop it, then delete.")
        values = {"message": message_id, "conversation": message.conversation}
        rows = tuple(dict(row) for row in store.database.rows(_BELOW, values))
        ids = {row["id"] for row in rows}
        beside = [each for each in store.siblings(message_id) if each.id != message_id]
        if any(each.edited_from in ids for each in beside):
            raise RefusedError("You wrote an answer in this one's place, and it is learnt from: delete yours first.")
        conversation = store.conversation(message.conversation)
        head, title = conversation.head, conversation.title if _is_made_of(conversation.title, rows) else None
        if head in ids:
            _show(connection, message.conversation, _instead(store, message, beside))
        connection.executemany("DELETE FROM messages WHERE id = ?", [(id,) for id in sorted(ids, reverse=True)])
        connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")  # as delete_conversation does
        if title is not None:  # its words are to be gone from there too
            left = (each.content for each in store.messages(message.conversation) if each.role is Role.USER)
            store.update_conversation(message.conversation, title=clean_line(words_of(next(left, "")), TITLE_LENGTH))
    return Removed(message.conversation, head, rows, title)


def restore(store: Store, removed: Removed) -> None:
    """Bring it back, and into sight where it was; what was said since stands beside it.

    Raises:
        NotFoundError: its conversation, what it followed or what it was written in the place of was deleted since.
        RefusedError: an answer of the conversation is being written.
    """
    with store.database.writing() as connection:
        store.conversation(removed.conversation)
        there = {each.id: each for each in store.messages(removed.conversation)}
        if any(each.status is Status.STREAMING for each in there.values()):
            raise RefusedError("An answer is still being written here: wait for it or stop it, then bring it back.")
        for before in (removed.rows[0]["parent"], removed.rows[0]["edited_from"]):
            if before is not None:
                store.message(before)
        for row in removed.rows:
            insert(connection, "messages", row)
        ids = [row["id"] for row in removed.rows]
        _show(connection, removed.conversation, removed.head if removed.head in (*ids, *there) else ids[-1])
        if removed.title is not None:
            store.update_conversation(removed.conversation, title=removed.title)


def _is_made_of(title: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    said = [row["content"] for row in rows if row["role"] == Role.USER]
    return bool(title) and any(clean_line(words_of(each), TITLE_LENGTH) == title for each in said)


def _instead(store: Store, message: Message, beside: list[Message]) -> int | None:
    """The end of the branch that is shown next: of the newest one before it, else after it, else of none."""
    older = [each.id for each in beside if each.id < message.id]
    newer = [each.id for each in beside if each.id > message.id]
    near = older[-1] if older else newer[0] if newer else None
    return message.parent if near is None else store.newest_leaf(near)


def _show(connection: sqlite3.Connection, conversation: str, head: int | None) -> None:
    connection.execute("UPDATE conversations SET head = ? WHERE id = ?", (head, conversation))
