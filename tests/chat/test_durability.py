"""What happens to the store when something else goes wrong: kill -9, other programs, disks, damage."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat import database as database_module
from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.chat.search import search
from lora_chat.chat.store import Store
from lora_chat.errors import StoreError
from tests.chat.conftest import Start, contents, talk

KILLS = 50

# Long texts of many words: a commit then writes dozens of pages, and a kill has something to tear.
_CHATTER = """
import json, sys, zlib
from pathlib import Path
from lora_chat.chat.conversation import Role, Status
from lora_chat.chat.store import Store

def acknowledge(message):
    print(json.dumps([message.id, zlib.crc32(message.content.encode())]), flush=True)

store = Store.open(Path(sys.argv[1]))
conversation, parent = store.create_conversation().id, None
for number in range(int(sys.argv[2])):
    words = " ".join(f"w{number}x{place}" for place in range(int(sys.argv[3])))
    user = store.add_message(conversation, Role.USER, f"question {number} {words}", parent=parent)
    acknowledge(user)
    reply = store.add_message(conversation, Role.ASSISTANT, "", parent=user.id, status=Status.STREAMING)
    store.update_message(reply.id, content="answer so far")
    reply = store.update_message(reply.id, content=f"answer {number}", status=Status.DONE)
    acknowledge(reply)
    parent = reply.id
"""

_STREAMER = """
import sys, time
from pathlib import Path
from lora_chat.chat.conversation import Role, Status
from lora_chat.chat.store import Store

