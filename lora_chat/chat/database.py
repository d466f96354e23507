"""The SQLite file under the store. Owns the connection, its transactions and the words for its errors; never knows
what a conversation is.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from lora_chat.chat.migrations import migrate
from lora_chat.errors import LoraChatError, StoreError
from lora_chat.files import sync_folder
from lora_chat.paths import make_private

BUSY_SECONDS = 5.0
"""How long a write waits for another program's."""


class Database:
    """One connection behind one lock, usable from every thread.

    One, not one per thread: SQLite has a single writer anyhow, in TRUNCATE mode two connections of one program would
    keep each other waiting, and every statement here takes well under a millisecond beside a write's fsync.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._viewing = False

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open ``path``, creating or migrating it as needed; file 0600, folder 0700.

        Raises:
            StoreError: it cannot be opened, is not ours, or is of a newer version.
        """
        _create_private(path)
        with explained(path):
            # Autocommit: transactions are begun by hand. SQLite's journal files take the mode of the database.
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def in_memory(cls) -> Database:
        """A database that leaves nothing behind."""
        path = Path(":memory:")
        with explained(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            _prepare(connection, path)
        return cls(path, connection)

    def close(self) -> None:
        """Close the connection; a second time is fine."""
        with self._lock:
            self._connection.close()

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run one query and return all of its rows."""
        with self._lock, explained(self.path):
            return self._connection.execute(sql, values).fetchall()

    def stamp(self) -> tuple[int, int]:
        """Another one whenever something may have been written since, by this program or another."""
        with self._lock, explained(self.path):
            others: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return others, self._connection.total_changes

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One view of all that is read in the block, whatever other threads and programs write meanwhile.

        Inside a ``writing`` of the same thread the block sees what that changes.
        """
        with self._lock, explained(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            self._viewing = True
            try:
                yield
            except BaseException:
                with suppress(sqlite3.Error):  # which would hide why the block failed
                    self._end_view()
                raise
            self._end_view()

    def _end_view(self) -> None:
        self._viewing = False
        if self._connection.in_transaction:  # SQLite ends it itself after some errors of the disk
            self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when the block ends; any exception takes all of it back.

        Inside another ``writing`` of the same thread the block joins that transaction. Inside a ``reading``, which
        makes nothing durable, it is the calling code's mistake: a RuntimeError.
        """
        with self._lock, explained(self.path):
            if self._viewing:
                raise RuntimeError("nothing can be written inside one view")
            if self._connection.in_transaction:
                yield self._connection
                return
            # IMMEDIATE takes the write lock first: a later upgrade could fail without waiting.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check(self) -> list[str]:
        """Read the whole file and return what is wrong with it, empty if nothing; a stale search index is rebuilt.

        Nothing is written to a file that is itself damaged.
        """
        try:
            rows = self.rows("PRAGMA integrity_check(10)")
            problems = [row[0] for row in rows if row[0] != "ok"]
            if not problems:
                problems = [f"dangling reference: {tuple(row)}" for row in self.rows("PRAGMA foreign_key_check")]
        except StoreError as error:
            return [str(error)]
        if not problems and not self._has_sound_index():
            with self.writing() as connection:
                connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('rebuild')")
            problems.append("the search index did not match the messages and was rebuilt")
        return problems

    def _has_sound_index(self) -> bool:
        """Whether the search index holds exactly the words of the messages; ``integrity_check`` does not look there."""
        with self._lock, explained(self.path):
            try:
                # rank 1 compares the index with the messages; without it only with itself.
                self._connection.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")
            except sqlite3.DatabaseError as error:
                if _primary_code(error) == sqlite3.SQLITE_CORRUPT:
                    return False
                raise
        return True


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every ``sqlite3.Error`` into a StoreError that says what, where and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_explanation(error, path)) from error


def _explanation(error: sqlite3.Error, path: Path) -> str:
    if "no such module: fts5" in str(error):
        return f"This Python's SQLite {sqlite3.sqlite_version} lacks FTS5, which {path} needs: use another Python."
    writable = "make the file and its folder writable for you, or set LORA_CHAT_HOME to another folder."
    damaged = f"move it away and restore the newest {path.name}.backup-*, or run `sqlite3 {path.name} .recover` on it."
    busy = f"another program has held it for {BUSY_SECONDS:g} s; close that program or try again."
    sentences = {
        sqlite3.SQLITE_FULL: f"No space is left for {path}: free some and try again; nothing was changed.",
        sqlite3.SQLITE_READONLY: f"{path} is read-only: {writable}",
        sqlite3.SQLITE_PERM: f"{path} may not be opened: {writable}",
        sqlite3.SQLITE_CANTOPEN: f"{path} cannot be opened: {writable}",
        sqlite3.SQLITE_CORRUPT: f"{path} is damaged ({error}): {damaged}",
        sqlite3.SQLITE_NOTADB: f"{path} is not a database: move it away, and lora-chat begins a new one.",
        sqlite3.SQLITE_BUSY: f"{path} is locked: {busy}",
        sqlite3.SQLITE_LOCKED: f"{path} is locked: {busy}",
        sqlite3.SQLITE_IOERR: f"The disk failed on {path} ({error}): check the disk, then try again.",
    }
    return sentences.get(
        _primary_code(error), f"{path} refused an operation ({error}): please report this defect of lora-chat."
    )


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF  # the bytes above say more, such as which call of the disk failed


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, so that at no moment others can read it."""
    try:
        make_private(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            sync_folder(path.parent)
        except FileExistsError:
            # Never opened here: closing any descriptor of a file drops this process's POSIX locks on it.
            if os.name == "posix" and path.stat().st_mode & 0o077:
                path.chmod(0o600)
    except LoraChatError as error:
        raise StoreError(str(error)) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made or kept private ({error.strerror}): "
            "make the file and its folder yours, or set LORA_CHAT_HOME to another folder."
        ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.row_factory = sqlite3.Row
    # A flipped byte must cost one character, not the whole conversation.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    migrate(connection, path)  # first: what is not ours must not even change its journal mode
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS's fsync alone does not reach the disk
    connection.execute("PRAGMA secure_delete = ON")  # a deleted message leaves no text in free pages
    if has_sound_wal(sqlite3.sqlite_version_info):
        with suppress(sqlite3.OperationalError):  # locked by another program: its journal mode serves as well
            connection.execute("PRAGMA journal_mode = WAL")
    else:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("SELECT rowid FROM messages_fts LIMIT 0")  # fails here, not at the first message, without FTS5


def has_sound_wal(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset race: 3.51.3, or its backports 3.50.7 and 3.44.6.

    Source: https://www.sqlite.org/wal.html
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
