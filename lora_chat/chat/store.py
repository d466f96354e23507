"""Where what was said is kept. Owns conversations and messages on the disk; never generates, renders or prints.

A method that changes something returns when that is durable. Text is kept as it was said, but for the characters
that no place here may hold (``lora_chat.text.clean``). Every method is safe from any thread and raises StoreError
when the disk, the file or another program stands in the way.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

from lora_chat.chat.attached import words_of
from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status
from lora_chat.chat.database import Database
from lora_chat.chat.rows import (
    ANSWER_FIELDS,
    CONVERSATION_FIELDS,
    MESSAGE_FIELDS,
    AnswerFields,
    ConversationFields,
    MessageFields,
    conversation_of,
    examples_of,
    insert,
    is_alive,
    message_of,
    messages_of,
    storable,
    stored,
    this_writer,
    update,
)
from lora_chat.chat.titles import TITLE_LENGTH, Titles
from lora_chat.errors import NotFoundError, RefusedError, StoreError
from lora_chat.text import clean, clean_line


class Store:
    """All conversations of one home."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.titles = Titles(database)
        self._taken_back: set[str] = set()

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the store at ``path``, migrating it if needed; replies cut off by a crash are marked so.

        Raises:
            StoreError: not a database, another program's, a newer version's, locked, or the disk refuses.
        """
        store = cls(Database.open(path))
        store._mark_interrupted()
        return store

    @classmethod
    def in_memory(cls) -> Store:
        """A store that is gone when it is closed, for what nobody wants kept."""
        return cls(Database.in_memory())

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Make all changes in the block one: all of them become durable at its end, or none."""
        with self.database.writing():
            yield

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all that is read in the block be of one moment, whatever other threads and programs change meanwhile."""
        with self.database.reading():
            yield

    # Conversations

    def create_conversation(
        self, *, title: str = "", model: str = "", adapter: str | None = None, scale: float = 1.0,
        system: str = "", preset: str = "", examples: tuple[tuple[str, str], ...] = (),
        own_system: str | None = None, sampling: str = "{}",
    ) -> Conversation:  # fmt: skip
        """Begin a conversation; without a title its first user message gives it one."""
        id, now = secrets.token_hex(4), time.time()
        made = Conversation(
            id, clean_line(title), now, now, system, model, adapter, scale,
            preset=preset, examples=examples, own_system=own_system, sampling=sampling,
        )  # fmt: skip
        with self.database.writing() as connection:
            insert(connection, "conversations", {name: stored(value) for name, value in asdict(made).items()})
            return self.conversation(id)

    def conversation(self, id: str) -> Conversation:
        """Find a conversation by its id or any unique beginning of it.

        Raises:
            NotFoundError: none begins so.
            RefusedError: several do.
        """
        beginning = clean(id).strip().lower()
        # What begins so lies together in the index of ids, up to the last character there is.
        sql = "SELECT * FROM conversations WHERE id BETWEEN :it AND :it || char(1114111) AND substr(id, 1, :many) = :it"
        found = self.database.rows(sql, {"it": beginning, "many": len(beginning)}) if beginning else []
        if not found:
            raise _no_such_conversation(id)
        if len(found) > 1:
            ids = ", ".join(row["id"] for row in found[:5])
            raise RefusedError(f'"{beginning}" begins {len(found)} conversations ({ids}…): write more of the id.')
        return conversation_of(found[0])

    def conversations(self, limit: int | None = None) -> list[Conversation]:
        """List conversations, the one with the newest message first."""
        sql = "SELECT * FROM conversations ORDER BY updated_at DESC, rowid DESC LIMIT ?"
        return [conversation_of(row) for row in self.database.rows(sql, (-1 if limit is None else limit,))]

    def listed(self, limit: int | None = None, *, archived: bool = False) -> list[Conversation]:
        """List those that are not archived, or those that are: pinned ones first, then the newest message first."""
        sql = """
            SELECT * FROM conversations WHERE archived = ? ORDER BY pinned DESC, updated_at DESC, rowid DESC LIMIT ?
        """
        return [conversation_of(row) for row in self.database.rows(sql, (archived, -1 if limit is None else limit))]

    def message_counts(self) -> dict[str, int]:
        """Count each conversation's messages, all branches together."""
        rows = self.database.rows("SELECT conversation, count(*) AS messages FROM messages GROUP BY conversation")
        return {row["conversation"]: row["messages"] for row in rows}

    def update_conversation(self, id: str, **changes: Unpack[ConversationFields]) -> Conversation:
        """Change settings, the title or the visible branch (``head``).

        A ``system`` that comes without ``own_system`` is the person's own, and takes the place of a preset's as well.
        One that is pinned comes out of the archive, and one that is archived is no longer pinned.
        """
        values = storable(changes, CONVERSATION_FIELDS)
        if values.get("pinned"):
            values["archived"] = False
        elif values.get("archived"):
            values["pinned"] = False
        if "system" in values:
            values = {"own_system": None} | values
        if "title" in values:
            values["title"] = clean_line(values["title"])
        with self.database.writing() as connection:
            if values.get("head") is not None and self.message(values["head"]).conversation != id:
                raise NotFoundError(f"Message {values['head']} is not in conversation {id}.")
            update(connection, "conversations", id, values)
            return self.conversation(id)

    def delete_conversation(self, id: str) -> None:
        """Delete a conversation with all of its branches, and its words from the search index."""
        with self.database.writing() as connection:
            self._require_conversation(id)
            connection.execute("DELETE FROM messages WHERE conversation = ?", (id,))
            connection.execute("DELETE FROM conversations WHERE id = ?", (id,))
            # FTS5 only marks words as gone until segments are merged; merge them now.
            connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")

    def take_back(self, conversation: Conversation, *messages: int) -> None:
        """Delete messages that were refused, and let everything else be as ``conversation`` says it was before them.

        A conversation in which nothing was ever said goes with them.
        """
        with self.database.writing() as connection:
            connection.executemany(
                "DELETE FROM messages WHERE id = ?", [(id,) for id in sorted(messages, reverse=True)]
            )
            before = {"head": conversation.head, "title": conversation.title, "archived": conversation.archived}
            update(connection, "conversations", conversation.id, before)
            own = conversation.title, conversation.system, conversation.preset, conversation.examples
            chosen = any((*own, conversation.wishes))
            if not (chosen or self.messages(conversation.id)):
                connection.execute("DELETE FROM conversations WHERE id = ?", (conversation.id,))
                self._taken_back.add(conversation.id)
            connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")

    def was_taken_back(self, id: str) -> bool:
        """Whether that conversation went with its first message, which this program refused."""
        return id in self._taken_back

    # Messages

    def add_message(
        self,
        conversation: str,
        role: Role,
        content: str,
        *,
        parent: int | None,
        status: Status = Status.DONE,
        **answer: Unpack[AnswerFields],
    ) -> Message:
        """Add a message below ``parent`` and move the conversation's head to it; returned means durable.

        A conversation that the person goes on with comes out of the archive.

        Raises:
            NotFoundError: no such conversation, or no such parent in it.
        """
        return self._add(conversation, role, content, parent, status, storable(answer, ANSWER_FIELDS))

    def message(self, id: int) -> Message:
        """Find one message.

        Raises:
            NotFoundError: no message has this number.
        """
        found = self.database.rows("SELECT * FROM messages WHERE id = ?", (id,)) if abs(id) < 2**63 else []
        if not found:
            raise NotFoundError(f"No message {id}: `lora-chat history show` prints the messages' numbers.")
        return message_of(found[0])

    def update_message(self, id: int, **changes: Unpack[MessageFields]) -> Message:
        """Change an answer as it grows or ends; a status other than ``streaming`` also ends its writer's claim."""
        values = storable(changes, MESSAGE_FIELDS)
        if "status" in values:
            values["writer"] = this_writer() if values["status"] == Status.STREAMING else None
        with self.database.writing() as connection:
            update(connection, "messages", id, values)
            return self.message(id)

    def branch(self, conversation_id: str, leaf: int | None = None) -> list[Message]:
        """Return the messages from the root to ``leaf``, by default to the conversation's head.

        Raises:
            NotFoundError: no such conversation, or ``leaf`` is not in it.
        """
        # One statement, and so one view: another program may move the head between two. Parents are the older ones,
        # so ordering by id is ordering from the root.
        sql = """
            WITH RECURSIVE up (id, parent) AS (
                SELECT m.id, m.parent FROM messages m JOIN conversations c ON c.id = m.conversation
                WHERE c.id = :conversation AND m.id = coalesce(:leaf, c.head)
                UNION ALL
                SELECT m.id, m.parent FROM up JOIN messages m ON m.id = up.parent AND m.id < up.id
            )
            SELECT messages.* FROM up JOIN messages ON messages.id = up.id ORDER BY messages.id
        """
        self._require_conversation(conversation_id)
        if leaf is not None and self.message(leaf).conversation != conversation_id:
            raise NotFoundError(f"Message {leaf} is not in conversation {conversation_id}.")
        values = {"conversation": conversation_id, "leaf": leaf}
        return messages_of(self.database.rows(sql, values))

    def messages(self, conversation_id: str) -> list[Message]:
        """Return every message of a conversation, all branches, oldest first."""
        self._require_conversation(conversation_id)
        sql = "SELECT * FROM messages WHERE conversation = ? ORDER BY id"
        return messages_of(self.database.rows(sql, (conversation_id,)))

    def has_answer(self, conversation_id: str, base: str, adapter: str) -> bool:
        """Whether anything on any branch was answered by ``base`` wearing ``adapter``, both by name."""
        sql = "SELECT 1 FROM messages WHERE conversation = ? AND base = ? AND adapter = ? LIMIT 1"
        return bool(self.database.rows(sql, (conversation_id, base, adapter)))

    def kinship(self, conversation_id: str) -> list[tuple[int, int | None, str]]:
        """Return number, parent and role of every message of a conversation, oldest first.

        Raises:
            NotFoundError: no such conversation.
        """
        self._require_conversation(conversation_id)
        sql = "SELECT id, parent, role FROM messages WHERE conversation = ? ORDER BY id"
        return [(row[0], row[1], row[2]) for row in self.database.rows(sql, (conversation_id,))]

    def siblings(self, message_id: int) -> list[Message]:
        """Return the message and its alternatives (same parent, same role), oldest first."""
        one = self.message(message_id)
        sql = "SELECT * FROM messages WHERE conversation = ? AND parent IS ? AND role = ? ORDER BY id"
        return messages_of(self.database.rows(sql, (one.conversation, one.parent, one.role)))

    def newest_leaf(self, message_id: int) -> int:
        """Return the end of the branch through a message that was last written to."""
        sql = """
            WITH RECURSIVE below (id) AS (
                SELECT :message
                UNION ALL
                SELECT m.id FROM below JOIN messages m ON m.conversation = :conversation AND m.parent = below.id
            )
            SELECT max(id) AS id FROM below
        """
        values = {"message": message_id, "conversation": self.message(message_id).conversation}
        return int(self.database.rows(sql, values)[0]["id"])

    def rate(self, message_id: int, rating: Rating | None) -> Message:
        """Keep what the person thought of an answer; None takes it back.

        Raises:
            RefusedError: the message is not an answer.
        """
        with self.database.writing() as connection:
            self._answer(message_id, "rated")
            update(connection, "messages", message_id, {"rating": rating})
            return self.message(message_id)

    def edit_answer(self, message_id: int, content: str) -> Message:
        """Add the answer the person wanted beside the one given, and make it the visible one.

        The new one names no base and no adapter, since a person wrote it; where the prompt began stays known.

        Raises:
            RefusedError: the message is not an answer, is still being written, or the new text is empty.
        """
        with self.database.writing():
            old = self._answer(message_id, "edited")
            if old.status is Status.STREAMING:
                raise RefusedError(f"Message {message_id} is still being written: wait for it or stop it first.")
            if not clean(content).strip():
                raise RefusedError("The answer you wanted is empty: write its text.")
            extra = {"edited_from": message_id, "context_start": old.context_start}
            return self._add(old.conversation, Role.ASSISTANT, content, old.parent, Status.DONE, extra)

    # Health

    def check(self) -> list[str]:
        """Read the whole file and return what is wrong with it, empty if nothing; a stale search index is rebuilt."""
        problems = self.database.check()
        with suppress(StoreError):  # which the file's own check has said
            rows = self.database.rows("SELECT id, examples FROM conversations WHERE examples <> '[]'")
            damaged = [row["id"] for row in rows if examples_of(row["examples"]) is None]
            problems += [f"the examples of conversation {id} are damaged: choose its preset again" for id in damaged]
        return problems

    # Inside

    def _require_conversation(self, id: str) -> sqlite3.Row:
        found = self.database.rows("SELECT * FROM conversations WHERE id = ?", (clean(id),))
        if not found:
            raise _no_such_conversation(id)
        return found[0]

    def _answer(self, id: int, verb: str) -> Message:
        message = self.message(id)
        if message.role is not Role.ASSISTANT:
            raise RefusedError(f"Message {id} is the {message.role}'s: only answers can be {verb}.")
        return message

    def _add(
        self, conversation: str, role: Role, content: str, parent: int | None, status: Status, extra: dict[str, Any]
    ) -> Message:
        now = time.time()
        values = {"conversation": conversation, "role": role, "content": clean(content), "parent": parent} | extra
        values |= {"status": status, "created_at": now}
        values["writer"] = this_writer() if status is Status.STREAMING else None
        with self.database.writing() as connection:
            row = self._require_conversation(conversation)
            if parent is not None and self.message(parent).conversation != conversation:
                raise NotFoundError(f"Message {parent} is not in conversation {conversation}.")
            id = insert(connection, "messages", values)
            changes: dict[str, Any] = {"head": id, "updated_at": now}
            if role is Role.USER:
                changes["archived"] = False
                changes["title"] = row["title"] or clean_line(words_of(content), TITLE_LENGTH)
            update(connection, "conversations", conversation, changes)
            return self.message(id)

    def _mark_interrupted(self) -> None:
        """Make durable what ``message_of`` sees anyway: the replies of ended programs are interrupted."""
        rows = self.database.rows("SELECT id, writer FROM messages WHERE status = 'streaming'")
        ended = [(row["id"], row["writer"]) for row in rows if not is_alive(row["writer"])]
        sql = "UPDATE messages SET status = 'interrupted', writer = NULL WHERE id = ? AND writer = ?"
        # A read-only home can still be read, and readers see the right status without this.
        with suppress(StoreError):
            if ended:
                with self.database.writing() as connection:
                    connection.executemany(sql, ended)


def _no_such_conversation(id: str) -> NotFoundError:
    where = "`lora-chat history list`, or /open in the chat, shows them all"
    return NotFoundError(f'No conversation "{clean_line(id, 40)}": {where}.')
