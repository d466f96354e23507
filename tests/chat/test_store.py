"""Conversations and their tree of messages."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status
from lora_chat.chat.database import has_sound_wal
from lora_chat.chat.store import Store
from lora_chat.errors import NotFoundError, RefusedError, StoreError
from tests.chat.conftest import contents, talk


def test_a_conversation_comes_back_as_it_was_made(store: Store, database: Path) -> None:
    made = store.create_conversation(title="T", system="Be brief.", model="m", adapter="a", scale=0.8)
    store.close()
    with Store.open(database) as again:
        assert again.conversation(made.id) == made


def test_every_field_of_a_message_comes_back(store: Store, database: Path) -> None:
    (question,) = talk(store, "Hello")
    kept = store.add_message(
        question.conversation, Role.ASSISTANT, "Hi", parent=question.id, status=Status.STOPPED, finish_reason="stop",
        error="none", base="b", adapter="a", adapter_sha256="f" * 64, scale=0.5, sampling='{"seed": 1}',
        prompt_tokens=1, cached_tokens=2, generated_tokens=3, first_token_ms=4.5, tokens_per_second=6.5,
    )  # fmt: skip
    store.close()
    with Store.open(database) as again:
        assert again.message(kept.id) == kept
    assert (kept.prompt_tokens, kept.tokens_per_second, kept.status) == (1, 6.5, Status.STOPPED)
    columns = {row[1] for row in sqlite3.connect(database).execute("PRAGMA table_info(messages)")}
    assert columns == Message.__dataclass_fields__.keys() | {"writer"}


def test_the_branch_runs_from_the_root_to_the_head(store: Store) -> None:
    messages = talk(store, "one", "two", "three", "four")
    assert store.branch(messages[0].conversation) == messages


def test_a_regenerated_answer_is_a_sibling_and_both_branches_stay(store: Store) -> None:
    question, first, follow_up, _ = talk(store, "q", "first", "and?", "more")
    second = store.add_message(question.conversation, Role.ASSISTANT, "second", parent=question.id)
    assert contents(store.branch(question.conversation)) == ["q", "second"]
    assert contents(store.branch(question.conversation, follow_up.id)) == ["q", "first", "and?"]
    assert store.siblings(first.id) == store.siblings(second.id) == [first, second]
    assert store.siblings(question.id) == [question]


def test_who_answered_is_known_of_every_branch(store: Store) -> None:
    question, _ = talk(store, "q", "first")
    store.add_message(question.conversation, Role.ASSISTANT, "second", parent=question.id, base="tiny", adapter="shop")
    store.add_message(question.conversation, Role.ASSISTANT, "third", parent=question.id, base="tiny")
    assert store.has_answer(question.conversation, "tiny", "shop")
    assert not store.has_answer(question.conversation, "other", "shop")
    assert not store.has_answer(question.conversation, "tiny", "pirate")
    (elsewhere,) = talk(store, "q")
    assert not store.has_answer(elsewhere.conversation, "tiny", "shop")


def test_the_head_can_be_set_to_another_branch(store: Store) -> None:
    question, first = talk(store, "q", "first")
    store.add_message(question.conversation, Role.ASSISTANT, "second", parent=question.id)
    store.update_conversation(question.conversation, head=first.id)
    assert contents(store.branch(question.conversation)) == ["q", "first"]


def test_a_message_of_another_conversation_is_no_parent_leaf_or_head(store: Store) -> None:
    (mine,), (other,) = talk(store, "mine"), talk(store, "other")
    with pytest.raises(NotFoundError, match="not in conversation"):
        store.add_message(mine.conversation, Role.ASSISTANT, "x", parent=other.id)
    with pytest.raises(NotFoundError, match="not in conversation"):
        store.branch(mine.conversation, other.id)
    with pytest.raises(NotFoundError, match="not in conversation"):
        store.update_conversation(mine.conversation, head=other.id)
    assert contents(store.messages(mine.conversation)) == ["mine"]


def test_the_schema_itself_refuses_a_parent_in_another_conversation(store: Store) -> None:
    (mine,), (other,) = talk(store, "mine"), talk(store, "other")
    with pytest.raises(StoreError), store.database.writing() as connection:
        connection.execute("UPDATE messages SET parent = ? WHERE id = ?", (mine.id, other.id))
    assert store.message(other.id).parent is None


def test_the_first_user_message_becomes_the_title_cut_at_60(store: Store) -> None:
    (message, *_) = talk(store, "Why is\nthe sky " + "so " * 40 + "blue?", "Scattering.", "Thanks")
    title = store.conversation(message.conversation).title
    assert title.startswith("Why is the sky so so")
    assert len(title) == 60


def test_a_given_title_stays(store: Store) -> None:
    named = store.create_conversation(title="Mine")
    store.add_message(named.id, Role.USER, "Hello", parent=None)
    assert store.conversation(named.id).title == "Mine"


def test_an_id_may_be_shortened_as_long_as_it_is_unique(store: Store) -> None:
    made = [store.create_conversation() for _ in range(40)]
    one = made[7]
    assert store.conversation(one.id) == store.conversation(one.id.upper()) == one
    twins = [each.id for each in made if each.id[0] == one.id[0]]
    shortest = next(n for n in range(1, 9) if [id[:n] for id in twins].count(one.id[:n]) == 1)
    assert store.conversation(one.id[:shortest]) == one
    common = next(digit for digit in "0123456789abcdef" if sum(each.id[0] == digit for each in made) > 1)
    with pytest.raises(RefusedError, match="write more of the id"):
        store.conversation(common)


@pytest.mark.parametrize("id", ["", " ", "zz", "%", "_", "\x00", "\udcff", "' OR 1=1 --", "0" * 5000])
def test_an_id_that_begins_no_conversation_is_not_found(store: Store, id: str) -> None:
    store.create_conversation()
    with pytest.raises(NotFoundError):
        store.conversation(id)


@pytest.mark.parametrize("id", [0, -1, 99, 2**63, -(2**80)])
def test_a_number_that_names_no_message_is_not_found(store: Store, id: int) -> None:
    with pytest.raises(NotFoundError):
        store.message(id)


def test_the_conversation_spoken_in_last_is_listed_first(store: Store) -> None:
    (old,), (new,) = talk(store, "old"), talk(store, "new")
    assert [each.title for each in store.conversations()] == ["new", "old"]
    store.add_message(old.conversation, Role.ASSISTANT, "x", parent=old.id)
    assert [each.title for each in store.conversations(limit=1)] == ["old"]
    assert store.message_counts() == {old.conversation: 2, new.conversation: 1}


def test_pinned_ones_are_listed_first_and_archived_ones_apart(store: Store) -> None:
    ids = [talk(store, text)[0].conversation for text in ("old", "away", "new", "pinned long ago")]
    store.update_conversation(ids[0], pinned=True)
    store.update_conversation(ids[3], pinned=True)
    store.update_conversation(ids[1], archived=True)
    assert [each.title for each in store.listed()] == ["pinned long ago", "old", "new"]
    assert [each.title for each in store.listed(1)] == ["pinned long ago"]
    assert [each.title for each in store.listed(archived=True)] == ["away"]
    assert len(store.conversations()) == 4


def test_a_conversation_is_never_both_pinned_and_archived(store: Store) -> None:
    id = store.create_conversation().id
    store.update_conversation(id, pinned=True)
    put_away = store.update_conversation(id, archived=True)
    assert (put_away.pinned, put_away.archived) == (False, True)
    pinned = store.update_conversation(id, pinned=True)
    assert (pinned.pinned, pinned.archived) == (True, False)


def test_an_archived_conversation_comes_back_with_the_person_s_next_message_unless_that_is_refused(
    store: Store,
) -> None:
    question, answer = talk(store, "q", "a")
    store.update_conversation(question.conversation, archived=True)
    store.edit_answer(answer.id, "better")
    before = store.conversation(question.conversation)
    assert before.archived
    asked = store.add_message(before.id, Role.USER, "refused", parent=answer.id)
    assert not store.conversation(before.id).archived
    store.take_back(before, asked.id)
    assert store.conversation(before.id).archived
    assert store.conversation(before.id).head == before.head


def test_settings_of_a_conversation_can_be_changed_and_unknown_ones_cannot(store: Store) -> None:
    made = store.create_conversation(adapter="a")
    changed = store.update_conversation(made.id, adapter=None, scale=0.5, title="New\nname")
    assert (changed.adapter, changed.scale, changed.title) == (None, 0.5, "New name")
    with pytest.raises(TypeError, match="created_at"):
        store.update_conversation(made.id, created_at=0)  # type: ignore[call-arg]
    with pytest.raises(NotFoundError):
        store.update_conversation("ffffffff", title="x")


def test_a_deleted_conversation_takes_all_of_its_branches_along(store: Store) -> None:
    question, _ = talk(store, "q", "first")
    (other,) = talk(store, "other")
    store.add_message(question.conversation, Role.ASSISTANT, "second", parent=question.id)
    store.delete_conversation(question.conversation)
    assert [each.id for each in store.conversations()] == [other.conversation]
    assert len(store.database.rows("SELECT * FROM messages")) == 1
    assert store.check() == []
    with pytest.raises(NotFoundError):
        store.delete_conversation(question.conversation)


def test_deleted_words_are_nowhere_in_the_file(store: Store, database: Path) -> None:
    secret = talk(store, "xylophonic " * 200, "quetzalcoatlus")[0]
    talk(store, "stays")
    store.delete_conversation(secret.conversation)
    store.close()
    data = database.read_bytes()
    assert b"xylophonic" not in data
    assert b"quetzalcoatlus" not in data
    assert b"stays" in data


def test_a_conversation_of_2000_messages_is_read_and_deleted(store: Store) -> None:
    """SQLite follows a foreign-key cascade 1,000 levels deep: a long conversation must not depend on one."""
    with store.as_one():
        messages = talk(store, *map(str, range(2000)))
    assert len(store.branch(messages[0].conversation)) == 2000
    store.delete_conversation(messages[0].conversation)
    assert store.database.rows("SELECT * FROM messages") == []


def test_the_number_of_a_deleted_message_is_never_given_again(store: Store) -> None:
    (first,) = talk(store, "first")
    store.delete_conversation(first.conversation)
    assert talk(store, "second")[0].id > first.id


def test_an_answer_is_rated_and_the_rating_taken_back(store: Store) -> None:
    question, answer = talk(store, "q", "a")
    assert store.rate(answer.id, Rating.GOOD).rating is Rating.GOOD
    assert store.message(answer.id).rating is Rating.GOOD
    assert store.rate(answer.id, None).rating is None
    with pytest.raises(RefusedError, match="only answers"):
        store.rate(question.id, Rating.BAD)


def test_an_edited_answer_stands_beside_the_old_one_and_is_the_person_s(store: Store) -> None:
    question = talk(store, "q")[0]
    old = store.add_message(question.conversation, Role.ASSISTANT, "no", parent=question.id, base="b", adapter="a")
    new = store.edit_answer(old.id, "yes")
    assert (new.edited_from, new.parent, new.role, new.status) == (old.id, question.id, Role.ASSISTANT, Status.DONE)
    assert (new.base, new.adapter, new.adapter_sha256) == (None, None, None)
    assert store.message(old.id) == old
    assert store.branch(question.conversation) == [question, new]


def test_what_cannot_be_edited_is_refused(store: Store) -> None:
    question, answer = talk(store, "q", "a")
    streaming = store.add_message(
        question.conversation, Role.ASSISTANT, "", parent=question.id, status=Status.STREAMING
    )
    for id, text, reason in [
        (question.id, "x", "only answers"), (answer.id, " \n\x1b", "empty"), (streaming.id, "x", "still being written"),
    ]:  # fmt: skip
        with pytest.raises(RefusedError, match=reason):
            store.edit_answer(id, text)
    assert len(store.messages(question.conversation)) == 3


def test_a_reply_grows_and_ends(store: Store) -> None:
    (question,) = talk(store, "q")
    reply = store.add_message(question.conversation, Role.ASSISTANT, "", parent=question.id, status=Status.STREAMING)
    assert reply.status is Status.STREAMING
    assert store.update_message(reply.id, content="par").status is Status.STREAMING
    done = store.update_message(
        reply.id, content="partial", status=Status.FAILED, error="The engine ended.", generated_tokens=2
    )
    assert (done.content, done.status, done.error, done.generated_tokens) == (
        "partial", Status.FAILED, "The engine ended.", 2,
    )  # fmt: skip
    with pytest.raises(NotFoundError):
        store.update_message(999, content="x")
    with pytest.raises(TypeError, match="parent"):
        store.update_message(reply.id, parent=None)  # type: ignore[call-arg]


def test_text_that_could_steer_a_terminal_is_cleaned_on_its_way_in(store: Store) -> None:
    made = store.create_conversation(title="t\x1b]52;c;x\x07", system="s\u202e")
    message = store.add_message(made.id, Role.USER, "a\x00b\x1b[31mc\ud800\r\nd", parent=None, error="e\x9b")
    assert (message.content, message.error) == ("ab[31mc\nd", "e")
    assert (made.title, made.system) == ("t]52;c;x", "s")
    assert store.update_message(message.id, content="\x07x").content == "x"


def test_changes_made_as_one_are_all_taken_back_by_an_error(store: Store) -> None:
    (kept,) = talk(store, "kept")

    def change_and_fail() -> None:
        with store.as_one():
            store.add_message(kept.conversation, Role.ASSISTANT, "gone", parent=kept.id)
            talk(store, "gone too")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert contents(store.messages(kept.conversation)) == ["kept"]
    assert len(store.conversations()) == 1


@pytest.mark.parametrize("elsewhere", [False, True], ids=["a thread", "a program"])
def test_one_view_is_of_one_moment_whoever_takes_back_what_is_read(
    store: Store, database: Path, elsewhere: bool
) -> None:
    kept, refused = talk(store, "kept", "refused")
    before = replace(store.conversation(kept.conversation), head=kept.id)
    with Store.open(database) as another:
        thread = threading.Thread(target=(another if elsewhere else store).take_back, args=(before, refused.id))
        with store.one_view():
            assert len(store.branch(kept.conversation)) == 2
            thread.start()
            thread.join(0.2)
            assert contents(store.messages(kept.conversation)) == ["kept", "refused"]
        thread.join()
    assert contents(store.messages(kept.conversation)) == ["kept"]


def test_eight_threads_share_a_store(store: Store) -> None:
    conversations = [store.create_conversation() for _ in range(8)]
    failures: list[BaseException] = []

    def chat(conversation: Conversation) -> None:
        try:
            parent = None
            for number in range(20):
                parent = store.add_message(conversation.id, Role.USER, str(number), parent=parent).id
                store.branch(conversation.id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=chat, args=(each,)) for each in conversations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for conversation in conversations:
        assert contents(store.branch(conversation.id)) == [str(number) for number in range(20)]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_everything_is_readable_by_its_owner_alone(database: Path) -> None:
    mask = os.umask(0)
    try:
        with Store.open(database) as store, store.database.writing():
            talk(store, "x" * 100_000)
            files = list(database.parent.iterdir())
    finally:
        os.umask(mask)
    assert len(files) >= 2  # the journal of the open transaction lies beside the database
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert database.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_database_that_others_could_read_is_made_private(store: Store, database: Path) -> None:
    store.close()
    database.chmod(0o644)
    Store.open(database).close()
    assert database.stat().st_mode & 0o777 == 0o600


def test_wal_is_used_only_where_sqlite_has_no_reset_race(store: Store) -> None:
    sound = [(3, 51, 3), (3, 52, 0), (3, 50, 7), (3, 44, 6), (3, 44, 9), (4, 0, 0)]
    racy = [(3, 51, 2), (3, 51, 0), (3, 50, 6), (3, 49, 9), (3, 45, 0), (3, 44, 5), (3, 40, 1)]
    assert all(map(has_sound_wal, sound))
    assert not any(map(has_sound_wal, racy))
    mode = store.database.rows("PRAGMA journal_mode")[0][0]
    assert mode == ("wal" if has_sound_wal(sqlite3.sqlite_version_info) else "truncate")


def test_commits_reach_the_disk_and_foreign_keys_hold(store: Store) -> None:
    pragmas = {name: store.database.rows(f"PRAGMA {name}")[0][0] for name in ["synchronous", "foreign_keys"]}
    assert pragmas == {"synchronous": 2, "foreign_keys": 1}


# What a conversation begins with

EXAMPLES = (("Where?", 'At "12"\nHarbour Street. 🙂'), ("When?", "At nine."))


def test_examples_are_kept_in_their_order_and_made_harmless(store: Store) -> None:
    made = store.create_conversation(preset="shop", examples=(*EXAMPLES, ("a\x1b[2J", "b\u202e")))
    assert made.examples == (*EXAMPLES, ("a[2J", "b"))
    assert store.conversation(made.id) == made
    assert store.conversations() == [made]
    changed = store.update_conversation(made.id, preset="", examples=())
    assert (changed.preset, changed.examples) == ("", ())


@pytest.mark.parametrize(
    "damage", ["", "[", "7", "null", '{"q": "a"}', '["qa"]', '[["q"]]', '[["q", 1]]', "[" * 100_000, b"\xff", 7]
)
def test_damaged_examples_are_none_hide_no_other_conversation_and_are_found_by_the_check(
    store: Store, damage: object
) -> None:
    other = store.create_conversation(preset="hats", examples=EXAMPLES)
    made = store.create_conversation(title="T", system="Be brief.", preset="shop", examples=EXAMPLES)
    with store.database.writing() as connection:
        connection.execute("UPDATE conversations SET examples = ? WHERE id = ?", (damage, made.id))
    found, whole = store.conversations()
    assert whole == other
    assert (found.title, found.system, found.preset, found.examples) == ("T", "Be brief.", "", ())
    assert store.check() == [f"the examples of conversation {made.id} are damaged: choose its preset again"]
    again = store.update_conversation(made.id, preset="shop", examples=EXAMPLES)
    assert (again.preset, again.examples) == ("shop", EXAMPLES)
    assert store.check() == []


def test_a_refused_first_message_leaves_what_the_conversation_begins_with(store: Store) -> None:
    for chosen in ({"preset": "shop"}, {"examples": EXAMPLES}):
        made = store.create_conversation(**chosen)
        said = store.add_message(made.id, Role.USER, "x", parent=None)
        store.take_back(made, said.id)
        assert store.conversation(made.id).title == ""


def test_a_new_system_prompt_is_the_persons_own_unless_it_is_said_whose_it_is(store: Store) -> None:
    made = store.create_conversation(system="You sell shoes.", own_system="Mine.", preset="shop")
    assert (made.system, made.own_system, made.preset_system) == ("You sell shoes.", "Mine.", "You sell shoes.")
    assert store.conversations() == [made]
    assert store.update_conversation(made.id, title="T").own_system == "Mine."
    changed = store.update_conversation(made.id, system="New.")
    assert (changed.system, changed.own_system, changed.preset_system) == ("New.", None, "")
    assert store.update_conversation(made.id, system="B.", own_system="").own_system == ""


def test_a_column_that_a_newer_program_added_meanwhile_does_no_harm(store: Store, database: Path) -> None:
    first, second = talk(store, "Hello", "Hi")
    newer = sqlite3.connect(database)
    newer.execute("ALTER TABLE conversations ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'")
    newer.execute("ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'")
    newer.commit()
    newer.close()
    assert store.branch(first.conversation) == [first, second]
    assert [each.id for each in store.conversations()] == [first.conversation]
    assert len(talk(store, "And", "more")) == 2


def test_how_answers_are_drawn_is_kept_and_holds_a_conversation_whose_first_message_is_refused(store: Store) -> None:
    plain, own = store.create_conversation(), store.create_conversation(sampling='{"temperature": 0.7}')
    for made in (plain, own):
        asked = store.add_message(made.id, Role.USER, "refused", parent=None)
        store.take_back(made, asked.id)
    assert [(each.id, each.wishes) for each in store.conversations()] == [(own.id, {"temperature": 0.7})]
    assert store.update_conversation(own.id, sampling='{"seed": 1}').wishes == {"seed": 1}
