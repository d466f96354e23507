"""A turn from prompt to saved reply: whatever the engine does, what was said is in the store and says how it ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_chat import session as module
from lora_chat.adapters.manifest import ChatSettings, Manifest
from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Conversation, Message, Role, Status, Turn
from lora_chat.chat.search import search
from lora_chat.chat.store import Store
from lora_chat.config import Config
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Chunk, Finished, Request, Sampling, TextChunk
from lora_chat.errors import EngineError, RefusedError, StoreError
from lora_chat.models.installed import InstalledBase
from lora_chat.session import Ended, Session, Started, TurnEvent, Wearing, choose_sampling

GREEDY = Sampling(temperature=0)
WINDOW = 512
DONE = Finished("stop", 9, 2, 3, 5.0, 30.0, 77)

Script = Callable[[Request, threading.Event | None], Iterator[Chunk]]


class ScriptedEngine:
    """The only part of an engine that a session uses, played by a generator of the test's own."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Request] = []

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        return sum(len(turn.content.split()) for turn in messages)

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        self.asked.append(request)
        yield from self.script(request, cancel)


def said(*pieces: str) -> Script:
    def script(_request: Request, _cancel: threading.Event | None) -> Iterator[Chunk]:
        yield from map(TextChunk, pieces)
        yield DONE

    return script


def failing(error: BaseException, *pieces: str) -> Script:
    def script(_request: Request, _cancel: threading.Event | None) -> Iterator[Chunk]:
        yield from map(TextChunk, pieces)
        raise error

    return script


def session_of(store: Store, script: Script, config: Config | None = None) -> Session:
    return Session(store, ScriptedEngine(script), config or Config(), "tiny", WINDOW)  # type: ignore[arg-type]


def send(session: Session, conversation: Conversation, text: str = "Who are you?") -> list[TurnEvent]:
    return list(session.send(conversation, text, None, GREEDY))


