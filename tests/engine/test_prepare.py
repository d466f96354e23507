"""What is read ahead: the next reply finds it and never tells, and it stands in nobody's way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine import local
from lora_chat.engine.decode import choose
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.floor import Floor
from lora_chat.engine.kept import Kept
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import StopAsked
from tests.engine.conftest import GREEDY, QUESTION, Two, ask, finish, is_one_sentence, make_adapter, user, wait_until

Turns = tuple[Turn, ...]

SYSTEM = (Turn(Role.SYSTEM, "You are brief, and what you say is kind."),)
ANSWERED = (*user(QUESTION), Turn(Role.ASSISTANT, "I am an AI language model."))
LONG = (*user(" ".join([QUESTION] * 3)), Turn(Role.ASSISTANT, "Our shop is at 12 Harbour Street. " * 2))
BEGINNINGS = {
    "a system prompt": SYSTEM,
    "an answer": ANSWERED,
    "a system prompt and an answer": SYSTEM + ANSWERED,
    "a long conversation": SYSTEM + LONG,
}
KINDS = ["local", "process", "echo"]


def make(kind: str, base: InstalledBase, kept: Kept, logs: Path) -> Engine:
    if kind == "local":
        return LocalEngine(base, kept)
    return EchoEngine(base) if kind == "echo" else ProcessEngine(base, kept, logs)


@pytest.fixture(scope="module", params=KINDS)
def engine(
    request: pytest.FixtureRequest, tiny_llama: InstalledBase, kept: Kept, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    engine = make(request.param, tiny_llama, kept, tmp_path_factory.mktemp("logs"))
    engine.load()
    yield engine
    engine.close()


@dataclass(frozen=True)
class Said:
    text: str
    done: Finished


def say(engine: Engine, messages: Turns, adapter: Worn | None = None, sampling: Sampling = GREEDY) -> Said:
    chunks = list(engine.generate(Request(messages, adapter, sampling)))
    return Said("".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)), finish(iter(chunks)))


def went_on(messages: Turns, question: str = "And the weather?") -> Turns:
    return (*messages, Turn(Role.USER, question))


# What every engine keeps


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_next_reply_does_not_read_what_was_prepared(
    engine: Engine, adapters: list[Worn], tiny_llama: InstalledBase, kept: Kept, tmp_path: Path, beginning: str
) -> None:
    messages = BEGINNINGS[beginning]
    for number, worn in enumerate((None, adapters[0])):
        asked = went_on(messages, f"{number} and the weather?")
        tokens = engine.prepare(messages, worn)
        assert 0 < tokens <= engine.count_tokens(asked)
        said = say(engine, asked, worn)
        assert said.done.cached_tokens == (0 if isinstance(engine, EchoEngine) else tokens)
        fresh = make("echo" if isinstance(engine, EchoEngine) else "local", tiny_llama, kept, tmp_path)
        assert said.text == say(fresh, asked, worn).text
        fresh.close()


def test_preparing_again_or_from_a_conversation_nobody_began_is_fine(engine: Engine) -> None:
    assert engine.prepare(ANSWERED) == engine.prepare(ANSWERED) > engine.prepare(()) >= 0
    assert ask(engine) == ask(engine)


def test_a_question_without_an_answer_is_prepared_for_its_retry(engine: Engine) -> None:
    asked = user(QUESTION + " again")
    assert engine.prepare(asked) == engine.count_tokens(asked)
    done = say(engine, asked).done
    assert done.cached_tokens == (0 if isinstance(engine, EchoEngine) else done.prompt_tokens - 1)


def test_a_conversation_longer_than_the_window_is_counted_and_a_reply_need_not_end_for_it(
    engine: Engine, tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    long = (*user("weather " * 600), Turn(Role.ASSISTANT, "Sorry."))
    unfit = make_adapter(tmp_path / "stranger", tiny_opt, 5)
    running = engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=300)))
    next(running)
    with ThreadPoolExecutor(1) as other:
        ahead = [other.submit(engine.prepare, long, worn) for worn in (None, unfit)]
        try:
            assert all(each.result(20) >= 512 for each in ahead)
        finally:
            running.close()  # type: ignore[attr-defined]
    assert ask(engine)


def test_an_adapter_that_does_not_fit_or_is_gone_is_refused_as_by_a_reply(
    engine: Engine, tiny_llama: InstalledBase, tiny_opt: InstalledBase, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError) as refused:
        engine.prepare(ANSWERED, make_adapter(tmp_path / "stranger", tiny_opt, 5))
    lost, edited = (make_adapter(tmp_path / name, tiny_llama, seed) for seed, name in enumerate(("lost", "edited")))
    shutil.rmtree(lost.folder)
    with pytest.raises(NotFoundError, match="lost") as gone:
        engine.prepare(ANSWERED, lost)
    assert engine.prepare(ANSWERED, edited)
    other = make_adapter(tmp_path / "other", tiny_llama, 9)
    shutil.copy(other.folder / "adapter_model.safetensors", edited.folder / "adapter_model.safetensors")
    with pytest.raises(RefusedError, match="edited") as changed:
        engine.prepare(ANSWERED, edited)
    assert all(is_one_sentence(caught.value) for caught in (refused, gone, changed))
    assert ask(engine)


def test_preparing_that_was_cancelled_before_it_began_still_counts(engine: Engine) -> None:
    cancel = threading.Event()
    cancel.set()
    asked = (*user("Nobody else asks this at all, or ever did"), Turn(Role.ASSISTANT, "No."))
    assert engine.prepare(asked, None, cancel) == engine.prepare(asked)


def test_replies_and_preparings_of_several_threads_do_not_mix(engine: Engine, adapters: list[Worn]) -> None:
    worn: list[Worn | None] = [None, *adapters]
    short = replace(GREEDY, max_tokens=8)
    alone = [say(engine, went_on(ANSWERED), each, short).text for each in worn]
    with ThreadPoolExecutor(8) as pool:
        ahead = [pool.submit(engine.prepare, ANSWERED, each) for each in worn * 4]
        replies = [pool.submit(say, engine, went_on(ANSWERED), each, short) for each in worn * 4]
        assert [reply.result(60).text for reply in replies] == alone * 4
        assert len({each.result(60) for each in ahead}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_after_close_nothing_is_prepared(kind: str, tiny_llama: InstalledBase, kept: Kept, tmp_path: Path) -> None:
    engine = make(kind, tiny_llama, kept, tmp_path)
    engine.close()
    with pytest.raises(EngineError, match="closed") as caught:
        engine.prepare(ANSWERED)
    assert is_one_sentence(caught.value)


# In a process of its own


def test_preparing_starts_no_process(tiny_llama: InstalledBase, kept: Kept, tmp_path: Path) -> None:
    engine = ProcessEngine(tiny_llama, kept, tmp_path)
    try:
        with pytest.raises(EngineError, match="not running") as caught:
            engine.prepare(ANSWERED)
        assert is_one_sentence(caught.value)
        assert (engine.state, engine.pid) == ("stopped", None)
        engine.load()
        assert engine.prepare(ANSWERED) > 0
        assert engine.pid is not None
        os.kill(engine.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        wait_until(lambda: engine.state == "died")
        with pytest.raises(EngineError, match="not running"):
            engine.prepare(ANSWERED)
        assert engine.state == "died"
        assert ask(engine), "the next message starts it"
    finally:
        engine.close()


def test_a_reply_in_another_process_does_not_wait_for_what_is_prepared(
    tiny_llama: InstalledBase, kept: Kept, tmp_path: Path
) -> None:
    engine = ProcessEngine(tiny_llama, kept, tmp_path)
    try:
        engine.load()
        expected = say(engine, went_on(LONG)).text
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                cancel = threading.Event()
                ahead = pool.submit(engine.prepare, SYSTEM + LONG, None, cancel)
                assert say(engine, went_on(LONG)).text == expected
                cancel.set()
                assert ahead.result(20) > 100
    finally:
        engine.close()


# In this process, whichever way it decodes


@dataclass(frozen=True)
class Setting:
    """A base decoded one way, an engine on it, another one that remembers nothing, and adapters."""

    engine: LocalEngine
    other: LocalEngine
    adapters: list[Worn]

    def fresh(self, messages: Turns, adapter: Worn | None = None, sampling: Sampling = GREEDY) -> Said:
        """What an engine says that remembers nothing."""
        self.other._load().prompts.forget()
        said = say(self.other, messages, adapter, sampling)
        assert said.done.cached_tokens == 0
        return said


@pytest.fixture
def setting(two: Two, tmp_path: Path) -> Setting:
    adapters = [make_adapter(tmp_path / each, two.base, seed) for seed, each in enumerate(("red", "green", "blue"))]
    return Setting(two.engine, two.other, adapters)


SHORT = replace(GREEDY, max_tokens=6)


def logits_of(call: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What each token of the reply that ``call`` makes was chosen from."""
    seen: list[torch.Tensor] = []

    def look(logits: torch.Tensor, *rest: object) -> int:
        seen.append(logits.float().clone())
        return choose(logits, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(local, "choose", look)
        call()
    return seen


@pytest.mark.parametrize("chunk", [7, 16, 128])
@pytest.mark.parametrize("wears", [False, True])
def test_a_prepared_reply_is_chosen_from_the_same_logits(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, chunk: int, wears: bool
) -> None:
    monkeypatch.setattr(local, "AHEAD_CHUNK", chunk)
    adapter = setting.adapters[0] if wears else None
    messages = SYSTEM + ANSWERED
    asked = went_on(messages)
    expected = logits_of(lambda: setting.fresh(asked, adapter, SHORT), monkeypatch)
    tokens = setting.engine.prepare(messages, adapter)
    found = logits_of(lambda: say(setting.engine, asked, adapter, SHORT), monkeypatch)
    assert len(found) == len(expected)
    largest = max(float(each.abs().max()) for each in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * largest)
        assert int(one.argmax()) == int(other.argmax())
    assert tokens > chunk or chunk == 128


def test_what_was_prepared_for_one_adapter_or_scale_serves_no_other(setting: Setting) -> None:
    red = setting.adapters[0]
    worn: list[Worn | None] = [None, *setting.adapters, replace(red, scale=0.5), replace(red, scale=0.0)]
    for prepared in worn:
        setting.engine._load().prompts.forget()
        tokens = setting.engine.prepare(ANSWERED, prepared)
        for asking in worn:
            if asking != prepared:
                said = say(setting.engine, went_on(ANSWERED), asking, SHORT)
                assert said.done.cached_tokens == 0
                assert said.text == setting.fresh(went_on(ANSWERED), asking, SHORT).text
        assert say(setting.engine, went_on(ANSWERED), prepared, SHORT).done.cached_tokens == tokens


def test_what_is_prepared_twice_is_read_once(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    setting.engine.prepare(LONG)
    read: list[int] = []
    whole = local.read

    def look(context, ids, check, most):  # type: ignore[no-untyped-def]
        read.append(len(ids) - len(context.ids))
        return whole(context, ids, check, most)

    monkeypatch.setattr(local, "read", look)
    setting.engine.prepare(LONG)
    assert read == [1]


def test_the_first_letters_of_a_prompt_are_not_worth_keeping_but_do_no_harm(setting: Setting) -> None:
    tokens = setting.engine.prepare(())
    said = say(setting.engine, user(QUESTION), None, SHORT)
    assert said.done.cached_tokens in (0, tokens)
    assert said.text == setting.fresh(user(QUESTION), None, SHORT).text


def test_a_conversation_longer_than_the_window_leaves_nothing_in_memory(setting: Setting) -> None:
    long = (*user("weather " * 600), Turn(Role.ASSISTANT, "Sorry."))
    assert setting.engine.prepare(long) >= setting.engine.load().context_window
    assert setting.engine._load().prompts._kept == []


# Giving way


class Hook:
    """Does something once, at one of the checks an engine makes; then knows whether that very check ended the work."""

    def __init__(self, engine: LocalEngine, at: int, action: Callable[[], object]) -> None:
        self.calls = 0
        self.after = 0
        """Checks made by the same thread after it."""
        self.stopped = False
        self._at, self._action, self._check = at, action, engine._check_reply
        self._thread = threading.current_thread()

    def __call__(self) -> None:
        if threading.current_thread() is not self._thread:
            self._check()
            return
        self.calls += 1
        self.after += self.calls > self._at
        if self.calls == self._at:
            self._action()
        try:
            self._check()
        except StopAsked:
            self.stopped = True
            raise


def waits(engine: LocalEngine) -> bool:
    """Whether a reply wants the floor."""
    return engine._floor._wanting > 0


CHUNK = 16
CHECKS = [1, 2, 3, 6, 9]
"""Before anything is read, inside the first chunk, later."""


@pytest.mark.parametrize("at", CHECKS)
def test_a_reply_ends_the_preparing_at_its_next_check_and_goes_on_from_what_was_read(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(local, "AHEAD_CHUNK", CHUNK)
    engine, replies = setting.engine, list[Future[Said]]()
    with ThreadPoolExecutor(1) as pool:

        def reply_comes() -> None:
            replies.append(pool.submit(say, engine, went_on(LONG), None, SHORT))
            wait_until(lambda: waits(engine))

        hook = Hook(engine, at, reply_comes)
        monkeypatch.setattr(engine, "_check_reply", hook)
        tokens = engine.prepare(LONG)
        said = replies[0].result(30)
    assert hook.stopped
    assert hook.after == 0
    cached = said.done.cached_tokens
    assert cached % CHUNK == 0
    assert cached < tokens
    assert cached > 0 or at < CHECKS[-1]
    assert said.text == setting.fresh(went_on(LONG), None, SHORT).text
    assert engine.prepare(LONG) == tokens, "then it is whole"


@pytest.mark.parametrize("at", CHECKS)
def test_a_cancel_ends_the_preparing_at_its_next_check_and_keeps_what_was_read(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(local, "AHEAD_CHUNK", CHUNK)
    cancel = threading.Event()
    hook = Hook(setting.engine, at, cancel.set)
    with monkeypatch.context() as patch:
        patch.setattr(setting.engine, "_check_reply", hook)
        tokens = setting.engine.prepare(LONG, setting.adapters[0], cancel)
    assert hook.stopped
    assert hook.after == 0
    said = say(setting.engine, went_on(LONG), setting.adapters[0], SHORT)
    assert said.done.cached_tokens % CHUNK == 0
    assert said.done.cached_tokens < tokens
    assert said.done.cached_tokens > 0 or at < CHECKS[-1]
    assert said.text == setting.fresh(went_on(LONG), setting.adapters[0], SHORT).text


def test_preparing_that_is_cancelled_while_it_waits_for_a_reply_ends(setting: Setting) -> None:
    running = setting.engine.generate(Request(user("Sorry?"), None, replace(GREEDY, max_tokens=100)))
    next(running)
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(setting.engine.prepare, LONG, None, cancel)
        cancel.set()
        assert waiting.result(20) > 0
    running.close()  # type: ignore[attr-defined]
    assert say(setting.engine, went_on(LONG), None, SHORT).done.cached_tokens < 16


def test_preparing_that_nobody_wants_any_more_reads_no_adapter(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = threading.Event()
    cancel.set()
    monkeypatch.setattr(setting.engine._load().wardrobe, "dress", lambda adapter: pytest.fail("it was dressed"))
    assert setting.engine.prepare(LONG, setting.adapters[0], cancel) > 0


def test_preparing_does_not_give_way_to_preparing_and_both_are_found(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "AHEAD_CHUNK", CHUNK)
    engine, others = setting.engine, list[Future[int]]()
    red = setting.adapters[0]
    with ThreadPoolExecutor(1) as pool:
        hook = Hook(engine, 2, lambda: others.append(pool.submit(engine.prepare, LONG, red)))
        monkeypatch.setattr(engine, "_check_reply", hook)
        tokens = engine.prepare(LONG)
        assert others[0].result(30) == tokens
    assert not hook.stopped
    for worn in (None, red):
        said = say(engine, went_on(LONG), worn, SHORT)
        assert said.done.cached_tokens == tokens
        assert said.text == setting.fresh(went_on(LONG), worn, SHORT).text


def test_a_reply_after_one_that_was_cancelled_in_the_queue_does_not_leave_preparing_without_a_floor(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited and went away no longer wants it."""
    monkeypatch.setattr(local, "AHEAD_CHUNK", CHUNK)
    engine, cancel = setting.engine, threading.Event()
    running = engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=100)))
    next(running)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: finish(engine.generate(Request(user(QUESTION), None, GREEDY), cancel)))
        wait_until(lambda: waits(engine))
        cancel.set()
        assert waiting.result(20).reason == "cancelled"
    running.close()  # type: ignore[attr-defined]
    tokens = engine.prepare(LONG)
    assert say(engine, went_on(LONG), None, SHORT).done.cached_tokens == tokens


def test_preparing_that_fails_leaves_the_floor_and_says_so(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = setting.fresh(went_on(LONG), None, SHORT)

    def broken(*_: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(local, "read", broken)
        with pytest.raises(EngineError, match="MemoryError") as caught:
            setting.engine.prepare(LONG)
    assert is_one_sentence(caught.value)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(say, setting.engine, went_on(LONG), None, SHORT).result(30).text == expected.text


# The floor


def test_a_training_waits_while_something_is_read_ahead_and_does_not_end_it() -> None:
    floor, stop = Floor(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with floor.take(None, gives_way=True):
            training = pool.submit(floor.check_training, stop)
            with pytest.raises(TimeoutError):
                training.result(0.2)
            floor.check_reply()
        training.result(20)


def test_a_training_that_waits_for_what_is_read_ahead_can_be_stopped() -> None:
    floor, stop = Floor(), threading.Event()
    with ThreadPoolExecutor(1) as pool, floor.take(None, gives_way=True):
        training = pool.submit(floor.check_training, stop)
        stop.set()
        with pytest.raises(StopAsked):
            training.result(20)


def test_a_reply_never_gives_way_not_even_after_somebody_who_did() -> None:
    floor = Floor()
    with floor.take(None, gives_way=True):
        pass
    cancel = threading.Event()

    def take() -> bool:
        with floor.take(cancel):
            return True

    with ThreadPoolExecutor(1) as pool:
        with floor.take(None):
            other = pool.submit(take)
            wait_until(lambda: floor._wanting > 0)
            floor.check_reply()
        assert other.result(20)
        assert floor._wanting == 0


# Whatever comes in whatever order

TALKS = (SYSTEM, ANSWERED, SYSTEM + ANSWERED, LONG)
QUESTIONS = ("And the weather?", "Where is your shop?", QUESTION)
VERY_SHORT = replace(GREEDY, max_tokens=4)


@pytest.mark.parametrize("seed", [1, 2])
def test_100_steps_of_preparing_and_replying_over_three_adapters_say_what_fresh_engines_say(
    setting: Setting, seed: int
) -> None:
    draw = random.Random(seed)
    worn: list[Worn | None] = [None, *setting.adapters]
    ahead: tuple[Turns, Worn | None, int] | None = None
    expected: dict[tuple[Turns, int], str] = {}
    for _ in range(100):
        who, talk = draw.randrange(4), draw.choice(TALKS)
        if draw.random() < 0.5:
            ahead = talk, worn[who], setting.engine.prepare(talk, worn[who])
            continue
        if ahead is not None and draw.random() < 0.5:
            talk, who = ahead[0], worn.index(ahead[1])
        asked = went_on(talk, draw.choice(QUESTIONS))
        if (asked, who) not in expected:
            expected[asked, who] = setting.fresh(asked, worn[who], VERY_SHORT).text
        said = say(setting.engine, asked, worn[who], VERY_SHORT)
        assert said.text == expected[asked, who]
        if ahead is not None and ahead[:2] == (talk, worn[who]):
            assert said.done.cached_tokens >= ahead[2]
    assert len(set(expected.values())) > 5


def test_100_replies_beside_as_many_preparings_say_what_fresh_engines_say(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "AHEAD_CHUNK", 8)
    draw = random.Random(7)
    worn: list[Worn | None] = [None, *setting.adapters]
    wishes = [(went_on(draw.choice(TALKS), draw.choice(QUESTIONS)), draw.randrange(4)) for _ in range(100)]
    expected = {wish: setting.fresh(wish[0], worn[wish[1]], VERY_SHORT).text for wish in dict.fromkeys(wishes)}
    with ThreadPoolExecutor(2) as pool:
        ahead = []
        for asked, who in wishes:
            cancel = threading.Event()
            ahead.append(pool.submit(setting.engine.prepare, draw.choice(TALKS), draw.choice(worn), cancel))
            if draw.random() < 0.3:
                cancel.set()
            assert say(setting.engine, asked, worn[who], VERY_SHORT).text == expected[asked, who]
        assert all(each.result(60) > 0 for each in ahead)
