"""Adapters on llama-server: found by their files, worn per request, proved; the base is asked for as such."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Request, Sampling, Worn
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from tests.engine.conftest import GREEDY, QUESTION, ask, finish, is_one_sentence, user
from tests.remote.conftest import Opened
from tests.remote.fake_model import WINDOW
from tests.remote.fake_server import FakeServer
from tests.remote.faults import says

CHAT = "/v1/chat/completions"
Serve = Callable[..., FakeServer]


def started(*files: tuple[str, Worn]) -> Callable[[], list[tuple[str, Path]]]:
    """A server's ``--lora`` arguments, each with what it was exported from."""
    return lambda: [(path, worn.folder) for path, worn in files]


def answered(server: FakeServer) -> list[dict[str, Any]]:
    return [body for body in server.sent(CHAT) if body["stream"]]


def test_each_request_names_all_adapters_and_the_base_wears_none(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    red, green, _ = adapters
    server = serve("llama-server", started_with=started(("/x/red.gguf", red), ("green-f16.gguf", green)))
    engine = opened(server)
    both = replace(green, scale=0.5, beside=(replace(red, scale=-2.0),))
    said = [ask(engine), ask(engine, adapter=red), ask(engine, adapter=green), ask(engine, adapter=both)]
    assert len(set(said)) == 4
    scales = [[each["scale"] for each in sorted(body["lora"], key=lambda e: e["id"])] for body in answered(server)]
    assert scales == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-2.0, 0.5]]


def test_the_prompt_is_read_anew_on_a_switch_alone(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve("llama-server", started_with=started(("red.gguf", adapters[0])))
    engine = opened(server)
    engine.probe(adapters[0])
    for adapter in (None, None, adapters[0], adapters[0], replace(adapters[0], scale=0.5), None, None):
        ask(engine, adapter=adapter)
    assert [body["cache_prompt"] for body in answered(server)] == [False, True, False, True, False, False, True]


def test_a_files_hash_decides_before_its_name(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    red, green, _ = adapters
    files = (("red.gguf", green), (f"C:\\lora\\old-{red.sha256[:12]}.gguf", red))
    server = serve("llama-server", started_with=started(*files))
    ask(opened(server), adapter=red)
    assert {each["id"]: each["scale"] for each in answered(server)[0]["lora"]} == {0: 0.0, 1: 1.0}


def test_a_server_started_again_in_another_order_is_not_mistaken(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    files = [("red.gguf", adapters[0]), ("green.gguf", adapters[1])]
    server = serve("llama-server", started_with=started(*files))
    engine = opened(server)
    said = ask(engine, adapter=adapters[0])
    server.started_with = started(*reversed(files))
    base = ask(engine)
    assert ask(engine, adapter=adapters[0]) not in (base, "")
    worn = [each["id"] for each in answered(server)[-1]["lora"] if each["scale"]]
    assert worn == [1]
    assert said != base


def test_an_adapter_it_was_not_started_with_is_told_how(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    for files, listed in (((), "none"), ((("blue.gguf", adapters[2]),), "blue")):
        server = serve("llama-server", started_with=started(*files))
        words = rf'"red" .it has {listed}.*adapter export red --format gguf.*--lora'
        with pytest.raises(NotFoundError, match=words) as caught:
            ask(opened(server), adapter=adapters[0])
        assert is_one_sentence(caught.value)
        assert answered(server) == []


def test_a_server_without_the_list_wears_none(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve("llama-server")
    server.instead("/lora-adapters", *[says(404, '{"error": {"message": "File Not Found"}}')] * 2)
    engine = opened(server)
    assert ask(engine)
    with pytest.raises(NotFoundError, match="was not started with"):
        ask(engine, adapter=adapters[0])


def test_a_server_that_does_not_wear_what_it_lists_answers_nothing(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve("llama-server", started_with=started(("red.gguf", adapters[0])), lies=True)
    with pytest.raises(EngineError, match='"red" and answers as the base without it') as caught:
        ask(opened(server), adapter=adapters[0])
    assert is_one_sentence(caught.value)
    assert answered(server) == []
    assert opened(server).probe(adapters[0]).effect == 0


def test_every_sampler_of_its_own_is_off(serve: Serve, opened: Opened) -> None:
    server = serve("llama-server")
    engine = opened(server)
    ask(engine, sampling=Sampling(0.7, 0.8, 40, 1.3, 9, 11, ("END",)))
    ask(engine, sampling=replace(GREEDY, seed=1))
    first, second = answered(server)
    said = ("temperature", "top_p", "top_k", "repeat_penalty", "repeat_last_n", "min_p", "max_tokens", "seed", "stop")
    assert [first[name] for name in said] == [0.7, 0.8, 40, 1.3, -1, 0.0, 9, 11, ["END"]]
    assert (second["top_k"], second["repeat_penalty"]) == (0, 1.0)
    with pytest.raises(RefusedError, match="seed up to 4,294,967,294") as caught:
        ask(engine, sampling=replace(GREEDY, seed=2**32 - 1))
    assert is_one_sentence(caught.value)


def test_an_answer_goes_on_and_one_that_had_ended_with_a_word(serve: Serve, opened: Opened) -> None:
    server = serve("llama-server")
    engine = opened(server)
    turns = (*user("Hello"), Turn(Role.ASSISTANT, "Hi."))
    for past_end in (False, True):
        finish(engine.generate(Request(turns, None, GREEDY, continues=True, past_end=past_end)))
    first, second = answered(server)
    assert first["messages"][-1] == {"role": "assistant", "content": "Hi."}
    assert "grammar" not in first
    assert second["grammar"] == "root ::= [^\\x01]+"


def test_it_is_known_by_its_list_and_tells_its_window(serve: Serve, opened: Opened) -> None:
    info = opened(serve("llama-server")).load()
    assert (info.context_window, info.parameters) == (WINDOW, 12_345)
    assert "llama-server" in info.decoding


def test_its_figures_are_told(serve: Serve, opened: Opened) -> None:
    engine = opened(serve("llama-server"))
    done = finish(engine.generate(Request(user(QUESTION), None, GREEDY)))
    assert (done.prompt_tokens, done.cached_tokens, done.generated_tokens) == (21, 2, 24)


def test_a_model_that_is_still_loading_is_told(serve: Serve, opened: Opened) -> None:
    server = serve("llama-server")
    loading = says(503, '{"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}')
    server.instead("/v1/models", loading)
    with pytest.raises(EngineError, match=r"not ready .503: Loading model") as caught:
        opened(server).load()
    assert is_one_sentence(caught.value)
    assert not re.search("correct url", str(caught.value))
