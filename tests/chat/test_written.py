"""What was written comes back as it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.chat import written
from lora_chat.chat.store import Store
from lora_chat.chat.written import NEW, draft_of, keep_draft, sent_before
from tests.chat.conftest import talk


def test_what_was_sent_comes_newest_first_once_and_from_every_conversation(store: Store) -> None:
    talk(store, "one", "an answer", "two", "another")
    talk(store, "three", "x", "one", "y", "  \n", "z")
    assert sent_before(store) == ["one", "three", "two"]


def test_a_message_that_begins_with_a_slash_comes_as_it_was_typed(store: Store) -> None:
    talk(store, "/etc/hosts: what is that?", "A file.")
    assert sent_before(store) == ["//etc/hosts: what is that?"]


def test_what_was_deleted_does_not_come_back(store: Store) -> None:
    said = talk(store, "secret", "ok")
    talk(store, "open", "ok")
    store.delete_conversation(said[0].conversation)
    assert sent_before(store) == ["open"]


def test_the_newest_come_where_there_are_more_than_are_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    talk(store, *(f"{number}" for number in range(2 * 250)))
    assert sent_before(store) == [f"{number}" for number in range(498, 98, -2)]
    monkeypatch.setattr(written, "MOST_CHARACTERS", 10)
    assert sent_before(store) == ["498", "496", "494"]


# What is not sent yet


def test_a_draft_is_kept_for_each_conversation_and_for_the_one_not_begun(store: Store) -> None:
    id = talk(store, "one", "1")[0].conversation
    keep_draft(store, id, "half")
    keep_draft(store, NEW, "new\n  half\x00")
    keep_draft(store, id, "half of\nit")
    assert draft_of(store, id) == "half of\nit"
    assert draft_of(store, NEW) == "new\n  half"
    keep_draft(store, NEW, "  \n")
    assert draft_of(store, NEW) == ""


def test_a_deleted_conversation_s_draft_is_gone_from_the_file_and_none_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with Store.open(path) as store:
        id = talk(store, "one", "1")[0].conversation
        keep_draft(store, id, "swordfish")
        store.delete_conversation(id)
        assert draft_of(store, id) == ""
        keep_draft(store, id, "swordfish")
        assert draft_of(store, id) == ""
        assert store.check() == []
    assert b"swordfish" not in b"".join(file.read_bytes() for file in tmp_path.glob("chats.db*"))
