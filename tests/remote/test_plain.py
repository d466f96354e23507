"""Any other OpenAI-compatible server: what it does not know is said, never left out in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Request, Sampling, Worn
from lora_chat.errors import EngineError, RefusedError
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import GREEDY, QUESTION, ask, finish, is_one_sentence, make_adapter, user
from tests.remote.conftest import Opened
from tests.remote.fake_server import MODEL, FakeServer
from tests.remote.faults import says, streams

CHAT = "/v1/chat/completions"
Serve = Callable[..., FakeServer]


def test_it_answers_with_openais_own_fields_alone(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    engine = opened(server)
    assert ask(engine, sampling=Sampling(0.7, 0.8, max_tokens=9, seed=3)) != ""
    [body] = server.sent(CHAT)
    assert body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "top_p": 0.8,
        "max_tokens": 9,
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"top_k": 40},
            "top_k (set to 40): write top_k = 0 in config.toml, /set top_k 0 in the chat or --top-k 0 of ask, ",
        ),
        (
            {"repetition_penalty": 1.1},
            "repetition_penalty (set to 1.1): write repetition_penalty = 1.0 in config.toml, "
            "/set repetition_penalty 1.0 in the chat or --repetition-penalty 1.0 of ask, ",
        ),
        (
            {"top_k": 40, "repetition_penalty": 1.1},
            "top_k (set to 40) and no repetition_penalty (set to 1.1): write top_k = 0 and repetition_penalty = 1.0 in "
            "config.toml, /set top_k 0, /set repetition_penalty 1.0 in the chat or --top-k 0 --repetition-penalty 1.0 "
            "of ask, ",
        ),
    ],
)
def test_what_it_does_not_know_is_refused_where_it_was_set(
    serve: Serve, opened: Opened, changed: dict[str, float], words: str
) -> None:
    server = serve("openai")
    with pytest.raises(RefusedError) as caught:
        ask(opened(server), sampling=replace(GREEDY, **changed))  # type: ignore[arg-type]
    assert f"The server at {server.place} has no {words}or write dialect = " in str(caught.value)
    assert is_one_sentence(caught.value)
    assert server.sent(CHAT) == []


def test_more_stop_strings_than_it_takes_hold_all_the_same(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    engine = opened(server)
    whole = ask(engine)
    stop = whole.split()[3]
    sampling = replace(GREEDY, stop=("\0a", "\0b", "\0c", "\0d", stop))
    *_, done = engine.generate(Request(user(QUESTION), None, sampling))
    assert ask(engine, sampling=sampling) == whole[: whole.find(stop)]
    assert finish(iter([done])).reason == "stop"
    assert server.sent(CHAT)[-1]["stop"] == ["\0a", "\0b", "\0c", "\0d"]


def test_it_wears_no_adapters_and_says_so(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve("openai")
    engine = opened(server)
    for call in (lambda: ask(engine, adapter=adapters[0]), lambda: engine.probe(adapters[0])):
        with pytest.raises(RefusedError, match='take "red" off, or write dialect') as caught:
            call()
        assert is_one_sentence(caught.value)
    assert server.sent(CHAT) == []
    assert ask(engine, adapter=replace(adapters[0], scale=0.0)) == ask(engine)


def test_it_cannot_go_on_with_an_answer(serve: Serve, opened: Opened) -> None:
    turns = (*user("Hello"), Turn(Role.ASSISTANT, "Hi"))
    with pytest.raises(RefusedError, match="begins each answer anew") as caught:
        list(opened(serve("openai")).generate(Request(turns, None, GREEDY, continues=True)))
    assert is_one_sentence(caught.value)


def test_servers_that_know_other_fields_are_asked_again_in_their_way(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    other = '{"error": {"message": "Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\' instead."}}'
    server.instead(CHAT, says(400, other), says(400, '{"error": {"message": "stream_options: unknown field"}}'))
    done = finish(opened(server).generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=5))))
    last = server.sent(CHAT)[-1]
    assert last["max_completion_tokens"] == 5
    assert not {"max_tokens", "stream_options"} & last.keys()
    assert (done.reason, done.generated_tokens) == ("length", 5)  # counted by its pieces


def test_a_refusal_that_stays_is_not_asked_for_ever(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    server.instead(CHAT, *[says(400, '{"error": "stream_options and max_completion_tokens"}')] * 9)
    with pytest.raises(RefusedError, match="refuses this"):
        ask(opened(server))
    assert len(server.sent(CHAT)) == 3


def test_tokens_are_guessed_rather_too_many(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    engine = opened(server)
    done = finish(engine.generate(Request(user(QUESTION), None, GREEDY)))
    assert done.prompt_tokens <= engine.count_tokens(user(QUESTION))
    assert engine.count_tokens(user("漢字漢字")) >= 4


def test_the_window_is_the_settings_else_the_bases(serve: Serve, opened: Opened, tiny_llama: InstalledBase) -> None:
    server = serve("openai")
    assert opened(server, context_window=4096).load().context_window == 4096
    assert opened(server).load().context_window == tiny_llama.window


def test_a_server_without_a_list_of_models_is_asked_by_name(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    for _ in range(2):
        server.instead("/v1/models", says(404, '{"error": {"message": "no such route"}}'))
    assert ask(opened(server, dialect="openai", model=MODEL))
    with pytest.raises(EngineError, match="no OpenAI-compatible server"):
        opened(server).load()


def test_a_prompt_that_is_too_long_is_told(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    said = {"error": {"message": "This model's maximum context length is 8 tokens", "code": "context_length_exceeded"}}
    server.instead(CHAT, says(400, json.dumps(said)))
    with pytest.raises(RefusedError, match=r"too long for tiny-llama .*8 tokens") as caught:
        ask(opened(server))
    assert is_one_sentence(caught.value)


def test_an_answer_without_a_single_word_has_its_end(serve: Serve, opened: Opened) -> None:
    server = serve("openai")
    server.instead(CHAT, streams('data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'))
    done = finish(opened(server).generate(Request(user("Hello"), None, GREEDY)))
    assert (done.reason, done.generated_tokens, done.first_token_ms) == ("stop", 0, None)


def test_a_dialect_that_was_named_is_spoken_although_the_list_says_nothing(
    serve: Serve, opened: Opened, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    server = serve("vllm")
    listed = says(200, json.dumps({"data": [{"id": MODEL, "owned_by": "a gate", "max_model_len": 512}]}))
    server.instead("/v1/models", listed)
    engine = opened(server, dialect="vllm")
    assert ask(engine, adapter=make_adapter(tmp_path / "mine", tiny_llama, 5)) != ask(engine)
