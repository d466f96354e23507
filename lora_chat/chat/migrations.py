"""How the database's schema grew, step by step. Owns the numbered migrations; never touches a row's meaning.

``PRAGMA user_version`` is the number of migrations applied, ``PRAGMA application_id`` marks the file as ours. Each
migration is one transaction, and a backup copy precedes each schema change of a database that holds something.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from lora_chat.errors import StoreError
from lora_chat.files import sync_file, sync_folder

APPLICATION_ID = 0x4C4F5241
"""``LORA`` in ASCII: how a database says that it is lora-chat's."""

Migration = Sequence[str]
"""SQL statements, run in order; all of them or none take effect."""

_CONVERSATIONS = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY NOT NULL,
    title TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    system TEXT NOT NULL,
    model TEXT NOT NULL,
    adapter TEXT,
    scale REAL NOT NULL,
    head INTEGER,
    FOREIGN KEY (id, head) REFERENCES messages (conversation, id) DEFERRABLE INITIALLY DEFERRED
)
"""

# AUTOINCREMENT: a number once shown to a person never names another message. Parents are older than their children,
# so a branch is ordered by id and can have no cycle. Nothing cascades along `parent`: SQLite follows a cascade at
# most 1,000 levels deep, and a conversation is as deep as it is long.
_MESSAGES = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations (id) DEFERRABLE INITIALLY DEFERRED,
    parent INTEGER CHECK (parent < id),
    role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    content TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'streaming', 'stopped', 'interrupted', 'failed')),
    writer TEXT CHECK (status <> 'streaming' OR writer IS NOT NULL),
    created_at REAL NOT NULL,
    finish_reason TEXT,
    error TEXT,
    base TEXT,
    adapter TEXT,
    adapter_sha256 TEXT,
    scale REAL,
    sampling TEXT,
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    generated_tokens INTEGER,
    first_token_ms REAL,
    tokens_per_second REAL,
    rating TEXT CHECK (rating IN ('good', 'bad')),
    edited_from INTEGER,
    UNIQUE (conversation, id),
    FOREIGN KEY (conversation, parent) REFERENCES messages (conversation, id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (conversation, edited_from) REFERENCES messages (conversation, id) DEFERRABLE INITIALLY DEFERRED
)
"""

MIGRATIONS: Sequence[Migration] = (
    (
        _CONVERSATIONS,
        _MESSAGES,
        "CREATE INDEX conversations_newest ON conversations (updated_at)",
        "CREATE INDEX conversations_head ON conversations (id, head)",
        "CREATE INDEX messages_children ON messages (conversation, parent)",
        "CREATE INDEX messages_edits ON messages (conversation, edited_from) WHERE edited_from IS NOT NULL",
        "CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming'",
        # prefix='1 2 3' makes a newest-first search over 100,000 messages take 1 ms.
        "CREATE VIRTUAL TABLE messages_fts USING fts5"
        "(content, content='messages', content_rowid='id', prefix='1 2 3', tokenize='unicode61 remove_diacritics 2')",
        "CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN"
        " INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content); END",
        "CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN"
        " INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content); END",
        "CREATE TRIGGER messages_fts_update AFTER UPDATE OF content ON messages BEGIN"
        " INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content);"
        " INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content); END",
    ),
    ("ALTER TABLE messages ADD COLUMN context_start INTEGER",),
    ("ALTER TABLE conversations ADD COLUMN never_train INTEGER NOT NULL DEFAULT 0 CHECK (never_train IN (0, 1))",),
    (
        "ALTER TABLE conversations ADD COLUMN preset TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE conversations ADD COLUMN examples TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE conversations ADD COLUMN own_system TEXT",
    ),
    (
        "ALTER TABLE conversations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1))",
        "ALTER TABLE conversations ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1))",
        "ALTER TABLE conversations ADD COLUMN sampling TEXT NOT NULL DEFAULT '{}'",
        "CREATE INDEX conversations_listed ON conversations (archived, pinned, updated_at)",
    ),
    (
        # '' is the conversation that is not begun yet, which is why this is no foreign key.
        "CREATE TABLE drafts (conversation TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL, kept_at REAL NOT NULL)",
        "CREATE TRIGGER drafts_delete AFTER DELETE ON conversations BEGIN"
        " DELETE FROM drafts WHERE conversation = old.id; END",
    ),
)
"""Version n is the state after the first n. A released migration is never edited, only followed by another."""


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the database at ``path`` to the newest version; a new or empty file becomes a fresh database.

    ``connection`` is in autocommit mode with foreign keys still off, so that a migration may rebuild a table.

    Raises:
        StoreError: another program's database, or one of a newer lora-chat; either is left untouched.
        sqlite3.Error: anything the disk says; the migration it interrupted left no trace.
    """
    while version_of(connection, path, len(migrations)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, path, migrations)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def version_of(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """Return the schema's version, 0 for a fresh file; changes nothing.

    Raises:
        StoreError: not ours, or newer than ``known``.
    """
    identity: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (identity, version, tables) == (0, 0, 0):
        return 0
    if identity != APPLICATION_ID or version < 1:
        raise StoreError(f"{path} is another program's database: move it away or set LORA_CHAT_HOME to another folder.")
    if version > known:
        raise StoreError(
            f"{path} has schema version {version} and this lora-chat knows up to version {known}: "
            f"update lora-chat, or restore {path.name}.backup-{known}; nothing was changed."
        )
    return version


def _step(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Apply the next migration inside the caller's transaction; another program may have done so while we waited."""
    version = version_of(connection, path, len(migrations))
    if version == len(migrations):
        return
    if version and connection.execute("SELECT EXISTS (SELECT 1 FROM conversations)").fetchone()[0]:
        _back_up(path, version)
    for statement in migrations[version]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version + 1}")


def _back_up(path: Path, version: int) -> None:
    """Copy the database to ``chats.db.backup-<version>``, whole or not at all.

    A connection of its own reads what is committed while the migrating one holds the write lock.
    """
    target = path.with_name(f"{path.name}.backup-{version}")
    part = path.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        sync_file(part)
        os.replace(part, target)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"Cannot write {target}, the backup before a change of schema ({error.strerror}): "
            "free some space or correct the folder's permissions; nothing was changed."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
