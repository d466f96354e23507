"""A conversation longer than its window: what is asked, what is kept, what is told, and what is read ahead."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters.manifest import ChatSettings, Manifest
from lora_chat.adapters.registry import Adapter
from lora_chat.chat.context import KEPT, start_of
from lora_chat.chat.conversation import Conversation, Message, Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.config import Config
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Chunk, Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import EngineError, RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.session import Ended, LeftOut, Session, Started, TurnEvent, Wearing

SAMPLING = Sampling(temperature=0, max_tokens=10)
WINDOW = 60
DONE = Finished("stop", 9, 2, 3, 5.0, 30.0, 77)
Prepared = tuple[tuple[Turn, ...], Worn | None]


class Words:
    """An engine to which a token is a word; it answers in as many as it is told, and remembers what was asked."""

    is_running = True

    def __init__(self) -> None:
        self.answer = "word " * 8
        self.error: Exception | None = None
        self.asked: list[Request] = []
        self.prepared: list[Prepared] = []
        self.counts = 0

    def count_tokens(self, messages: tuple[Turn, ...]) -> int:
        self.counts += 1
        if self.error is not None:
            raise self.error
        return sum(len(turn.content.split()) + 1 for turn in messages)

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        self.prepared.append((messages, adapter))
        return 4711

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        self.asked.append(request)
        yield TextChunk(self.answer)
        yield DONE


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def session(store: Store, words: Words) -> Session:
    return Session(store, words, Config(), "tiny", WINDOW)  # type: ignore[arg-type]


def question(number: int, length: int = 8) -> str:
    return " ".join([f"q{number}", *["word"] * (length - 1)])


def send(
    session: Session,
    conversation: Conversation,
    text: str,
    wearing: Wearing | None = None,
    sampling: Sampling = SAMPLING,
) -> list[TurnEvent]:
    return list(session.send(session.store.conversation(conversation.id), text, wearing, sampling))


EXAMPLES = (("How much?", "Two pounds."), ("Open?", "Until five."))


def filled(
    session: Session, turns: int = 4, system: str = "", examples: tuple[tuple[str, str], ...] = ()
) -> Conversation:
    """A conversation of exchanges of 18 tokens each: the fourth one is cut."""
    conversation = session.store.create_conversation(system=system, examples=examples)
    for number in range(turns):
        send(session, conversation, question(number))
    return session.store.conversation(conversation.id)


def left_out(events: list[TurnEvent]) -> list[LeftOut]:
    return [event for event in events if isinstance(event, LeftOut)]


def ended(events: list[TurnEvent]) -> Ended:
    *_, last = events
    assert isinstance(last, Ended)
    return last


def first_asked(words: Words) -> str:
    """The word that begins the newest prompt."""
    return words.asked[-1].messages[0].content.split()[0]


# The cut


def test_the_turn_that_fills_the_window_leaves_the_oldest_out_and_says_so_right_after_it_started(
    session: Session, words: Words
) -> None:
    conversation = filled(session, 3)
    events = send(session, conversation, question(3))
    assert [type(event) for event in events[:2]] == [Started, LeftOut]
    [told] = left_out(events)
    branch = session.store.branch(conversation.id)
    assert told.messages == 4
    assert told.reply.id == branch[-1].id
    assert told.reply.context_start == branch[4].id
    assert told.sentence == "The context was full: the 4 oldest messages are no longer read."
    assert words.asked[-1].messages == tuple(message.turn for message in branch[4:7])
    assert words.count_tokens(words.asked[-1].messages) <= KEPT * WINDOW


def test_one_message_that_is_left_out_is_said_as_one(session: Session) -> None:
    assert LeftOut(replace_of(session), 1).sentence == "The context was full: the oldest message is no longer read."
    assert "1,234 oldest messages are" in LeftOut(replace_of(session), 1234).sentence


def replace_of(session: Session) -> Message:
    conversation = session.store.create_conversation()
    return session.store.add_message(conversation.id, Role.USER, "x", parent=None)


def test_the_cut_is_kept_with_the_reply_and_holds_in_another_program(
    session: Session, words: Words, database: Path
) -> None:
    conversation = filled(session)
    branch = session.store.branch(conversation.id)
    session.store.close()
    with Store.open(database) as again:
        assert [each.context_start for each in again.branch(conversation.id)] == [*[None] * 7, branch[4].id]
        other = Session(again, words, Config(), "tiny", WINDOW)  # type: ignore[arg-type]
        events = send(other, conversation, question(4, 4))
        assert left_out(events) == []
        assert ended(events).left_out == 4
        assert first_asked(words) == "q2"
        assert again.branch(conversation.id)[-1].context_start == branch[4].id


def test_it_is_told_once_for_each_cut_and_each_reply_knows_how_much_was_left_out(
    session: Session, words: Words
) -> None:
    conversation = session.store.create_conversation()
    told, out, begun = [], [], []
    for number in range(12):
        events = send(session, conversation, question(number))
        told.append([each.messages for each in left_out(events)])
        out.append(ended(events).left_out)
        begun.append(first_asked(words))
    cuts = [number for number in range(1, 12) if begun[number] != begun[number - 1]]
    assert cuts == [3, 5, 7, 9, 11], "with 60 % left a turn more goes before it is full again"
    assert [number for number, each in enumerate(told) if each] == cuts
    assert [each[0] for each in told if each] == [out[number] for number in cuts]
    assert out == [2 * int(begin[1:]) for begin in begun]


def test_nothing_is_told_and_nothing_kept_where_everything_fits(session: Session) -> None:
    conversation = session.store.create_conversation()
    events = send(session, conversation, question(0))
    assert left_out(events) == []
    assert ended(events).left_out == 0
    assert session.store.branch(conversation.id)[-1].context_start is None


def test_the_system_prompt_stays_after_every_cut(session: Session, words: Words) -> None:
    filled(session, 9, system="Be brief.")
    for request in words.asked:
        assert request.messages[0] == Turn(Role.SYSTEM, "Be brief.")
        assert [turn.role for turn in request.messages].count(Role.SYSTEM) == 1
        assert request.messages[1].role is Role.USER


def test_a_retry_reads_what_the_first_try_read(session: Session, words: Words) -> None:
    conversation = filled(session)
    before = words.asked[-1]
    for _ in range(2):
        events = list(session.retry(session.store.conversation(conversation.id), None, SAMPLING))
        assert words.asked[-1] == before
        assert ended(events).left_out == 4
    answers = session.store.siblings(session.store.branch(conversation.id)[-1].id)
    assert len({answer.context_start for answer in answers}) == 1


def test_another_branch_reads_from_its_own_beginning(session: Session, words: Words) -> None:
    conversation = filled(session)
    branch = session.store.branch(conversation.id)
    session.store.update_conversation(conversation.id, head=branch[1].id)
    events = send(session, conversation, question(9))
    assert left_out(events) == []
    assert first_asked(words) == "q0"
    session.store.update_conversation(conversation.id, head=branch[-1].id)
    send(session, conversation, question(10, 2))
    assert first_asked(words) == "q2"


def test_another_base_reads_from_the_beginning(session: Session, words: Words) -> None:
    conversation = filled(session)
    events = send(replace(session, base="other", window=1000), conversation, question(4))
    assert left_out(events) == []
    assert ended(events).left_out == 0
    assert first_asked(words) == "q0"
    events = send(session, conversation, question(5, 2))
    assert first_asked(words) > "q2", "the first one is where it was, or further"


def test_an_answer_the_person_wrote_later_does_not_bring_back_what_was_left_out(session: Session, words: Words) -> None:
    conversation = filled(session)
    send(session, conversation, question(4, 2))
    session.store.edit_answer(session.store.branch(conversation.id)[-1].id, "Short.")
    events = send(session, conversation, "q5")
    assert first_asked(words) == "q2"
    assert left_out(events) == []


def test_while_a_reply_is_made_its_row_says_where_the_prompt_begins(session: Session) -> None:
    """What the person looks at meanwhile: the mark does not go and come back."""
    conversation = filled(session)
    cut = session.store.branch(conversation.id)[-1].context_start
    assert cut is not None
    turn = session.send(conversation, "q4", None, SAMPLING)
    started = next(turn)
    assert isinstance(started, Started)
    assert started.reply.context_start == cut
    assert start_of(session.store.branch(conversation.id), "tiny") == cut
    turn.close()  # type: ignore[attr-defined]
    stopped = session.store.branch(conversation.id)[-1]
    assert (stopped.status, stopped.context_start) == (Status.STOPPED, cut)


def test_a_turn_that_failed_before_it_was_counted_does_not_hide_the_cut(session: Session, words: Words) -> None:
    conversation = filled(session)
    words.error = EngineError("It died.")
    with pytest.raises(EngineError):
        send(session, conversation, "q4")
    words.error = None
    events = send(session, conversation, "q5")
    assert left_out(events) == []
    assert first_asked(words) == "q2"
    assert ended(events).left_out == 4


def test_a_message_too_long_for_the_window_takes_everything_back(session: Session, words: Words) -> None:
    conversation = filled(session)
    before, asked = session.store.messages(conversation.id), len(words.asked)
    with pytest.raises(RefusedError, match=r"61 tokens .* 60"):
        send(session, conversation, question(4, 60))
    assert session.store.messages(conversation.id) == before
    assert session.store.conversation(conversation.id) == replace(
        conversation, updated_at=session.store.conversation(conversation.id).updated_at
    )
    assert len(words.asked) == asked, "the engine need not be asked"
    events = send(session, conversation, "q5")
    assert left_out(events) == []
    assert first_asked(words) == "q2"


def test_a_first_message_too_long_leaves_no_conversation(session: Session) -> None:
    with pytest.raises(RefusedError, match=r"61 tokens .* 60"):
        send(session, session.store.create_conversation(), question(0, 60))
    assert session.store.conversations() == []


def test_a_message_that_fits_alone_is_answered_alone(session: Session, words: Words) -> None:
    conversation = filled(session)
    events = send(session, conversation, question(4, 58))
    assert [turn.content.split()[0] for turn in words.asked[-1].messages] == ["q4"]
    assert [told.messages for told in left_out(events)] == [8]


# What is read ahead


def adapter(system_prompt: str) -> Wearing:
    manifest = Manifest(name="bot", chat=ChatSettings(system_prompt=system_prompt))
    manifest = replace(manifest, weights=replace(manifest.weights, sha256="ab" * 32))
    return Wearing(Adapter("bot", Path("/adapters/bot"), "user", "", 8, 100, 400, ("q_proj",), manifest), 0.5)


def after_a_failure(session: Session) -> Conversation:
    conversation = filled(session, 1)
    words = session.engine
    assert isinstance(words, Words)
    answer, words.answer = words.answer, ""
    send(session, conversation, question(1, 3))
    words.answer = answer
    return session.store.conversation(conversation.id)


STATES: dict[str, Callable[[Session], Conversation]] = {
    "new": lambda session: session.store.create_conversation(),
    "new with a system prompt": lambda session: session.store.create_conversation(system="Be brief."),
    "new with a preset": lambda session: session.store.create_conversation(preset="shop", examples=EXAMPLES),
    "after a cut with a preset": lambda session: filled(session, 3, "Be brief.", EXAMPLES),
    "after an answer": lambda session: filled(session, 1),
    "after an answer with a system prompt": lambda session: filled(session, 1, "Be brief."),
    "after an answer that never came": after_a_failure,
    "nearly full": lambda session: filled(session, 2),
    "after a cut": lambda session: filled(session, 4),
    "after a cut with a system prompt": lambda session: filled(session, 4, "Be brief."),
    "after a second cut": lambda session: filled(session, 6),
}


@pytest.mark.parametrize("worn", [None, "", "You are a bot."], ids=["base", "adapter", "adapter with a system prompt"])
@pytest.mark.parametrize("state", STATES)
def test_what_is_read_ahead_is_a_beginning_of_what_is_asked_next(
    session: Session, words: Words, state: str, worn: str | None
) -> None:
    conversation = STATES[state](session)
    wearing = None if worn is None else adapter(worn)
    counted: list[int] = []
    before = session.store.messages(conversation.id)
    assert session.prefill(conversation, wearing, SAMPLING, counted=counted.append) == 4711
    assert session.store.messages(conversation.id) == before, "nobody said anything"
    [(prepared, prepared_for)] = words.prepared
    assert counted == ([words.count_tokens(prepared)] if before else [])
    send(session, conversation, "And", wearing)
    asked = words.asked[-1]
    assert prepared == asked.messages[:-1]
    assert prepared_for == asked.adapter


def test_a_conversation_that_is_not_begun_yet_is_read_ahead_as_the_one_that_will_be(store: Store, words: Words) -> None:
    session = Session(store, words, Config(system="Be kind."), "tiny", WINDOW)  # type: ignore[arg-type]
    for wearing, system in ((None, "Be kind."), (adapter(""), "Be kind."), (adapter("A bot."), "A bot.")):
        session.prefill(None, wearing, SAMPLING)
        assert words.prepared[-1] == ((Turn(Role.SYSTEM, system),), wearing and wearing.worn)
    assert store.conversations() == []


def test_a_full_conversation_is_read_ahead_from_where_the_next_turn_begins(session: Session, words: Words) -> None:
    conversation = filled(session, 3)
    words.answer = "word " * 24
    send(session, conversation, question(3))
    words.prepared.clear()
    context = session.context(session.store.conversation(conversation.id), None, SAMPLING)
    session.prefill(session.store.conversation(conversation.id), None, SAMPLING)
    [(prepared, _)] = words.prepared
    assert prepared == context.messages
    assert context.tokens <= KEPT * WINDOW
    send(session, conversation, "q4")
    assert words.asked[-1].messages[:-1] == prepared


def test_an_answer_that_filled_the_window_is_no_reason_to_refuse(session: Session, words: Words) -> None:
    """Nobody wrote a message that could be shortened."""
    words.answer = "word " * 80
    conversation = filled(session, 1)
    context = session.context(conversation, None, SAMPLING)
    assert (context.tokens, context.left_out) == (90, 0)
    assert session.prefill(conversation, None, SAMPLING) == 4711
    send(session, conversation, "q1")
    assert [turn.content for turn in words.asked[-1].messages] == ["q1"]


def test_the_count_comes_before_the_reading(session: Session, words: Words) -> None:
    conversation = filled(session, 1)
    read: list[int] = []
    session.prefill(conversation, None, SAMPLING, counted=lambda tokens: read.append(len(words.prepared)))
    assert read == [0]
    assert len(words.prepared) == 1


def test_reading_ahead_passes_its_cancel_on(session: Session, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(_messages: object, _adapter: object, cancel: threading.Event) -> int:
        cancel.set()
        return 1

    monkeypatch.setattr(words, "prepare", prepare)
    cancel = threading.Event()
    session.prefill(None, None, SAMPLING, cancel)
    assert cancel.is_set()


def spoken(session: Session, conversation: Conversation, choose: random.Random) -> Ended:
    """One more turn of words that the tiny base knows."""
    vocabulary = ["who", "are", "you", "where", "is", "your", "shop", "what", "the", "weather"]
    return ended(send(session, conversation, " ".join(choose.choices(vocabulary, k=choose.randrange(3, 40)))))


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_opt"])
def test_on_a_real_base_the_next_reply_reads_nothing_that_was_read_ahead(
    request: pytest.FixtureRequest, name: str, store: Store, tmp_path: Path
) -> None:
    base: InstalledBase = request.getfixturevalue(name)
    engine = LocalEngine(base, Kept(tmp_path / "kept", request.config.cache.mkdir("kernels")))
    session = Session(store, engine, Config(), base.name, 160)
    conversation, choose, cuts, reused = store.create_conversation(system="Be brief and kind."), random.Random(3), 0, 0
    try:
        for _ in range(14):
            before = start_of(store.branch(conversation.id), base.name)
            expected = session.context(store.conversation(conversation.id), None, SAMPLING)
            tokens = session.prefill(store.conversation(conversation.id), None, SAMPLING)
            done = spoken(session, conversation, choose)
            cuts += done.reply.context_start != before
            assert done.finished.prompt_tokens < 160
            store.update_message(done.reply.id, content="I am an AI language model.")  # a tiny base may say nothing
            if done.reply.context_start == expected.start:
                assert done.finished.cached_tokens == tokens
                reused += 1
    finally:
        engine.close()
    assert cuts > 1
    assert reused > 4


def test_reading_ahead_never_starts_an_engine_process(store: Store, tiny_llama: InstalledBase, tmp_path: Path) -> None:
    engine: Engine = ProcessEngine(tiny_llama, Kept(tmp_path, tmp_path), tmp_path / "logs")
    conversation = store.create_conversation(system="Be brief.")
    store.add_message(conversation.id, Role.USER, "Hello", parent=None)
    session = Session(store, engine, Config(), tiny_llama.name, 512)
    for open_one in (None, store.conversation(conversation.id)):
        with pytest.raises(EngineError, match="not running"):
            session.prefill(open_one, None, SAMPLING)
        assert isinstance(engine, ProcessEngine)
        assert engine.state == "stopped"
    engine.close()


def test_an_edited_answer_keeps_the_cut_of_the_one_it_replaces(store: Store, session: Session) -> None:
    conversation = store.create_conversation()
    while True:
        events = list(session.send(store.conversation(conversation.id), "one two three four", None, SAMPLING))
        if any(isinstance(event, LeftOut) for event in events):
            break
    cut = store.branch(conversation.id)[-1]
    assert cut.context_start is not None
    store.edit_answer(cut.id, "what I wanted")
    branch = store.branch(conversation.id)
    assert start_of(branch, session.base) == cut.context_start


# Presets


def opening(system: str = "") -> tuple[Turn, ...]:
    said = [(Role.SYSTEM, system)] if system else []
    for asked, answer in EXAMPLES:
        said += [(Role.USER, asked), (Role.ASSISTANT, answer)]
    return tuple(Turn(role, text) for role, text in said)


def test_examples_stand_behind_the_system_prompt_and_before_what_is_said_also_after_a_cut(
    session: Session, words: Words
) -> None:
    conversation = filled(session, 3, "Be brief.", EXAMPLES)
    said = session.store.branch(conversation.id)
    assert all(asked.messages[:5] == opening("Be brief.") for asked in words.asked)
    assert words.asked[0].messages[5:] == (said[0].turn,)
    assert words.asked[-1].messages[5:] == (said[4].turn,), "there is room for no other exchange"
    assert [message.role for message in said] == [Role.USER, Role.ASSISTANT] * 3, "they are no messages"


def test_a_preset_chosen_later_stands_before_everything_from_the_next_turn_on(session: Session, words: Words) -> None:
    conversation = filled(session, 1)
    session.store.update_conversation(conversation.id, preset="shop", examples=EXAMPLES)
    send(session, conversation, "And")
    assert words.asked[-1].messages[:5] == (*opening(), words.asked[0].messages[0])


def test_a_preset_and_an_adapter_both_hold(session: Session, words: Words) -> None:
    conversation = session.store.create_conversation(preset="shop", examples=EXAMPLES)
    wearing = adapter("A bot.")
    assert session.opening(conversation, wearing) == opening("A bot.")
    own = session.store.update_conversation(conversation.id, system="Be brief.")
    assert session.opening(own, wearing) == opening("Be brief.")
    send(session, own, "And", wearing)
    assert words.asked[-1].messages == (*opening("Be brief."), Turn(Role.USER, "And"))
    assert words.asked[-1].adapter == wearing.worn
    assert session.opening(None, wearing) == (Turn(Role.SYSTEM, "A bot."),)


def test_a_draft_and_a_retry_begin_with_it_too(session: Session, words: Words) -> None:
    conversation = filled(session, 1, "", EXAMPLES)
    asked, _ = session.store.branch(conversation.id)
    list(session.draft(asked, None, SAMPLING))
    list(session.retry(conversation, None, SAMPLING))
    assert words.asked[0].messages == words.asked[1].messages == words.asked[2].messages == (*opening(), asked.turn)


def test_a_message_that_finds_no_room_behind_a_preset_is_refused_and_the_conversation_keeps_it(
    session: Session, words: Words
) -> None:
    conversation = session.store.create_conversation(preset="shop", examples=EXAMPLES)
    with pytest.raises(RefusedError, match="The preset shop and this message make a prompt of 63 tokens"):
        send(session, conversation, question(0, 51))
    assert session.store.conversation(conversation.id).examples == EXAMPLES
    assert not session.store.messages(conversation.id)
    assert not words.asked
