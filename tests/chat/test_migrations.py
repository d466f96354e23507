"""How an older database becomes a newer one, and what is never touched."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.migrations import APPLICATION_ID, MIGRATIONS, Migration, migrate
from lora_chat.chat.store import Store
from lora_chat.chat.written import draft_of, keep_draft
from lora_chat.errors import StoreError
from tests.chat.conftest import Start, contents, talk

MOOD = ("ALTER TABLE messages ADD COLUMN mood TEXT", "UPDATE messages SET mood = 'calm'")
BROKEN = ("ALTER TABLE messages ADD COLUMN mood TEXT", "UPDATE missing SET mood = 'calm'")

_SLOW_MIGRATION = """
import sqlite3, sys, time
from pathlib import Path
from lora_chat.chat.migrations import MIGRATIONS, migrate

def pause():
    print("half done", flush=True)
    time.sleep(60)

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.create_function("pause", 0, pause)
slow = ("ALTER TABLE messages ADD COLUMN mood TEXT", "UPDATE messages SET mood = 'calm'", "SELECT pause()")
migrate(connection, Path(sys.argv[1]), [*MIGRATIONS[:1], slow])
"""


@pytest.fixture
def version_1(database: Path) -> Path:
    """A database of version 1 with two messages."""
    database.parent.mkdir()
    connection = sqlite3.connect(database, isolation_level=None)
    migrate(connection, database, MIGRATIONS[:1])
    connection.execute("INSERT INTO conversations VALUES ('aaaaaaaa', 'T', 1.0, 2.0, '', '', NULL, 1.0, 2)")
    sql = "INSERT INTO messages (conversation, parent, role, content, status, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    connection.execute(sql, ("aaaaaaaa", None, "user", "Hello", "done", 1.0))
    connection.execute(sql, ("aaaaaaaa", 1, "assistant", "Hi", "done", 2.0))
    connection.close()
    return database


def run(path: Path, migrations: Sequence[Migration]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        migrate(connection, path, migrations)
    finally:
        connection.close()


def version(path: Path) -> tuple[int, list[str]]:
    connection = sqlite3.connect(path)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(messages)")]
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return number, columns


def texts(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT content FROM messages ORDER BY id")]
    connection.close()
    return found


def test_a_version_1_database_opens_with_all_that_was_said(version_1: Path) -> None:
    with Store.open(version_1) as store:
        assert contents(store.branch("aaaaaaaa")) == ["Hello", "Hi"]
        assert store.check() == []


def test_a_conversation_of_a_version_2_database_may_be_trained_on_until_somebody_says_never(version_1: Path) -> None:
    run(version_1, MIGRATIONS[:2])
    with Store.open(version_1) as store:
        assert version(version_1)[0] == len(MIGRATIONS)
        assert version(version_1.with_name("chats.db.backup-2"))[0] == 2
        assert store.conversation("aaaaaaaa").never_train is False
        assert store.update_conversation("aaaaaaaa", never_train=True).never_train is True
    with Store.open(version_1) as store:
        assert [each.never_train for each in store.conversations()] == [True]


def test_a_conversation_of_a_version_3_database_begins_with_no_examples_until_it_is_given_some(version_1: Path) -> None:
    run(version_1, MIGRATIONS[:3])
    connection = sqlite3.connect(version_1)
    connection.execute("UPDATE conversations SET system = 'Be brief.', never_train = 1, adapter = 'shop', scale = 0.5")
    connection.commit()
    connection.close()
    with Store.open(version_1) as store:
        assert version(version_1)[0] == len(MIGRATIONS)
        assert version(version_1.with_name("chats.db.backup-3"))[0] == 3
        found = store.conversation("aaaaaaaa")
        assert (found.preset, found.examples, found.own_system) == ("", (), None)
        assert (found.system, found.never_train, found.adapter, found.scale) == ("Be brief.", True, "shop", 0.5)
        assert contents(store.branch("aaaaaaaa")) == ["Hello", "Hi"]
        assert store.update_conversation("aaaaaaaa", preset="shop", examples=(("q", "a"),)).preset == "shop"
    with Store.open(version_1) as store:
        assert [each.examples for each in store.conversations()] == [(("q", "a"),)]
        assert store.check() == []


@pytest.mark.parametrize("old", range(1, len(MIGRATIONS)))
def test_a_conversation_of_any_older_version_is_neither_pinned_nor_archived_until_somebody_says_so(
    version_1: Path, old: int
) -> None:
    run(version_1, MIGRATIONS[:old])
    with Store.open(version_1) as store:
        assert version(version_1)[0] == len(MIGRATIONS)
        assert version(version_1.with_name(f"chats.db.backup-{old}"))[0] == old
        (found,) = store.listed()
        assert (found.title, found.pinned, found.archived, found.wishes) == ("T", False, False, {})
        assert contents(store.branch("aaaaaaaa")) == ["Hello", "Hi"]
        store.update_conversation("aaaaaaaa", archived=True)
    with Store.open(version_1) as store:
        assert store.listed() == []
        assert [each.title for each in store.listed(archived=True)] == ["T"]
        assert store.check() == []


def test_a_version_5_database_has_room_for_drafts_and_they_stay(version_1: Path) -> None:
    run(version_1, MIGRATIONS[:5])
    with Store.open(version_1) as store:
        assert version(version_1.with_name("chats.db.backup-5"))[0] == 5
        keep_draft(store, "aaaaaaaa", "half")
    with Store.open(version_1) as store:
        assert draft_of(store, "aaaaaaaa") == "half"
        assert contents(store.branch("aaaaaaaa")) == ["Hello", "Hi"]


def test_a_backup_of_the_old_version_precedes_a_change_of_schema(version_1: Path) -> None:
    run(version_1, [*MIGRATIONS[:1], MOOD])
    backup = version_1.with_name("chats.db.backup-1")
    assert version(version_1)[0] == 2
    assert "mood" in version(version_1)[1]
    assert version(backup)[0] == 1
    assert "mood" not in version(backup)[1]
    assert texts(backup) == texts(version_1) == ["Hello", "Hi"]
    assert sorted(file.name for file in version_1.parent.iterdir()) == ["chats.db", "chats.db.backup-1"]
    if os.name == "posix":
        assert backup.stat().st_mode & 0o777 == 0o600


def test_each_of_several_steps_has_its_backup(version_1: Path) -> None:
    run(version_1, [*MIGRATIONS[:1], MOOD, ("CREATE TABLE more (x)",)])
    assert version(version_1)[0] == 3
    assert version(version_1.with_name("chats.db.backup-2"))[0] == 2


def test_nothing_is_backed_up_or_changed_when_the_version_is_the_newest(version_1: Path) -> None:
    before = version_1.read_bytes()
    run(version_1, MIGRATIONS[:1])
    assert version_1.read_bytes() == before
    assert [file.name for file in version_1.parent.iterdir()] == ["chats.db"]


def test_a_step_that_fails_leaves_no_trace_of_itself(version_1: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        run(version_1, [*MIGRATIONS[:1], BROKEN])
    assert version(version_1)[0] == 1
    assert "mood" not in version(version_1)[1]
    run(version_1, [*MIGRATIONS[:1], MOOD])
    assert version(version_1)[0] == 2


def test_a_backup_that_cannot_be_written_stops_the_change(version_1: Path) -> None:
    version_1.with_name("chats.db.backup-1").mkdir()
    with pytest.raises(StoreError, match="backup before a change of schema"):
        run(version_1, [*MIGRATIONS[:1], MOOD])
    assert version(version_1)[0] == 1
    assert sorted(file.name for file in version_1.parent.iterdir()) == ["chats.db", "chats.db.backup-1"]


def test_a_kill_during_a_step_leaves_the_old_version_and_its_backup(version_1: Path, start: Start) -> None:
    process = start(_SLOW_MIGRATION, version_1)
    assert process.stdout
    assert process.stdout.readline() == "half done\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert version(version_1)[0] == 1
    assert "mood" not in version(version_1)[1]
    assert texts(version_1) == texts(version_1.with_name("chats.db.backup-1")) == ["Hello", "Hi"]
    run(version_1, [*MIGRATIONS[:1], MOOD])
    assert version(version_1)[0] == 2


def test_a_newer_version_is_named_and_left_untouched(version_1: Path) -> None:
    connection = sqlite3.connect(version_1)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = version_1.read_bytes()
    with pytest.raises(StoreError, match=f"version 99 and this lora-chat knows up to version {len(MIGRATIONS)}:"):
        Store.open(version_1)
    assert version_1.read_bytes() == before
    assert [file.name for file in version_1.parent.iterdir()] == ["chats.db"]


def foreign_tables(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE bookmarks (url)")


def foreign_tables_of_our_version(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE messages (url)")
    connection.execute("PRAGMA user_version = 1")


def foreign_mark(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA application_id = 252006675")


@pytest.mark.parametrize("make", [foreign_tables, foreign_tables_of_our_version, foreign_mark])
def test_another_program_s_database_is_left_untouched(
    database: Path, make: Callable[[sqlite3.Connection], None]
) -> None:
    database.parent.mkdir()
    connection = sqlite3.connect(database, isolation_level=None)
    make(connection)
    connection.close()
    before = database.read_bytes()
    with pytest.raises(StoreError, match="another program's database"):
        Store.open(database)
    assert database.read_bytes() == before


def test_a_new_database_says_whose_it_is(store: Store, database: Path) -> None:
    talk(store, "x")
    store.close()
    header = database.read_bytes()[:72]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[60:64], "big") == len(MIGRATIONS)


def test_a_sqlite_without_fts5_is_one_sentence(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutFts5(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "USING fts5" in sql:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=WithoutFts5))
    with pytest.raises(StoreError, match=r"lacks FTS5, which .* needs: use another Python"):
        Store.open(database)
    monkeypatch.undo()
    Store.open(database).close()  # nothing half-made stayed behind
