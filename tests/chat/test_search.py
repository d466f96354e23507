"""Finding what was said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_chat.chat.search import search
from lora_chat.chat.store import Store
from tests.chat.conftest import talk


def found(store: Store, text: str, limit: int = 20) -> list[str]:
    return [hit.message.content for hit in search(store, text, limit) if hit.message]


def titles(store: Store, text: str, limit: int = 20) -> list[str]:
    return [hit.conversation.title for hit in search(store, text, limit) if not hit.message]


def test_all_words_must_be_there_and_the_last_may_be_a_beginning(store: Store) -> None:
    talk(store, "the quick brown fox", "the slow brown bear")
    assert found(store, "brown fox") == ["the quick brown fox"]
    assert found(store, "BROWN fo") == ["the quick brown fox"]
    assert found(store, "bro fox") == []
    assert found(store, "brown wolf") == []
    assert found(store, "") == found(store, " \n") == []


def test_the_newest_comes_first_and_the_limit_holds(store: Store) -> None:
    talk(store, "apple 1", "apple 2")
    talk(store, "apple 3")
    assert found(store, "apple") == ["apple 3", "apple 2", "apple 1"]
    assert found(store, "apple", limit=2) == ["apple 3", "apple 2"]


def test_an_edit_is_found_and_an_old_text_is_not(store: Store) -> None:
    _, answer = talk(store, "q", "before")
    store.update_message(answer.id, content="after")
    assert found(store, "before") == []
    assert found(store, "after") == ["after"]


def test_a_hit_names_its_conversation_and_shows_one_line_of_context(store: Store) -> None:
    (message,) = talk(store, "start\n" + "far " * 50 + "needle\nend " + "away " * 50)
    (hit,) = search(store, "needle")
    assert hit.conversation.id == message.conversation
    assert hit.message == message
    assert "far needle end away" in hit.snippet
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")
    assert len(hit.snippet) < 130


def test_texts_without_spaces_are_found_by_any_part(store: Store) -> None:
    talk(store, "今天天气很好 in Beijing", "สวัสดีครับ")
    assert found(store, "天气") == found(store, "天气 bei") == ["今天天气很好 in Beijing"]
    assert found(store, "天气 paris") == found(store, "天氣") == []
    assert found(store, "ดีค") == ["สวัสดีครับ"]


def test_accents_do_not_hide_a_word(store: Store) -> None:
    talk(store, "un café noir")
    assert found(store, "cafe noir") == found(store, "CAFÉ") == ["un café noir"]


@pytest.mark.parametrize(
    "text",
    ['"', '"unclosed', "*", "a*", "AND", "OR NOT", "NEAR(a b, 2)", "content:a", "-a", "^a", "{a b}: c", "(((", "a AND",
     "'; DROP TABLE messages; --", "%", "_", "\\", "+", "\x00", "\ud800", "a" * 10_000, "a " * 10_000, '""""', "😀"],
)  # fmt: skip
def test_query_syntax_in_the_words_is_looked_for_and_never_obeyed(store: Store, text: str) -> None:
    talk(store, "nothing of the kind", "xyz")
    assert found(store, text) == []


def test_the_same_syntax_is_found_where_it_was_said(store: Store) -> None:
    talk(store, "100% of OR and NEAR(x)", "snow ❄ _ and \\")
    assert found(store, "OR NEAR(x)") == found(store, "%") == ["100% of OR and NEAR(x)"]
    assert found(store, "❄") == found(store, "_") == found(store, "\\") == ["snow ❄ _ and \\"]


def test_a_title_that_was_given_is_found_before_what_was_said(store: Store) -> None:
    trip, other = talk(store, "Where to?", "To Lisbon."), talk(store, "Trip to Lisbon, day two")
    store.update_conversation(trip[0].conversation, title="Café trip 100%")
    hits = search(store, "trip")
    assert [(hit.conversation.title, hit.message and hit.message.id) for hit in hits] == [
        ("Café trip 100%", None), ("Trip to Lisbon, day two", other[0].id),
    ]  # fmt: skip
    assert hits[0].snippet == "Café trip 100%"
    assert titles(store, "cafe tri") == titles(store, "CAFÉ") == titles(store, "100%") == ["Café trip 100%"]
    assert titles(store, "caf trip") == titles(store, "rip") == titles(store, "trip lisbon") == []


def test_a_title_made_of_the_first_question_is_found_by_that_alone(store: Store) -> None:
    talk(store, "needle " * 30, "hay")
    assert (titles(store, "needle"), len(found(store, "needle"))) == ([], 1)


def test_a_title_is_found_as_it_is_now_whoever_changed_it(store: Store, database: Path) -> None:
    id = talk(store, "Where to?")[0].conversation
    assert titles(store, "lisbon") == []
    store.update_conversation(id, title="Lisbon")
    assert titles(store, "lisbon") == ["Lisbon"]
    with Store.open(database) as another:
        another.update_conversation(id, title="Porto")
    assert (titles(store, "lisbon"), titles(store, "porto")) == ([], ["Porto"])
    store.delete_conversation(id)
    assert titles(store, "porto") == []


def test_titles_are_not_read_again_while_nothing_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        store.update_conversation(talk(store, "q")[0].conversation, title=f"Apple {number}")
    read, rows = list[str](), store.database.rows

    def noted(sql: str, values: Any = ()) -> Any:
        read.append(sql)
        return rows(sql, values)

    monkeypatch.setattr(store.database, "rows", noted)
    for text in ("a", "ap", "app", "apple 7"):
        assert titles(store, text)
    assert sum("title <> ''" in sql for sql in read) == 1


@pytest.mark.parametrize("question", ["needle\tin the hay", " needle  in it", "needle\n" * 20, "needle", "é" * 90])
def test_a_title_that_cleaning_made_of_a_question_is_no_given_one(store: Store, question: str) -> None:
    talk(store, question)
    assert titles(store, "needle") == titles(store, "é") == []


def test_many_titles_leave_room_for_what_was_said(store: Store) -> None:
    for number in range(30):
        store.update_conversation(talk(store, f"apple {number}")[0].conversation, title=f"Apple pie {number}")
    assert titles(store, "apple") == [f"Apple pie {number}" for number in (29, 28, 27, 26, 25)]
    assert len(search(store, "apple")) == 20
    assert len(titles(store, "pie")) == 20
    assert titles(store, "apple", limit=1) == ["Apple pie 29"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), max_size=40))
def test_no_text_is_an_error(store: Store, text: str) -> None:
    search(store, text)
