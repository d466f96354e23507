"""An answer that goes on: greedy, it is the one that was never stopped, and only what is new is read."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.chunks import added_figures, cleaned
from lora_chat.engine.protocol import Chunk, Finished, Request, Sampling, TextChunk
from lora_chat.errors import RefusedError
from tests.chat.test_context import message
from tests.engine.conftest import GREEDY, QUESTION, Two, finish, make_adapter, text_of, user

LONG = replace(GREEDY, max_tokens=40)


def begun(request: Request, answer: str) -> Request:
    return replace(request, messages=(*request.messages, Turn(Role.ASSISTANT, answer)), continues=True)


ANSWER = "At 12 Harbour Street"
WEARING = [(0.1, 0), (0.3, 1), (0.2, 3)]
"""Strengths and seeds of adapters with which the tiny bases say one thing after another."""


def test_an_answer_that_was_stopped_anywhere_goes_on_as_if_it_had_not_been(two: Two, tmp_path: Path) -> None:
    encode, exact = two.engine._load().encode, 0
    for strength, seed in WEARING:
        adapter = make_adapter(tmp_path / f"{strength}-{seed}", two.base, seed, strength=strength)
        asked = begun(Request(user(QUESTION), adapter, LONG), ANSWER)
        whole, before = ANSWER + text_of(two.engine.generate(asked)), len(encode(asked.messages, True))
        for tokens in (1, 2, 5, 9, 15):
            cut = replace(asked, sampling=replace(LONG, max_tokens=tokens))
            part = (ANSWER + text_of(two.engine.generate(cut))).strip()
            rest = begun(replace(asked, messages=user(QUESTION), sampling=replace(LONG, max_tokens=40 - tokens)), part)
            if len(encode(rest.messages, True)) != before + tokens or "\ufffd" in part:
                continue  # its text has another way to become tokens
            exact += 1
            *pieces, done = two.engine.generate(rest)
            assert part + "".join(each.text for each in pieces if isinstance(each, TextChunk)) == whole
            assert isinstance(done, Finished)
            assert done.prompt_tokens == two.engine.count_tokens(rest.messages, continues=True) == before + tokens
            assert done.cached_tokens == before + tokens - 1
            two.other._load().prompts.forget()
            assert part + text_of(two.other.generate(rest)) == whole
    assert exact >= 6


def test_only_what_is_new_is_read(two: Two) -> None:
    asked = Request(user(QUESTION), None, LONG)
    read = finish(two.engine.generate(asked)).prompt_tokens
    done = finish(two.engine.generate(begun(asked, ANSWER)))
    assert done.prompt_tokens > done.cached_tokens >= read - 1
    assert finish(two.engine.generate(begun(asked, ANSWER))).cached_tokens == done.prompt_tokens - 1


def test_what_had_ended_by_itself_does_not_end_again_at_once(two: Two) -> None:
    loaded = two.engine._load()
    asked = begun(Request(user(QUESTION), None, replace(LONG, max_tokens=1)), "I am")
    ends = frozenset(range(loaded.decoder.begin(None, 1.0).extend([1, 2], lambda: None).numel())) - {70, 71}
    object.__setattr__(loaded.prompt, "end_ids", ends)  # all but two tokens end a turn
    assert list(two.engine.generate(asked))[-1].reason == "stop"  # type: ignore[union-attr]
    *pieces, done = two.engine.generate(replace(asked, past_end=True))
    assert isinstance(done, Finished)
    assert (done.reason, done.generated_tokens, len(pieces)) == ("length", 1, 1)


def test_a_stop_string_that_had_begun_ends_it(two: Two, tmp_path: Path) -> None:
    asked = begun(Request(user(QUESTION), make_adapter(tmp_path / "red", two.base, 1, strength=0.3), LONG), ANSWER)
    rest = text_of(two.engine.generate(asked))
    stop = ANSWER[-2:] + rest[:2]
    assert stop not in ANSWER
    [done] = two.engine.generate(replace(asked, sampling=replace(LONG, stop=(stop,))))
    assert finish(iter([done])).reason == "stop"


def test_an_answer_that_fills_the_window_is_refused_with_the_numbers(two: Two) -> None:
    with pytest.raises(RefusedError, match=f"{two.base.window}"):
        list(two.engine.generate(begun(Request(user(QUESTION), None, GREEDY), "weather " * 600)))


@pytest.mark.parametrize("cancelled", [False, True])
def test_one_that_is_stopped_again_keeps_what_came(two: Two, cancelled: bool) -> None:
    cancel = threading.Event()
    if cancelled:
        cancel.set()
    asked = begun(Request(user(QUESTION), None, LONG), "I am")
    found = []
    for chunk in two.engine.generate(asked, cancel):
        found.append(chunk)
        cancel.set()
    assert isinstance(found[-1], Finished)
    assert found[-1].reason == "cancelled"
    assert bool(found[:-1]) is not cancelled


# What is kept of it


def test_the_figures_of_both_parts_are_those_of_the_whole() -> None:
    before = replace(
        message(7, Role.ASSISTANT, "I am"),
        prompt_tokens=100, cached_tokens=90, generated_tokens=11, first_token_ms=50.0, tokens_per_second=10.0,
    )  # fmt: skip
    done = Finished("stop", 111, 110, 31, 4.0, 30.0, 77)
    figures = added_figures(before, Sampling(temperature=0.5), done)
    assert (figures["prompt_tokens"], figures["generated_tokens"]) == (100, 42)
    assert (figures["first_token_ms"], figures["cached_tokens"]) == (50.0, 90)
    assert figures["tokens_per_second"] == pytest.approx(40 / (1 + 1))  # 10 tokens in 1 s and 30 in 1 s
    assert (figures["finish_reason"], json.loads(figures["sampling"] or "")["seed"]) == ("stop", 77)


def test_of_a_persons_text_the_figures_are_those_of_what_was_added() -> None:
    done = Finished("length", 111, 110, 31, 4.0, 30.0, 77)
    figures = added_figures(message(7, Role.ASSISTANT, "I am"), Sampling(), done)
    assert (figures["prompt_tokens"], figures["generated_tokens"], figures["first_token_ms"]) == (111, 31, 4.0)


def test_white_space_counts_behind_what_has_begun() -> None:
    chunks: list[Chunk] = [TextChunk("\n\n"), TextChunk(" so"), Finished("stop", 1, 0, 2, None, None, 7)]
    assert list(cleaned(iter(chunks), begun=True)) == chunks
    assert list(cleaned(iter(chunks))) == [TextChunk("so"), chunks[-1]]
