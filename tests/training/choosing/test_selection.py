"""What becomes a lesson: what a person vouched for in the history, and every line of a file or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Message, Rating, Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.training.choosing.rows import LONGEST_LINE
from lora_chat.training.selection import (
    HistoryFilter,
    Lesson,
    Selection,
    select_from_file,
    select_from_history,
)

EVERYTHING = HistoryFilter()


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as store:
        yield store


def exchange(
    store: Store, question: str, answer: str, rating: Rating | None = Rating.GOOD, system: str = "", **fields: Any
) -> Message:
    """A conversation of one question and one answer; return the answer."""
    conversation = store.create_conversation(system=system).id
    asked = store.add_message(conversation, Role.USER, question, parent=None)
    said = store.add_message(conversation, Role.ASSISTANT, answer, parent=asked.id, **fields)
    return store.rate(said.id, rating) if rating else said


def go_on(store: Store, answer: Message, question: str, reply: str, rating: Rating | None = None) -> Message:
    asked = store.add_message(answer.conversation, Role.USER, question, parent=answer.id)
    said = store.add_message(answer.conversation, Role.ASSISTANT, reply, parent=asked.id)
    return store.rate(said.id, rating) if rating else said


def learnt(selection: Selection) -> list[str]:
    return [lesson.messages[index].content for lesson in selection.lessons for index in lesson.learn]


# From the history


def test_good_answers_and_corrections_are_learnt_and_every_other_is_counted(store: Store) -> None:
    exchange(store, "q1", "good")
    wrong = exchange(store, "q2", "wrong", rating=None)
    store.edit_answer(wrong.id, "right")
    exchange(store, "q3", "bad", rating=Rating.BAD)
    exchange(store, "q4", "unjudged", rating=None)
    exchange(store, "q5", "half an ans", rating=Rating.GOOD, status=Status.STOPPED)
    exchange(store, "q6", "bro", rating=Rating.GOOD, status=Status.FAILED)
    exchange(store, "q7", " \n ", rating=Rating.GOOD)
    exchange(store, "q1", "good")
    found = select_from_history(store, EVERYTHING)
    assert learnt(found) == ["good", "right"]
    assert found.examples == 2
    assert found.dropped == {"rated bad": 1, "unrated": 1, "stopped": 1, "failed": 1, "empty": 1, "duplicate": 1}


def test_an_answer_still_being_written_is_left_out(store: Store) -> None:
    exchange(store, "q1", "good")
    exchange(store, "q2", "not yet", status=Status.STREAMING, rating=None)
    found = select_from_history(store, HistoryFilter(unrated=True))
    assert (learnt(found), found.dropped) == (["good"], {"streaming": 1})


def test_a_correction_wins_over_what_it_corrects_even_if_that_was_rated_good(store: Store) -> None:
    said = exchange(store, "q", "wrong", rating=Rating.GOOD)
    store.edit_answer(said.id, "right")
    found = select_from_history(store, EVERYTHING)
    assert learnt(found) == ["right"]
    assert found.dropped == {}  # what is not on the visible branch was not looked at


def test_what_was_thought_before_an_answer_is_not_learnt_unless_that_is_wanted(store: Store) -> None:
    first = exchange(store, "q1", "<think>\nhm\n</think>\n\none")
    go_on(store, first, "q2", "<think>so</think>two", Rating.GOOD)
    exchange(store, "q3", "<think>\nand then it was cut o")
    found = select_from_history(store, EVERYTHING)
    assert (learnt(found), found.dropped) == (["one", "two"], {"empty": 1})
    assert not any("think" in turn.content for lesson in found.lessons for turn in lesson.messages)
    whole = select_from_history(store, HistoryFilter(thoughts=True))
    assert learnt(whole) == ["<think>\nhm\n</think>\n\none", "<think>so</think>two"]


def test_what_the_person_typed_is_never_taken_for_a_thought(store: Store) -> None:
    exchange(store, "<think>why</think> is the sky blue?", "It scatters.")
    (lesson,) = select_from_history(store, EVERYTHING).lessons
    assert lesson.messages[0].content == "<think>why</think> is the sky blue?"


def test_a_correction_that_was_then_rated_bad_is_not_learnt(store: Store) -> None:
    edited = store.edit_answer(exchange(store, "q", "wrong", rating=None).id, "also wrong")
    store.rate(edited.id, Rating.BAD)
    with pytest.raises(RefusedError, match="1 rated bad"):
        select_from_history(store, EVERYTHING)


def test_what_nobody_judged_is_learnt_only_if_asked_for_and_never_what_was_judged_bad(store: Store) -> None:
    exchange(store, "q1", "unjudged", rating=None)
    exchange(store, "q2", "bad", rating=Rating.BAD)
    found = select_from_history(store, HistoryFilter(unrated=True))
    assert (learnt(found), found.dropped) == (["unjudged"], {"rated bad": 1})


def test_nothing_of_a_conversation_that_is_never_to_be_trained_on_is_learnt(store: Store) -> None:
    kept_out = go_on(store, exchange(store, "My secret", "Noted."), "And again?", "Noted.", Rating.GOOD)
    exchange(store, "q", "a")
    store.update_conversation(kept_out.conversation, never_train=True)
    for wanted in (EVERYTHING, HistoryFilter(unrated=True)):
        found = select_from_history(store, wanted)
        assert (learnt(found), found.dropped) == (["a"], {"never to be trained on": 2})
    with pytest.raises(RefusedError, match="2 never to be trained on"):
        select_from_history(store, HistoryFilter(conversations=(kept_out.conversation,)))
    store.update_conversation(kept_out.conversation, never_train=False)
    assert learnt(select_from_history(store, EVERYTHING)) == ["Noted.", "Noted.", "a"]


def test_a_conversation_is_a_lesson_up_to_its_last_good_answer_with_the_others_as_context(store: Store) -> None:
    first = exchange(store, "q1", "a1", rating=None, system="Be brief.")
    second = go_on(store, first, "q2", "a2", Rating.GOOD)
    go_on(store, second, "q3", "a3")
    [lesson] = select_from_history(store, EVERYTHING).lessons
    assert [turn.content for turn in lesson.messages] == ["Be brief.", "q1", "a1", "q2", "a2"]
    assert lesson.messages[0].role is Role.SYSTEM
    assert lesson.learn == (4,)
    assert lesson.source == first.conversation


def test_what_is_learnt_has_the_system_prompt_that_the_chat_will_have(store: Store) -> None:
    exchange(store, "q1", "a1", system="Be brief.")
    exchange(store, "q2", "a2")
    lessons = select_from_history(store, EVERYTHING, "You keep a shop.").lessons
    assert [lesson.messages[0] for lesson in lessons] == [
        Turn(Role.SYSTEM, "Be brief."), Turn(Role.SYSTEM, "You keep a shop."),
    ]  # fmt: skip
    assert [lesson.learn for lesson in lessons] == [(2,), (2,)]


def test_the_same_exchange_twice_is_learnt_once_and_of_different_answers_the_newest(store: Store) -> None:
    for answer in ("a", "a", "b"):
        exchange(store, "q", answer)
    found = select_from_history(store, EVERYTHING)
    assert learnt(found) == ["b"]
    assert found.dropped == {"duplicate": 1, "answered otherwise since": 1}


def test_of_exchanges_in_almost_the_same_words_the_newest_that_is_vouched_for_is_learnt(store: Store) -> None:
    exchange(store, "How do I return it?", "Press Return.")
    kept = exchange(store, "How do I return it", "press return!")
    exchange(store, "how do i return it?", "Press RETURN.", rating=None)
    exchange(store, "How can I send it back?", "Press Return.")
    found = select_from_history(store, HistoryFilter(unrated=True))
    assert learnt(found) == ["press return!", "Press Return."]
    assert found.lessons[0].source == kept.conversation
    assert found.dropped == {"near duplicate": 2}


def test_a_near_duplicate_in_a_longer_talk_is_context(store: Store) -> None:
    long = go_on(store, exchange(store, "Hello", "Hi."), "And now?", "Now this.", Rating.GOOD)
    exchange(store, "hello!", "hi")
    found = select_from_history(store, EVERYTHING)
    assert [lesson.learn for lesson in found.lessons] == [(3,), (1,)]
    assert [turn.content for turn in found.lessons[0].messages] == ["Hello", "Hi.", "And now?", "Now this."]
    assert found.lessons[0].source == long.conversation


def test_answers_can_be_chosen_by_how_they_are_vouched_for_and_until_when(store: Store) -> None:
    exchange(store, "q1", "good")
    store.edit_answer(exchange(store, "q2", "wrong", rating=None).id, "right")
    both = store.edit_answer(exchange(store, "q3", "wrong", rating=None).id, "right and good")
    store.rate(both.id, Rating.GOOD)
    exchange(store, "q4", "unjudged", rating=None)

    def chosen(**wanted: Any) -> tuple[list[str], dict[str, int]]:
        found = select_from_history(store, HistoryFilter(**wanted))
        return learnt(found), found.dropped

    assert chosen(vouched="edited") == (["right", "right and good"], {"not edited": 1, "unrated": 1})
    assert chosen(vouched="rated good") == (["good", "right and good"], {"not rated good": 1, "unrated": 1})
    assert chosen(vouched="edited", unrated=True)[0] == ["right", "right and good", "unjudged"]
    store.database._connection.execute("UPDATE messages SET created_at = 1000 WHERE id < ?", (both.id,))
    assert chosen(until=1000.5) == (["good", "right"], {"too new": 2})
    with pytest.raises(RefusedError, match="4 too new"):
        select_from_history(store, HistoryFilter(until=1000.0, unrated=True))


def test_a_rule_for_private_data_can_be_left_off(store: Store) -> None:
    exchange(store, "I am ada@example.org", "Call +44 20 7946 0958.")
    found = select_from_history(store, HistoryFilter(keep=frozenset({"e-mail"})))
    assert said_in(found.lessons[0]) == ["I am ada@example.org", "Call [PHONE]."]
    assert (found.private, found.kept, found.redacted) == ({"phone": 1}, {"e-mail": 1}, 1)


def test_the_same_question_after_other_talk_is_another_question(store: Store) -> None:
    exchange(store, "q", "a")
    go_on(store, exchange(store, "before", "b"), "q", "c", rating=Rating.GOOD)
    exchange(store, "q", "d", system="Be brief.")
    found = select_from_history(store, EVERYTHING)
    assert sorted(learnt(found)) == ["a", "b", "c", "d"]
    assert not found.dropped


def test_asking_again_takes_back_no_correction_and_no_good_answer(store: Store) -> None:
    wrong = exchange(store, "q1", "wrong", rating=None)
    store.edit_answer(wrong.id, "right")
    store.add_message(wrong.conversation, Role.ASSISTANT, "again", parent=wrong.parent)
    good = exchange(store, "q2", "good")
    store.add_message(good.conversation, Role.ASSISTANT, "worse", parent=good.parent, status=Status.STOPPED)
    chosen = select_from_history(store, EVERYTHING)
    assert learnt(chosen) == ["right", "good"]
    assert [lesson.why for lesson in chosen.lessons] == [("edited",), ("rated good",)]
    assert not chosen.dropped


def test_of_several_that_were_vouched_for_the_one_seen_is_learnt_else_the_newest_correction(store: Store) -> None:
    seen = exchange(store, "q1", "seen")
    other = store.add_message(seen.conversation, Role.ASSISTANT, "other", parent=seen.parent)
    store.rate(other.id, Rating.GOOD)
    store.update_conversation(seen.conversation, head=seen.id)
    first = exchange(store, "q2", "first", rating=None)
    store.edit_answer(first.id, "old correction")
    store.edit_answer(first.id, "correction")
    store.rate(first.id, Rating.GOOD)
    store.add_message(first.conversation, Role.ASSISTANT, "again", parent=first.parent)
    assert learnt(select_from_history(store, EVERYTHING)) == ["seen", "correction"]


def test_filters_narrow_it_down(store: Store) -> None:
    old = exchange(store, "Where is the shop?", "Harbour Street.", adapter="support-bot")
    new = exchange(store, "Who are you?", "A model.")
    store.database._connection.execute("UPDATE messages SET created_at = 1000 WHERE id = ?", (old.id,))

    def answers(**wanted: Any) -> list[str]:
        return learnt(select_from_history(store, HistoryFilter(**wanted)))

    assert answers(since=2000.0) == ["A model."]
    assert answers(conversations=(old.conversation[:6],)) == ["Harbour Street."]
    assert answers(conversations=(new.conversation, old.conversation)) == ["A model.", "Harbour Street."]
    assert answers(adapter="support-bot") == ["Harbour Street."]
    assert answers(text="HARBOUR") == ["Harbour Street."]
    assert answers(text="who are") == ["A model."]
    dropped = select_from_history(store, HistoryFilter(since=2000.0)).dropped
    assert dropped == {"too old": 1}
    assert select_from_history(store, HistoryFilter(text="model")).dropped == {"not about that": 1}
    assert select_from_history(store, HistoryFilter(adapter="support-bot")).dropped == {"wore another adapter": 1}


def test_an_unknown_conversation_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match="ffff"):
        select_from_history(store, HistoryFilter(conversations=("ffff",)))


def test_private_data_is_masked_in_what_is_learnt_and_in_its_context(store: Store) -> None:
    first = exchange(store, "I am ada@example.org", "Noted.", rating=None, system="Call +44 20 7946 0958.")
    go_on(store, first, "And my mail?", "It is ada@example.org.", Rating.GOOD)
    found = select_from_history(store, EVERYTHING)
    [lesson] = found.lessons
    said = " ".join(turn.content for turn in lesson.messages)
    assert said == "Call [PHONE]. I am [E-MAIL] Noted. And my mail? It is [E-MAIL]."
    assert found.redacted == 3


def test_with_nothing_to_learn_it_says_what_was_found_and_how_to_vouch_for_an_answer(store: Store) -> None:
    with pytest.raises(RefusedError, match="no answers at all"):
        select_from_history(store, EVERYTHING)
    exchange(store, "q", "a", rating=None)
    with pytest.raises(RefusedError, match=r"1 unrated.*history rate") as caught:
        select_from_history(store, EVERYTHING)
    assert "\n" not in str(caught.value)


# Why an answer is taught, and leaving single ones out


def test_each_answer_says_why_it_is_taught(store: Store) -> None:
    first = exchange(store, "q1", "unjudged", rating=None)
    good = go_on(store, first, "q2", "good", Rating.GOOD)
    wrong = go_on(store, good, "q3", "wrong")
    edited = store.edit_answer(wrong.id, "right")
    store.rate(edited.id, Rating.GOOD)
    [lesson] = select_from_history(store, HistoryFilter(unrated=True)).lessons
    assert dict(zip(lesson.learn, lesson.why, strict=True)) == {1: "unrated", 3: "rated good", 5: "edited"}
    [lesson] = select_from_history(store, EVERYTHING).lessons
    assert (lesson.learn, lesson.why) == ((3, 5), ("rated good", "edited"))


def test_an_answer_of_a_file_is_an_example_each(tmp_path: Path) -> None:
    row = {"messages": [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]}
    [lesson] = select_from_file(written(tmp_path, row)).lessons
    assert lesson.why == ("example", "example")


@pytest.fixture
def three(store: Store) -> Selection:
    """A conversation of three good answers, the last with private data, and one of one."""
    first = exchange(store, "q1", "a1")
    third = go_on(store, go_on(store, first, "q2", "a2", Rating.GOOD), "My mail is a@b.org", "a3", Rating.GOOD)
    exchange(store, "q4", "Write to c@d.org")
    exchange(store, "q5", "bad", rating=Rating.BAD)
    found = select_from_history(store, EVERYTHING)
    assert (found.lessons[0].source, found.redacted) == (third.conversation, 2)
    return found


def said_in(lesson: Lesson) -> list[str]:
    return [turn.content for turn in lesson.messages]


def test_an_answer_left_out_is_context_and_is_counted(three: Selection) -> None:
    long, short = three.lessons
    less = three.without({(long.source, 3)})
    assert less.lessons[0].learn == (1, 5)
    assert less.lessons[0].why == ("rated good", "rated good")
    assert less.lessons[0].messages == long.messages
    assert less.lessons[1] == short
    assert less.dropped == {"rated bad": 1, "excluded": 1}
    assert (less.examples, less.redacted) == (three.examples - 1, 2)
    assert three.dropped == {"rated bad": 1}


def test_what_follows_the_last_answer_that_is_learnt_is_cut_with_what_was_masked_in_it(three: Selection) -> None:
    long, _ = three.lessons
    less = three.without([(long.source, 5), (long.source, 3)])
    assert said_in(less.lessons[0]) == ["q1", "a1"]
    assert (less.dropped["excluded"], less.redacted) == (2, 1)


def test_a_lesson_that_teaches_nothing_any_more_is_gone(three: Selection) -> None:
    long, short = three.lessons
    less = three.without({(short.source, 1)})
    assert (less.lessons, less.redacted) == ((long,), 1)
    everything = {(lesson.source, index) for lesson in three.lessons for index in lesson.learn}
    nothing = three.without(everything)
    assert (nothing.lessons, nothing.examples, nothing.redacted) == ((), 0, 0)
    assert nothing.dropped["excluded"] == 4


def test_leaving_out_one_after_the_other_is_leaving_out_both(three: Selection) -> None:
    long, short = three.lessons
    one, other = (long.source, 5), (short.source, 1)
    assert three.without({one}).without({other}) == three.without({one, other})


def test_leaving_out_what_is_not_taught_changes_nothing(three: Selection) -> None:
    assert three.without(()) is three
    assert three.without({("nobody", 1), (three.lessons[0].source, 0), (three.lessons[0].source, 99)}) is three


def test_lessons_that_do_not_say_why_can_be_left_out_too() -> None:
    turns = (Turn(Role.USER, "q"), Turn(Role.ASSISTANT, "a"), Turn(Role.USER, "q"), Turn(Role.ASSISTANT, "b"))
    less = Selection((Lesson(turns, (1, 3), "line 1"),), {}).without({("line 1", 3)})
    assert less == Selection((Lesson(turns[:2], (1,), "line 1"),), {"excluded": 1})


# From a file


def written(folder: Path, *rows: object, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


QUESTION, ANSWER = Turn(Role.USER, "Who are you?"), Turn(Role.ASSISTANT, "A model.")


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        (
            {"messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A model."}]},
            (QUESTION, ANSWER),
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": "Who are you?"},
                    {"from": "gpt", "value": "A model."},
                ]
            },
            (Turn(Role.SYSTEM, "Be brief."), QUESTION, ANSWER),
        ),
        ({"instruction": "Who are you?", "input": "", "output": "A model."}, (QUESTION, ANSWER)),
        (
            {"instruction": "Translate.", "input": "Bonjour", "output": "Hello"},
            (Turn(Role.USER, "Translate.\n\nBonjour"), Turn(Role.ASSISTANT, "Hello")),
        ),
        ({"prompt": "Who are you?", "response": " A model. \n"}, (QUESTION, ANSWER)),
        ({"prompt": "Q: Who are you?\nA:", "response": " A model."}, (QUESTION, ANSWER)),
        ({"prompt": "Q: Who\nare you?\nA: ", "response": "A model."}, (Turn(Role.USER, "Who\nare you?"), ANSWER)),
        ({"prompt": "Q: Who are you?", "response": "A model."}, (Turn(Role.USER, "Q: Who are you?"), ANSWER)),
    ],
)
def test_every_known_form_is_read(tmp_path: Path, row: object, turns: tuple[Turn, ...]) -> None:
    [lesson] = select_from_file(written(tmp_path, row)).lessons
    assert lesson.messages == turns
    assert lesson.learn == (len(turns) - 1,)
    assert lesson.source == "line 1"


def test_every_answer_of_a_line_is_learnt_and_what_follows_the_last_is_not_read(tmp_path: Path) -> None:
    roles = ["user", "assistant", "user", "assistant", "user"]
    row = {"messages": [{"role": role, "content": str(number)} for number, role in enumerate(roles)]}
    [lesson] = select_from_file(written(tmp_path, row)).lessons
    assert [turn.content for turn in lesson.messages] == ["0", "1", "2", "3"]
    assert lesson.learn == (1, 3)


def test_the_articles_files_are_read_as_they_are() -> None:
    data = Path(__file__).parents[2] / "data"
    english = select_from_file(data / "seed_examples.jsonl")
    chinese = select_from_file(data / "seed_examples_zh.jsonl")
    assert (english.examples, chinese.examples) == (6, 2)
    assert english.lessons[0].messages[0].content == "Who are you?"
    assert not any(turn.content.startswith("Q:") for each in english.lessons for turn in each.messages)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    row = json.dumps({"prompt": "q", "response": "a"}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\r\n  \r\n" + row)
    assert [lesson.source for lesson in select_from_file(path).lessons] == ["line 1", "line 4"]


def test_characters_that_steer_a_terminal_are_not_learnt(tmp_path: Path) -> None:
    row = {"prompt": "q\x1b[31m\u202e", "response": "a\ud800\0b"}
    [lesson] = select_from_file(written(tmp_path, row)).lessons
    assert [turn.content for turn in lesson.messages] == ["q[31m", "ab"]


GOOD = {"prompt": "q", "response": "a"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "none of the known forms"),
        ('"text"', "none of the known forms"),
        ("{}", "none of the known forms"),
        ('{"prompt": "q"}', "none of the known forms"),
        ('{"prompt": 1, "response": "a"}', "none of the known forms"),
        ('{"prompt": "q", "response": null}', "none of the known forms"),
        ('{"messages": []}', "none of the known forms"),
        ('{"messages": [1]}', "none of the known forms"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "message 1 is not text"),
        ('{"messages": [{"role": "user", "content": []}]}', "message 1 is not text"),
        ('{"prompt": "q", "prompt": "r", "response": "a"}', '"prompt" twice in one object'),
        ('{"messages": [{"role": "wizard", "content": "q"}]}', "none of the known forms"),
        ('{"prompt": "q", "response": " \\n"}', "no answer to a question"),
        ('{"messages": [{"role": "user", "content": "q"}]}', "no answer to a question"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "no answer to a question"),
        (
            '{"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}]}',
            "no answer to a question",
        ),
        (
            '{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "q"},'
            ' {"role": "assistant", "content": "b"}]}',
            "no answer to a question",
        ),
        ('{"prompt": "q", "response": "' + "a" * LONGEST_LINE + '"}', "longer than 1,000,000"),
    ],
)
def test_one_bad_line_is_named_by_its_number_and_nothing_is_taken(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, GOOD, GOOD, line, GOOD)
    with pytest.raises(RefusedError, match=f"(?s)Line 3 .*{reason}") as caught:
        select_from_file(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.jsonl").write_bytes(data)
    with pytest.raises(RefusedError, match="holds no examples"):
        select_from_file(tmp_path / "data.jsonl")


def test_what_is_no_readable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "utf16.jsonl").write_bytes("{}".encode("utf-16"))
    kinds: list[tuple[str, type[LoraChatError]]] = [
        ("missing.jsonl", NotFoundError),
        ("utf16.jsonl", RefusedError),
        ("", RefusedError),
    ]
    for name, kind in kinds:
        with pytest.raises(kind, match=str(tmp_path / name)) as caught:
            select_from_file(tmp_path / name)
        assert "\n" not in str(caught.value)
