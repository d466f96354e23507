"""The transactions under the store: what a view leaves behind, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.chat.store import Store
from tests.chat.conftest import contents, talk


def test_an_error_in_one_view_is_not_hidden_by_its_end_and_leaves_the_store_as_it_was(store: Store) -> None:
    (kept,) = talk(store, "kept")

    def fail(error: Exception, *, ended: bool) -> None:
        with store.one_view():
            assert len(store.conversations()) == 1
            if ended:  # as SQLite itself does after some errors of the disk
                store.database.rows("ROLLBACK")
            raise error

    for ended in (False, True):
        with pytest.raises(ZeroDivisionError):
            fail(ZeroDivisionError(), ended=ended)
    assert contents(store.branch(kept.conversation)) == ["kept"]
    assert len(talk(store, "goes", "on")) == 2


def test_writing_inside_one_view_is_refused_and_a_view_inside_a_change_sees_it(store: Store, database: Path) -> None:
    def write_in_a_view() -> None:
        with store.one_view(), store.one_view():
            talk(store, "lost")

    with pytest.raises(RuntimeError, match="inside one view"):
        write_in_a_view()
    assert store.conversations() == []
    with store.as_one():
        (kept,) = talk(store, "kept")
        with store.one_view():
            assert contents(store.branch(kept.conversation)) == ["kept"]
        talk(store, "more")
    with Store.open(database) as another:
        assert len(another.conversations()) == 2
