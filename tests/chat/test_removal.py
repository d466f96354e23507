"""A deleted turn is gone from the disk, and comes back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.chat.removal import remove, remove_conversation, restore, restore_conversation
from lora_chat.chat.search import search
from lora_chat.chat.store import Store
from lora_chat.chat.written import draft_of, keep_draft
from lora_chat.errors import NotFoundError, RefusedError
from tests.chat.conftest import contents, talk

SECRET = "swordfish"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


def shown(store: Store, like: Message) -> list[str]:
    return contents(store.branch(like.conversation))


def test_what_followed_goes_too_on_every_branch_and_all_of_it_comes_back(path: Path) -> None:
    with Store.open(path) as store:
        first = talk(store, "One", "1", "Two", "2", "Three", "3")
        store.add_message(first[0].conversation, Role.ASSISTANT, "2b", parent=first[2].id)
        store.rate(first[5].id, Rating.GOOD)
        before, head = store.messages(first[0].conversation), store.conversation(first[0].conversation).head
        removed = remove(store, first[2].id)
        assert len(removed) == 5
        assert shown(store, first[0]) == ["One", "1"]
        assert store.messages(first[0].conversation) == before[:2]
        restore(store, removed)
        assert store.messages(first[0].conversation) == before
        assert store.conversation(first[0].conversation).head == head
        assert store.check() == []


def test_it_is_gone_from_the_search_and_from_the_file_and_found_again_after(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1", f"My word is {SECRET}", f"{SECRET} it is")
        removed = remove(store, said[2].id)
        assert search(store, SECRET) == []
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in path.parent.glob("chats.db*"))
    with Store.open(path) as store:
        restore(store, removed)
        assert len(search(store, SECRET)) == 2
        assert store.check() == []


def test_the_first_message_leaves_an_empty_conversation_that_goes_on(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1")
        removed = remove(store, said[0].id)
        assert store.conversation(said[0].conversation).head is None
        assert shown(store, said[0]) == []
        again = store.add_message(said[0].conversation, Role.USER, "Anew", parent=None)
        assert again.id > said[1].id, "a number never names another message"
        restore(store, removed)
        assert shown(store, said[0]) == ["One", "1"]
        assert [each.id for each in store.siblings(again.id)] == [said[0].id, again.id]


@pytest.mark.parametrize(("deleted", "comes"), [(0, "two"), (1, "one"), (2, "two")])
def test_one_of_several_answers_goes_and_another_comes_into_sight(path: Path, deleted: int, comes: str) -> None:
    with Store.open(path) as store:
        question, one = talk(store, "Which?", "one")
        two = store.add_message(question.conversation, Role.ASSISTANT, "two", parent=question.id)
        three = store.add_message(question.conversation, Role.ASSISTANT, "three", parent=question.id)
        chosen = [one, two, three][deleted]
        store.update_conversation(question.conversation, head=chosen.id)
        removed = remove(store, chosen.id)
        assert shown(store, question) == ["Which?", comes]
        restore(store, removed)
        assert shown(store, question) == ["Which?", chosen.content]
        store.update_conversation(question.conversation, head=chosen.id)
        other = next(each for each in (one, two, three) if each is not chosen)
        remove(store, other.id)
        assert shown(store, question) == ["Which?", chosen.content], "what is in sight stays"


def test_the_answer_that_a_correction_stands_in_place_of_stays_as_long_as_that(path: Path) -> None:
    with Store.open(path) as store:
        question, given = talk(store, "Where?", "No idea.")
        wanted = store.edit_answer(given.id, "At 12 Harbour Street.")
        with pytest.raises(RefusedError, match="delete yours first"):
            remove(store, given.id)
        assert len(store.siblings(given.id)) == 2
        with_it = remove(store, question.id)
        restore(store, with_it)
        assert store.message(wanted.id) == wanted
        remove(store, wanted.id)
        remove(store, given.id)
        assert shown(store, question) == ["Where?"]


def test_nothing_goes_while_an_answer_is_written(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1", "Two")
        store.add_message(said[0].conversation, Role.ASSISTANT, "", parent=said[2].id, status=Status.STREAMING)
        before = store.messages(said[0].conversation)
        with pytest.raises(RefusedError, match="still being written"):
            remove(store, said[0].id)
        assert store.messages(said[0].conversation) == before


def test_what_it_belonged_to_may_be_gone_meanwhile(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1", "Two", "2")
        later = remove(store, said[2].id)
        sooner = remove(store, said[1].id)
        with pytest.raises(NotFoundError):
            restore(store, later)
        restore(store, sooner)
        restore(store, later)
        assert shown(store, said[0]) == ["One", "1", "Two", "2"]
        removed = remove(store, said[0].id)
        store.delete_conversation(said[0].conversation)
        with pytest.raises(NotFoundError):
            restore(store, removed)
        with pytest.raises(NotFoundError):
            remove(store, said[0].id)
        assert store.check() == []


def test_other_conversations_are_not_touched(path: Path) -> None:
    with Store.open(path) as store:
        ours, theirs = talk(store, "One", "1"), talk(store, "Two", "2")
        restore(store, remove(store, ours[0].id))
        remove(store, ours[0].id)
        assert store.messages(theirs[0].conversation) == theirs


def test_a_title_that_was_made_of_it_goes_too_and_comes_back(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, f"{SECRET} is my word", "1")
        conversation = said[0].conversation
        assert SECRET in store.conversation(conversation).title
        removed = remove(store, said[0].id)
        assert store.conversation(conversation).title == ""
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in path.parent.glob("chats.db*"))
    with Store.open(path) as store:
        restore(store, removed)
        assert SECRET in store.conversation(conversation).title
        store.update_conversation(conversation, title="Mine")
        remove(store, said[0].id)
        assert store.conversation(conversation).title == "Mine"


def test_nothing_comes_back_under_an_answer_that_is_being_written(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1", "Two", "2")
        removed = remove(store, said[2].id)
        asked = store.add_message(said[0].conversation, Role.USER, "Three", parent=said[1].id)
        reply = store.add_message(said[0].conversation, Role.ASSISTANT, "", parent=asked.id, status=Status.STREAMING)
        with pytest.raises(RefusedError, match="still being written here"):
            restore(store, removed)
        assert store.conversation(said[0].conversation).head == reply.id
        store.update_message(reply.id, status=Status.DONE)
        restore(store, removed)
        assert shown(store, said[0]) == ["One", "1", "Two", "2"]


def test_what_it_stood_in_the_place_of_and_what_was_in_sight_may_be_gone(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, "One", "1")
        mine = store.edit_answer(said[1].id, "Mine")
        removed = remove(store, mine.id)
        remove(store, said[1].id)
        with pytest.raises(NotFoundError):
            restore(store, removed)
        other = talk(store, "One", "1", "Two", "2")
        gone = remove(store, other[2].id)
        restore(store, replace(gone, head=123_456))
        assert shown(store, other[0]) == ["One", "1", "Two", "2"]
        assert store.check() == []


# Conversations


def whole(store: Store, id: str) -> tuple[object, list[Message]]:
    return store.conversation(id), store.messages(id)


def test_a_conversation_is_gone_from_the_search_and_the_file_and_comes_back_as_it_was(path: Path) -> None:
    with Store.open(path) as store:
        said = talk(store, f"{SECRET} is my word", f"{SECRET} it is", "Two", "2")
        id = said[0].conversation
        store.edit_answer(said[1].id, f"My {SECRET}")
        store.rate(said[3].id, Rating.GOOD)
        examples = ((f"{SECRET}?", "Yes."),)
        store.update_conversation(id, pinned=True, system=SECRET, preset="shop", examples=examples, head=said[1].id)
        before = whole(store, id)
        removed = remove_conversation(store, id)
        assert (store.conversations(), search(store, SECRET)) == ([], [])
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in path.parent.glob("chats.db*"))
    with Store.open(path) as store:
        restore_conversation(store, removed)
        assert whole(store, id) == before
        assert len(search(store, SECRET)) == 3
        assert store.check() == []


def test_a_long_conversation_and_one_in_which_nothing_was_said_come_back(path: Path) -> None:
    with Store.open(path) as store:
        with store.as_one():
            long = talk(store, *map(str, range(2000)))[0].conversation
        empty = store.create_conversation(system="Be brief.").id
        before = [whole(store, id) for id in (long, empty)]
        for removed in [remove_conversation(store, id) for id in (long, empty)]:
            restore_conversation(store, removed)
        assert [whole(store, id) for id in (long, empty)] == before
        with pytest.raises(NotFoundError):
            remove_conversation(store, "ffffffff")


def test_what_stood_unsent_in_a_conversation_goes_and_comes_back_with_it(path: Path) -> None:
    with Store.open(path) as store:
        one, other = (talk(store, text, "1")[0].conversation for text in ("One", "Other"))
        keep_draft(store, one, f"{SECRET}, half")
        keep_draft(store, other, "of the other")
        removed = remove_conversation(store, one)
        assert (draft_of(store, one), draft_of(store, other)) == ("", "of the other")
        restore_conversation(store, removed)
        assert (draft_of(store, one), draft_of(store, other)) == (f"{SECRET}, half", "of the other")


def test_an_answer_that_was_being_written_comes_back_as_far_as_it_was(path: Path) -> None:
    with Store.open(path) as store:
        (question,) = talk(store, "One")
        id = question.conversation
        reply = store.add_message(id, Role.ASSISTANT, "Hal", parent=question.id, status=Status.STREAMING)
        removed = remove_conversation(store, id)
        with pytest.raises(NotFoundError):
            store.update_message(reply.id, content="Half")
        restore_conversation(store, removed)
        back = store.message(reply.id)
        assert (back.content, back.status, back.finish_reason) == ("Hal", Status.STOPPED, "cancelled")
        assert remove(store, reply.id).conversation == id, "nobody writes it any more"
