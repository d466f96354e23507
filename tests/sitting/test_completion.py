"""What a half-written command could become."""

from __future__ import annotations

import pytest

from lora_chat.errors import UsageError
from lora_chat.sitting.commands import COMMANDS, find
from lora_chat.sitting.completion import MOST, Names, complete

NAMES = Names(
    adapters=[("support-bot", "answers shop questions"), ("pirate", "speaks like one")],
    conversations=[("1a2b3c4d", "Return of order 4711"), ("9f9f9f9f", "Pirate limericks")],
)


def lines(typed: str) -> list[str]:
    return [each.line for each in complete(typed, NAMES)]


@pytest.mark.parametrize("typed", ["", "Hello", "//help", "what is /adapter", "/adapter use\nx"])
def test_a_message_has_no_completions(typed: str) -> None:
    assert lines(typed) == []


def test_a_slash_offers_the_table_from_its_beginning() -> None:
    assert lines("/") == [f"/{command.words}{' ' if command.needs_argument else ''}" for command in COMMANDS[:MOST]]


def test_a_beginning_offers_what_begins_so_and_then_what_has_such_a_word() -> None:
    assert lines("/re") == [
        "/report", "/retry", "/rename ", "/adapter remove ", "/adapter restore", "/train resume", "/model remove "
    ]  # fmt: skip
    assert lines("/pause") == ["/train pause"]


def test_an_argument_is_one_of_what_there_is_by_name_or_by_what_it_says() -> None:
    assert lines("/adapter use ") == ["/adapter use support-bot", "/adapter use pirate"]
    assert lines("/adapter use p") == ["/adapter use pirate"]
    assert lines("/open limer") == ["/open 9f9f9f9f"]
    assert lines("/rate g") == ["/rate good"]
    assert lines("/set temp") == ["/set temperature "]


def test_a_line_that_is_complete_has_nothing_to_offer() -> None:
    assert lines("/rate good") == []
    assert lines("/quit") == []


def test_what_is_whole_can_be_sent() -> None:
    whole = {each.line: each.whole for each in complete("/adapter", NAMES)}
    assert whole["/adapter off"]
    assert not whole["/adapter use "]


def test_each_share_of_a_mixture_is_completed_by_itself() -> None:
    names = Names(adapters=[("shop", "a shop"), ("pirate", "arr")])
    assert [each.line for each in complete("/adapter mix ", names)] == ["/adapter mix shop=", "/adapter mix pirate="]
    (found,) = complete("/adapter mix shop=0.7 pi", names)
    assert (found.line, found.whole) == ("/adapter mix shop=0.7 pirate=", False)
    assert complete("/adapter mix shop=0.7 pirate=0.3", names) == []


def test_each_column_is_completed_by_itself_and_stands_once() -> None:
    assert lines("/compare ") == [
        "/compare base", "/compare @support-bot", "/compare @pirate", "/compare temperatures"
    ]  # fmt: skip
    assert lines("/compare base @sup") == ["/compare base @support-bot"]
    assert lines("/compare base pi") == ["/compare base @pirate"]
    assert lines("/compare shop") == ["/compare @support-bot"], "by what it says of itself"
    assert lines("/compare @pirate t") == ["/compare @pirate temperatures"]
    assert lines("/compare base @pirate ") == ["/compare base @pirate @support-bot"]
    assert lines("/compare base @pirate") == []
    assert lines("/compare @pirate=0.5") == []


def test_a_column_of_which_nothing_is_written_is_not_sent_by_enter() -> None:
    assert not any(each.whole for each in complete("/compare base ", NAMES))
    assert all(each.whole for each in complete("/compare base p", NAMES))
    assert complete("/compare", NAMES) == []


# The table


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_form_is_found_by_its_own_words_and_keeps_its_argument(command) -> None:  # type: ignore[no-untyped-def]
    assert find(command.words) == (command, "")
    assert find(f"{command.words}  some  words ") == (command, "some  words")


def test_the_first_word_of_adapter_alone_lists_them() -> None:
    assert find("adapter")[0].words == "adapter list"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hepl", "did you mean /help?"),
        ("train", "/train from-history [NAME]"),
        ("train fast", "/train status"),
        ("adapter fly", "/adapter use NAME"),
        ("", "see /help"),
    ],
)
def test_what_is_not_in_the_table_is_told_with_what_is(words: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        find(words)
    assert said in str(refused.value)


def test_every_form_has_words_of_its_own_and_a_help() -> None:
    assert len({command.words for command in COMMANDS}) == len(COMMANDS)
    assert all(command.help and command.run.__doc__ for command in COMMANDS)


@pytest.mark.parametrize("typed", ["/copy 2", "/copy code 2", "/copy code 1"])
def test_the_so_many_th_answer_or_block_is_sent_as_it_is_typed(typed: str) -> None:
    assert lines(typed) == []


def test_what_plugins_write_is_offered_beside_our_own_and_in_their_words() -> None:
    found = complete("/export ", Names(formats=[("html", "Markdown, for people")]))
    assert [(each.label, each.is_ours) for each in found] == [
        ("md", True), ("jsonl", True), ("sharegpt", True), ("html", False)
    ]  # fmt: skip
    assert [each.line for each in complete("/export ht", Names(formats=[("html", "")]))] == ["/export html"]