def text_of(events: list[TurnEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def kept(database: Path, conversation: Conversation) -> list[Message]:
    """What another program sees on the disk right now."""
    with Store.open(database) as other:
        return other.branch(conversation.id)


def test_a_turn_is_started_streamed_and_ended_and_all_of_it_is_kept(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    started, *pieces, ended = send(session_of(store, said("I am", " a model.")), conversation)
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert text_of(pieces) == "I am a model."
    asked, answer = kept(database, conversation)
    assert (asked.role, asked.content, asked.id) == (Role.USER, "Who are you?", started.prompt.id)
    assert answer == ended.reply
    assert (answer.content, answer.status, answer.finish_reason) == ("I am a model.", Status.DONE, "stop")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.generated_tokens) == (9, 2, 3)
    assert (answer.first_token_ms, answer.tokens_per_second, answer.base) == (5.0, 30.0, "tiny")
    assert json.loads(answer.sampling or "") == json.loads(json.dumps(replace(GREEDY, seed=77).__dict__))
    assert (answer.adapter, answer.adapter_sha256, answer.scale) == (None, None, None)


def test_the_question_is_durable_before_the_engine_is_asked(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    seen: list[list[tuple[str, Status]]] = []

    def look(_request: Request, _cancel: threading.Event | None) -> Iterator[Chunk]:
        seen.append([(message.content, message.status) for message in kept(database, conversation)])
        raise EngineError("It broke at once.")
        yield DONE

    with pytest.raises(EngineError):
        send(session_of(store, look), conversation)
    assert seen == [[("Who are you?", Status.DONE), ("", Status.STREAMING)]]
    answer = kept(database, conversation)[1]
    assert (answer.status, answer.error, answer.content) == (Status.FAILED, "It broke at once.", "")


def test_a_running_reply_is_flushed_each_second(store: Store, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock))
    conversation = store.create_conversation()
    on_disk: list[str] = []
    for event in session_of(store, said(*"abcdefgh")).send(conversation, "q", None, GREEDY):
        if isinstance(event, TextChunk):
            on_disk.append(kept(database, conversation)[1].content)
            clock += 0.4
    # The clock stands at 0, 0.4, 0.8, 1.2 (flush), 1.6, 2.0, 2.4 (flush), 2.8 when the pieces come.
    assert on_disk == ["", "", "", "abcd", "abcd", "abcd", "abcdefg", "abcdefg"]


def test_an_engine_that_fails_at_the_third_piece_leaves_two(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    with pytest.raises(EngineError):
        send(session_of(store, failing(EngineError("It broke."), "one", " two ")), conversation)
    answer = kept(database, conversation)[1]
    assert (answer.content, answer.status, answer.finish_reason) == ("one two", Status.FAILED, "error")
    assert answer.error == "It broke."


@pytest.mark.parametrize("error", [RuntimeError("secret text"), MemoryError(), AssertionError()])
def test_a_defect_in_an_engine_marks_the_reply_as_failed_too(store: Store, database: Path, error: Exception) -> None:
    conversation = store.create_conversation()
    with pytest.raises(type(error)):
        send(session_of(store, failing(error, "one")), conversation)
    answer = kept(database, conversation)[1]
    assert (answer.content, answer.status) == ("one", Status.FAILED)
    assert answer.error == f"The engine failed ({type(error).__name__})."


def test_an_engine_that_ends_without_a_word_fails(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    with pytest.raises(EngineError, match="without a word"):
        send(session_of(store, lambda _request, _cancel: iter([TextChunk("one")])), conversation)
    assert kept(database, conversation)[1].status is Status.FAILED


def test_what_is_refused_was_never_said(store: Store) -> None:
    conversation = store.create_conversation()
    send(session_of(store, said("Yes.")), conversation)
    conversation = store.conversation(conversation.id)
    before = store.branch(conversation.id)
    too_long = session_of(store, failing(RefusedError("It has 67,927 tokens and the base takes 8,192.")))
    with pytest.raises(RefusedError, match="67,927"):
        send(too_long, conversation, "word " * 9)
    assert store.branch(conversation.id) == before
    assert store.messages(conversation.id) == before, "nor can a look at other answers bring it back"
    assert not search(store, "word")
    with pytest.raises(RefusedError):
        list(too_long.retry(store.conversation(conversation.id), None, GREEDY))
    assert store.messages(conversation.id) == before
    send(session_of(store, said("Still here.")), store.conversation(conversation.id), "Hello?")
    assert [message.content for message in store.branch(conversation.id)][-2:] == ["Hello?", "Still here."]


def test_a_refused_first_message_leaves_no_conversation_but_one_that_was_prepared(store: Store) -> None:
    prepared = store.create_conversation(system="Be brief.")
    for conversation in (store.create_conversation(), prepared):
        with pytest.raises(RefusedError):
            send(session_of(store, failing(RefusedError("Too long."))), conversation)
    [left] = store.conversations()
    assert (left.id, left.title, left.head) == (prepared.id, "", None)


def test_what_fails_in_the_middle_is_kept_even_where_the_engine_calls_it_refused(store: Store) -> None:
    conversation = store.create_conversation()
    with pytest.raises(RefusedError):
        send(session_of(store, failing(RefusedError("No more room."), "Half")), conversation)
    assert [message.content for message in store.branch(conversation.id)] == ["Who are you?", "Half"]


def test_ctrl_c_in_the_engine_is_a_stop(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    with pytest.raises(KeyboardInterrupt):
        send(session_of(store, failing(KeyboardInterrupt(), "one")), conversation)
    assert kept(database, conversation)[1].status is Status.STOPPED


def test_a_stopped_reply_keeps_what_was_said(store: Store, tiny_llama: InstalledBase, database: Path) -> None:
    conversation, cancel = store.create_conversation(), threading.Event()
    session = Session(store, EchoEngine(tiny_llama, delay=0.001), Config(), "tiny", WINDOW)
    for event in session.send(conversation, "one two three four five", None, GREEDY, cancel):
        if isinstance(event, TextChunk):
            cancel.set()
    answer = kept(database, conversation)[1]
    assert (answer.content, answer.status, answer.finish_reason) == ("one", Status.STOPPED, "cancelled")


@pytest.mark.parametrize("read", [1, 2, 3])
def test_leaving_a_turn_at_any_moment_is_a_stop_and_ends_the_engines_reply(
    store: Store, database: Path, read: int
) -> None:
    conversation = store.create_conversation()
    ended: list[str] = []

    def script(_request: Request, _cancel: threading.Event | None) -> Iterator[Chunk]:
        try:
            for number in range(100):
                yield TextChunk(f" {number}")
        finally:
            ended.append(kept(database, conversation)[1].status)

    turn = session_of(store, script).send(conversation, "q", None, GREEDY)
    for _ in range(read):
        next(turn)
    turn.close()  # type: ignore[attr-defined]
    answer = kept(database, conversation)[1]
    assert (answer.content, answer.status) == (" ".join(map(str, range(read - 1))), Status.STOPPED)
    assert ended == ([Status.STREAMING] if read > 1 else [])  # the engine is free before the row says so


def test_outer_white_space_is_neither_shown_nor_kept(store: Store, database: Path) -> None:
    conversation = store.create_conversation()
    events = send(session_of(store, said(" ", "\n", " I", " am. ", "\n")), conversation)
    assert text_of(events).startswith("I am.")
    assert all(event.text for event in events if isinstance(event, TextChunk))
    assert kept(database, conversation)[1].content == "I am."


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_nothing_to_say_is_refused_and_nothing_is_kept(store: Store, text: str) -> None:
    conversation = store.create_conversation()
    with pytest.raises(RefusedError, match="nothing to answer"):
        send(session_of(store, said("x")), conversation, text)
    assert store.branch(conversation.id) == []


def test_a_retry_is_a_sibling_and_the_old_answer_stays(store: Store) -> None:
    conversation = store.create_conversation()
    send(session_of(store, said("first")), conversation)
    again = session_of(store, said("second"))
    list(again.retry(store.conversation(conversation.id), None, GREEDY))
    asked, answer = store.branch(conversation.id)
    assert answer.content == "second"
    assert [each.content for each in store.siblings(answer.id)] == ["first", "second"]
    assert answer.parent == asked.id
    assert asked_of(again)[-1].messages == (Turn(Role.USER, "Who are you?"),)  # the old answer is not in the prompt


def asked_of(session: Session) -> list[Request]:
    engine = session.engine
    assert isinstance(engine, ScriptedEngine)
    return engine.asked


def test_a_retry_without_a_question_is_refused(store: Store) -> None:
    with pytest.raises(RefusedError, match="nothing to answer again"):
        list(session_of(store, said("x")).retry(store.create_conversation(), None, GREEDY))


def test_the_next_turn_is_told_the_whole_branch_but_not_an_answer_that_never_came(store: Store) -> None:
    conversation = store.create_conversation()
    with pytest.raises(EngineError):
        send(session_of(store, failing(EngineError("It broke."))), conversation, "one")
    session = session_of(store, said("answer"))
    send(session, store.conversation(conversation.id), "two")
    send(session, store.conversation(conversation.id), "three")
    assert [turn.content for turn in asked_of(session)[-1].messages] == ["one", "two", "answer", "three"]


# What is worn


def adapter(system_prompt: str = "", temperature: float | None = None) -> Adapter:
    manifest = Manifest(name="bot", chat=ChatSettings(system_prompt=system_prompt, temperature=temperature))
    manifest = replace(manifest, weights=replace(manifest.weights, sha256="ab" * 32))
    return Adapter("bot", Path("/adapters/bot"), "user", "", 8, 100, 400, ("q_proj",), manifest)


def test_a_reply_keeps_what_it_wore(store: Store) -> None:
    conversation = store.create_conversation()
    session = session_of(store, said("x"))
    list(session.send(conversation, "q", Wearing(adapter(), 0.5), GREEDY))
    answer = store.branch(conversation.id)[1]
    assert (answer.adapter, answer.adapter_sha256, answer.scale) == ("bot", "ab" * 32, 0.5)
    worn = asked_of(session)[-1].adapter
    assert worn is not None
    assert (worn.name, worn.folder, worn.sha256, worn.scale) == ("bot", Path("/adapters/bot"), "ab" * 32, 0.5)


def test_a_reply_keeps_the_mixture_that_it_wore(store: Store) -> None:
    conversation = store.create_conversation()
    session = session_of(store, said("x"))
    other = replace(adapter("other's", 0.7), name="other", path=Path("/adapters/other"))
    bot = adapter("bot's", 0.1)
    mixture = Wearing(bot, 0.5, ((other, 0.25), (bot, 0.75)))
    list(session.send(conversation, "q", mixture, choose_sampling(session.config, mixture)))
    answer = store.branch(conversation.id)[1]
    assert (answer.adapter, answer.scale) == ("other=0.25+bot=0.75", 0.5)
    assert answer.adapter_sha256 == "+".join(["ab" * 32] * 2)
    request = asked_of(session)[-1]
    assert request.adapter is not None
    assert [(each.name, each.scale) for each in request.adapter.all] == [("other", 0.125), ("bot", 0.375)]
    # The one with the largest share says how it wants to be worn.
    assert request.sampling.temperature == 0.1
    assert request.messages[0] == Turn(Role.SYSTEM, "bot's")


@pytest.mark.parametrize(
    ("own", "adapters", "settings", "system"),
    [
        ("own", "adapter's", "setting", "own"),
        ("", "adapter's", "setting", "adapter's"),
        ("", "", "setting", "setting"),
        ("", None, "setting", "setting"),
        ("", "", "", None),
    ],
)
def test_the_conversations_system_prompt_comes_before_the_adapters_and_that_before_the_settings(
    store: Store, own: str, adapters: str | None, settings: str, system: str | None
) -> None:
    conversation = store.create_conversation(system=own)
    session = session_of(store, said("x"), Config(system=settings))
    list(session.send(conversation, "q", None if adapters is None else Wearing(adapter(adapters)), GREEDY))
    messages = asked_of(session)[-1].messages
    assert [turn.content for turn in messages if turn.role is Role.SYSTEM] == ([] if system is None else [system])
    assert messages[-1] == Turn(Role.USER, "q")


def test_a_flag_comes_before_the_adapters_temperature_and_that_before_the_settings() -> None:
    config = Config(temperature=0.9, top_p=0.5, top_k=7, repetition_penalty=1.2, max_tokens=33)
    cool = Wearing(adapter(temperature=0.0))
    assert choose_sampling(config, None) == Sampling(0.9, 0.5, 7, 1.2, 33)
    assert choose_sampling(config, Wearing(adapter())).temperature == 0.9
    assert choose_sampling(config, cool).temperature == 0.0
    assert choose_sampling(config, cool, temperature=0.4).temperature == 0.4
    assert choose_sampling(config, cool, temperature=None, seed=None, max_tokens=5).max_tokens == 5
    assert choose_sampling(config, None, seed=3, stop=("x",)) == replace(
        choose_sampling(config, None), seed=3, stop=("x",)
    )


def test_a_store_in_memory_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.in_memory() as store:
        conversation = store.create_conversation()
        send(session_of(store, said("x")), conversation)
        assert len(store.branch(conversation.id)) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_refuses_ends_the_turn_before_the_engine_is_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = store.create_conversation()
    session = session_of(store, said("x"))

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Store, "add_message", full)
    with pytest.raises(StoreError):
        send(session, conversation)
    assert asked_of(session) == []