store = Store.open(Path(sys.argv[1]))
conversation = store.create_conversation().id
reply = store.add_message(conversation, Role.ASSISTANT, "", parent=None, status=Status.STREAMING)
store.update_message(reply.id, content="partial")
print(reply.id, flush=True)
time.sleep(60)
"""


def acknowledged(process: subprocess.Popen[str], until: int = -1) -> dict[int, int]:
    """Read ``until`` acknowledgements, or all; a line without its end was cut off and acknowledges nothing."""
    assert process.stdout
    kept: dict[int, int] = {}
    while len(kept) != until and (line := process.stdout.readline()).endswith("\n"):
        id, digest = json.loads(line)
        kept[id] = digest
    return kept


def digests(messages: list[Message]) -> dict[int, int]:
    return {message.id: zlib.crc32(message.content.encode()) for message in messages}


def test_fifty_kills_lose_no_acknowledged_message(database: Path, start: Start) -> None:
    chance, kept = random.Random(7), dict[int, int]()
    for _ in range(KILLS):
        process = start(_CHATTER, database, 100_000, 2000)
        kept |= acknowledged(process, until=chance.randint(1, 3))
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        kept |= acknowledged(process)
        assert process.wait() == -signal.SIGKILL
    assert len(kept) > KILLS
    with Store.open(database) as store:
        assert digests([store.message(id) for id in kept]) == kept
        assert store.check() == []
        rows = store.database.rows("SELECT role, status, content FROM messages")
        assert len(search(store, "question", 10**6)) == sum(row["role"] == "user" for row in rows)
        assert len(search(store, "answer", 10**6)) == sum(row["content"].startswith("answer") for row in rows)
        assert {row["status"] for row in rows} <= {"done", "interrupted"}


def test_a_reply_cut_off_by_a_kill_is_interrupted_and_keeps_its_text(
    store: Store, database: Path, start: Start
) -> None:
    process = start(_STREAMER, database)
    assert process.stdout
    id = int(process.stdout.readline())
    with Store.open(database) as another:
        assert another.message(id).status is Status.STREAMING  # the living program's stream is its own
    process.kill()
    time.sleep(0.2)  # dead, but not reaped: a zombie writes nothing any more
    assert (store.message(id).status, store.message(id).content) == (Status.INTERRUPTED, "partial")
    process.wait()
    assert store.message(id).status is Status.INTERRUPTED
    Store.open(database).close()
    row = store.database.rows("SELECT status, writer FROM messages WHERE id = ?", (id,))[0]
    assert tuple(row) == ("interrupted", None)


def test_a_process_id_given_to_another_program_keeps_no_stream_alive(store: Store) -> None:
    (question,) = talk(store, "q")
    reply = store.add_message(question.conversation, Role.ASSISTANT, "", parent=question.id, status=Status.STREAMING)
    with store.database.writing() as connection:
        connection.execute("UPDATE messages SET writer = '1:1.0' WHERE id = ?", (reply.id,))
    assert store.message(reply.id).status is Status.INTERRUPTED


def test_two_programs_on_one_new_home_lose_nothing(database: Path, start: Start) -> None:
    both = [start(_CHATTER, database, 30, 5) for _ in range(2)]
    kept = [acknowledged(process) for process in both]
    assert [process.wait() for process in both] == [0, 0]
    assert [len(each) for each in kept] == [60, 60]
    with Store.open(database) as store:
        branches = [digests(store.branch(each.id)) for each in store.conversations()]
        assert sorted(branches, key=str) == sorted(kept, key=str)
        assert store.check() == []


def test_a_program_that_holds_the_file_is_named_as_the_reason(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(store, "kept")
    store.close()
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(database, isolation_level=None)
    with Store.open(database) as mine:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked: another program"):
            talk(mine, "not kept")
        other.execute("ROLLBACK")
        talk(mine, "kept too")
        assert [each.title for each in mine.conversations()] == ["kept too", "kept"]


def test_a_full_disk_changes_nothing_and_the_store_goes_on(store: Store) -> None:
    (question,) = talk(store, "q")
    pages = store.database.rows("PRAGMA page_count")[0][0]
    store.database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"No space is left .* nothing was changed"):
        store.add_message(question.conversation, Role.ASSISTANT, "long " * 100_000, parent=question.id)
    assert contents(store.branch(question.conversation)) == ["q"]
    store.database.rows("PRAGMA max_page_count = 1000000")
    store.add_message(question.conversation, Role.ASSISTANT, "a", parent=question.id)
    assert contents(store.branch(question.conversation)) == ["q", "a"]
    assert store.check() == []


def test_a_read_only_database_can_be_read_and_says_why_not_written(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (question,) = talk(store, "q")
    cut = store.add_message(question.conversation, Role.ASSISTANT, "cut", parent=question.id, status=Status.STREAMING)
    with store.database.writing() as connection:
        connection.execute("UPDATE messages SET writer = '0:0' WHERE id = ?", (cut.id,))
    store.close()
    real = sqlite3.connect

    def connect(path: Path, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(f"file:{path}?mode=ro", uri=True, **options)  # binds root too
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    with Store.open(database) as reader:
        assert reader.message(cut.id).status is Status.INTERRUPTED
        with pytest.raises(StoreError, match="is read-only: make the file and its folder writable"):
            talk(reader, "no")


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="LORA_CHAT_HOME"):
        Store.open(tmp_path / "file" / "chats.db")


def test_a_folder_in_the_database_s_place_is_one_sentence(database: Path) -> None:
    database.mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(database)


def test_an_empty_file_is_a_fresh_database(database: Path) -> None:
    database.parent.mkdir()
    database.touch()
    with Store.open(database) as store:
        talk(store, "hello")
    assert len(list(database.parent.glob("*.backup-*"))) == 0


@pytest.mark.parametrize("data", [b"Dear diary, " * 100, b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(database: Path, data: bytes) -> None:
    database.parent.mkdir()
    database.write_bytes(data)
    with pytest.raises(StoreError, match=r"is not a database|is damaged"):
        Store.open(database)
    assert database.read_bytes() == data


def test_a_corrupt_page_is_one_sentence_that_says_what_to_do(store: Store, database: Path) -> None:
    with store.as_one():
        messages = talk(store, *["some text " * 50] * 400)
    size = store.database.rows("PRAGMA page_size")[0][0]
    store.close()
    data = bytearray(database.read_bytes())
    said = [page for page in range(len(data) // size) if b"some text some text" in data[page * size :][:size]]
    for page in said[10::3]:  # one of the search index would be told when it is opened
        data[page * size : (page + 1) * size] = b"\xa5" * size
    database.write_bytes(data)
    with Store.open(database) as damaged:
        with pytest.raises(StoreError, match=r"is damaged .* restore the newest chats\.db\.backup-\*"):
            damaged.branch(messages[0].conversation)
        assert damaged.check() != []


def test_a_flipped_byte_in_a_text_costs_one_character(store: Store, database: Path) -> None:
    (message,) = talk(store, "a very recognisable text")
    store.close()
    data = database.read_bytes()
    database.write_bytes(data.replace(b"recognisable", b"rec\xffgnisable"))
    with Store.open(database) as damaged:
        assert damaged.message(message.id).content == "a very rec\ufffdgnisable text"


def test_a_flipped_byte_in_a_status_is_one_sentence(store: Store) -> None:
    (message,) = talk(store, "q")
    with store.database.writing() as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE messages SET status = 'dome' WHERE id = ?", (message.id,))
    with pytest.raises(StoreError, match="Message 1 is damaged"):
        store.message(message.id)


def test_a_search_index_that_drifted_is_found_and_rebuilt(store: Store) -> None:
    talk(store, "apple", "banana")
    with store.database.writing() as connection:
        connection.execute("INSERT INTO messages_fts (messages_fts) VALUES ('delete-all')")
    assert search(store, "apple") == []
    assert store.check() == ["the search index did not match the messages and was rebuilt"]
    assert len(search(store, "apple")) == 1
    assert store.check() == []
