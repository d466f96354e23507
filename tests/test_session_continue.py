"""An answer that goes on: the same message grows, and whatever happens it says how it ended, or is as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status
from lora_chat.chat.store import Store
from lora_chat.engine.protocol import Chunk, Finished, Request, TextChunk
from lora_chat.errors import EngineError, RefusedError
from lora_chat.session import Ended, LeftOut, Session, Started, TurnEvent
from tests.test_session import DONE, GREEDY, WINDOW, Script, failing, kept, said, send, session_of, text_of

LENGTH = replace(DONE, reason="length")
CANCELLED = replace(DONE, reason="cancelled", generated_tokens=0)


def ending(done: Finished, *pieces: str) -> Script:
    def script(_request: Request, _cancel: threading.Event | None) -> Iterator[Chunk]:
        yield from map(TextChunk, pieces)
        yield done

    return script


def go_on(session: Session, conversation: Conversation) -> list[TurnEvent]:
    head = session.store.branch(conversation.id)[-1]
    return list(session.go_on(session.store.conversation(conversation.id), head, None, GREEDY))


@pytest.fixture
def cut(store: Store) -> Conversation:
    """With an answer that was cut off."""
    conversation = store.create_conversation()
    send(session_of(store, ending(LENGTH, "I am")), conversation)
    return conversation


def answer_of(store: Store, conversation: Conversation) -> Message:
    return store.branch(conversation.id)[-1]


def test_the_same_message_grows_and_its_figures_are_those_of_the_whole(
    store: Store, database: Path, cut: Conversation
) -> None:
    before = answer_of(store, cut)
    session = session_of(store, ending(replace(DONE, prompt_tokens=12, generated_tokens=4), " a", " model. "))
    started, *pieces, ended = go_on(session, cut)
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert (started.reply.id, started.reply.content, started.reply.status) == (before.id, "I am", Status.STREAMING)
    assert text_of(pieces) == " a model. "
    asked, answer = kept(database, cut)
    assert (asked.role, answer) == (Role.USER, ended.reply)
    assert (answer.id, answer.content, answer.status) == (before.id, "I am a model.", Status.DONE)
    assert (answer.finish_reason, answer.generated_tokens) == ("stop", 3 + 4)
    assert (answer.prompt_tokens or 0) + 7 == 12 + 4
    [request] = session.engine.asked  # type: ignore[attr-defined]
    assert [turn.content for turn in request.messages] == ["Who are you?", "I am"]
    assert (request.continues, request.past_end) == (True, False)


@pytest.mark.parametrize(
    ("reason", "past_end"), [("stop", True), ("length", False), ("cancelled", False), ("error", False)]
)
def test_only_what_had_ended_by_itself_may_not_end_again_at_once(store: Store, reason: str, past_end: bool) -> None:
    conversation = store.create_conversation()
    send(session_of(store, said("I am")), conversation)
    store.update_message(answer_of(store, conversation).id, finish_reason=reason)
    session = session_of(store, said(" here"))
    go_on(session, conversation)
    assert session.engine.asked[0].past_end is past_end  # type: ignore[attr-defined]


def test_a_rating_was_for_another_text(store: Store, cut: Conversation) -> None:
    store.rate(answer_of(store, cut).id, Rating.GOOD)
    go_on(session_of(store, said(" a model.")), cut)
    assert answer_of(store, cut).rating is None


def test_a_persons_text_that_goes_on_is_no_longer_theirs_alone(store: Store, cut: Conversation) -> None:
    store.edit_answer(answer_of(store, cut).id, "We are\n")
    session = session_of(store, said("open."))
    go_on(session, cut)
    answer = answer_of(store, cut)
    assert (answer.content, answer.edited_from, answer.base) == ("We are\nopen.", None, "tiny")
    assert (answer.prompt_tokens, answer.generated_tokens) == (9, 3)
    assert session.engine.asked[0].past_end  # type: ignore[attr-defined]
    assert session.engine.asked[0].messages[-1].content == "We are\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("done", [CANCELLED, LENGTH])
@pytest.mark.parametrize("pieces", [(), (" \n",)])
@pytest.mark.parametrize("edited", [False, True])
def test_where_nothing_is_added_it_is_as_it_was(
    store: Store, cut: Conversation, done: Finished, pieces: tuple[str, ...], edited: bool
) -> None:
    if edited:
        store.edit_answer(answer_of(store, cut).id, "We are")
    before = store.rate(answer_of(store, cut).id, Rating.GOOD)
    go_on(session_of(store, ending(done, *pieces)), cut)
    assert answer_of(store, cut) == before


def test_what_was_cut_off_and_turns_out_to_be_whole_says_so(store: Store, cut: Conversation) -> None:
    before = store.rate(answer_of(store, cut).id, Rating.GOOD)
    *_, ended = go_on(session_of(store, said()), cut)
    assert isinstance(ended, Ended)
    assert ended.reply == answer_of(store, cut) == replace(before, status=Status.DONE, finish_reason="stop")


@pytest.mark.parametrize("error", [RefusedError("No."), EngineError("It broke."), KeyboardInterrupt(), ValueError("x")])
def test_an_engine_that_fails_at_once_leaves_it_as_it_was(
    store: Store, cut: Conversation, error: BaseException
) -> None:
    before = store.rate(answer_of(store, cut).id, Rating.GOOD)
    with pytest.raises(type(error)):
        go_on(session_of(store, failing(error)), cut)
    assert answer_of(store, cut) == before


def test_an_engine_that_fails_later_leaves_what_came(store: Store, cut: Conversation) -> None:
    with pytest.raises(EngineError):
        go_on(session_of(store, failing(EngineError("It broke."), " a")), cut)
    answer = answer_of(store, cut)
    assert (answer.content, answer.status, answer.error) == ("I am a", Status.FAILED, "It broke.")
    go_on(session_of(store, said(" model.")), cut)
    answer = answer_of(store, cut)
    assert (answer.content, answer.status, answer.error) == ("I am a model.", Status.DONE, None)


def test_one_that_is_stopped_keeps_what_came(store: Store, cut: Conversation) -> None:
    go_on(session_of(store, ending(CANCELLED, " a")), cut)
    answer = answer_of(store, cut)
    assert (answer.content, answer.status, answer.finish_reason) == ("I am a", Status.STOPPED, "cancelled")


def test_one_nobody_reads_on_keeps_what_came(store: Store, cut: Conversation) -> None:
    events = session_of(store, said(" a", " model.")).go_on(cut, answer_of(store, cut), None, GREEDY)
    assert isinstance(next(events), Started)
    assert next(events) == TextChunk(" a")
    events.close()  # type: ignore[attr-defined]
    assert (answer_of(store, cut).content, answer_of(store, cut).status) == ("I am a", Status.STOPPED)


def test_half_a_character_is_made_again(store: Store) -> None:
    conversation = store.create_conversation()
    send(session_of(store, ending(LENGTH, "Ja, \ufffd")), conversation)
    before = answer_of(store, conversation)
    go_on(session_of(store, ending(CANCELLED)), conversation)
    assert answer_of(store, conversation) == before
    go_on(session_of(store, said("日本")), conversation)
    assert answer_of(store, conversation).content == "Ja, 日本"


def test_one_that_fills_the_window_is_refused_with_the_numbers(store: Store) -> None:
    conversation = store.create_conversation()
    send(session_of(store, ending(LENGTH, "word " * WINDOW)), conversation)
    before = answer_of(store, conversation)
    with pytest.raises(RefusedError, match=r"515 tokens and tiny takes 512: there is no room"):
        go_on(session_of(store, said("never")), conversation)
    assert answer_of(store, conversation) == before


def test_where_the_window_is_nearly_full_the_oldest_goes_first(store: Store) -> None:
    conversation = store.create_conversation()
    for length in (200, 100, 150):
        current = store.conversation(conversation.id)
        send(session_of(store, ending(LENGTH, "word " * length)), current)
    session = session_of(store, said(" more"))
    _, left_out, *_ = go_on(session, conversation)
    assert isinstance(left_out, LeftOut)
    answer = answer_of(store, conversation)
    assert answer.context_start == left_out.reply.context_start == store.branch(conversation.id)[2].id
    assert session.engine.asked[0].messages[-1].content == ("word " * 150).strip()  # type: ignore[attr-defined]
    assert answer.content.endswith("word more")
