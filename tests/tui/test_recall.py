"""The way through what was written before."""

from __future__ import annotations

from lora_chat.tui.widgets.recall import REMEMBERED, Recall


def test_up_goes_from_the_newest_to_the_oldest_and_down_comes_back_to_where_one_writes() -> None:
    recall = Recall()
    recall.know(["second", "first"])
    recall.add("third")
    assert [recall.older(text) for text in ("", "third", "second", "first")] == ["third", "second", "first", None]
    assert [recall.newer(text) for text in ("first", "second", "third", "")] == ["second", "third", "", None]


def test_a_text_that_was_sent_twice_stands_once_where_it_was_sent_last() -> None:
    recall = Recall()
    recall.know(["b", "a"])
    recall.add("a")
    recall.know(["a", "b", "0"])
    assert [recall.older(text) for text in ("", "a", "b", "0")] == ["a", "b", "0", None]


def test_what_is_half_written_stands_where_it_was_left_also_what_earlier_prompts_were_changed_to() -> None:
    recall = Recall()
    recall.know(["b", "a"])
    assert recall.older("half") == "b"
    assert recall.older("b changed") == "a"
    assert recall.newer("a") == "b changed"
    assert recall.newer("b changed again") == "half"
    assert recall.older("half more") == "b changed again"


def test_what_is_half_written_comes_back_once_an_earlier_prompt_was_sent_in_its_place() -> None:
    recall = Recall()
    recall.know(["b", "a"])
    assert recall.older("half") == "b"
    recall.add("b")
    assert recall.older("") == "b"
    assert recall.older("b") == "half"


def test_what_earlier_sessions_sent_arrives_while_one_looks_up_and_nothing_moves() -> None:
    recall = Recall()
    recall.add("now")
    assert recall.older("half") == "now"
    recall.know(["b", "a"])
    assert recall.older("now") == "b"
    assert recall.newer("b") == "now"
    assert recall.newer("now") == "half"


def test_no_more_is_held_than_that_many_and_those_of_this_session_stay() -> None:
    recall = Recall()
    for number in range(REMEMBERED + 3):
        recall.add(f"now {number}")
    recall.know(["before"])
    seen = ""
    for _ in range(REMEMBERED):
        seen = recall.older(seen) or ""
    assert seen == "now 3"
    assert recall.older(seen) is None


def test_what_would_be_missed_is_what_was_written_and_not_what_was_looked_up() -> None:
    recall = Recall()
    recall.know(["a"])
    assert recall.unsent("half") == "half"
    assert recall.older("half") == "a"
    assert recall.unsent("a") == "half"
    assert recall.unsent("a changed") == "a changed"
