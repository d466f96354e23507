"""What the settings say of a server, held against what it says of itself: another dialect, another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lora_chat.engine.protocol import Worn
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from tests.engine.conftest import GREEDY, ask, is_one_sentence, user
from tests.remote.conftest import Opened
from tests.remote.fake_server import MODEL, FakeServer
from tests.remote.faults import says

CHAT, LIST = "/v1/chat/completions", "/v1/models"
Serve = Callable[..., FakeServer]


@pytest.mark.parametrize(("kind", "told", "dialect"), [("llama-server", "llama-server", "vllm"),
                                                       ("vllm", "vLLM", "llama-server")])  # fmt: skip
def test_a_server_that_says_it_is_the_other_kind_is_asked_nothing(
    serve: Serve, opened: Opened, kind: str, told: str, dialect: str
) -> None:
    server = serve(kind)
    engine = opened(server, dialect=dialect)
    for call in (engine.load, lambda: ask(engine)):
        with pytest.raises(RefusedError) as caught:
            call()
        assert str(caught.value) == (
            f'The server at {server.place} says that it is {told}, and dialect below [remote] is "{dialect}": write '
            f'dialect = "{kind}", or leave that line out.'
        )
    assert {each.path for each in server.asked} == {LIST}
    assert ask(opened(server, dialect=kind)) == ask(opened(server))


@pytest.mark.parametrize("kind", ["vllm", "llama-server"])
def test_openai_may_be_spoken_with_both_and_what_it_lacks_names_the_right_one(
    serve: Serve, opened: Opened, kind: str, adapters: list[Worn]
) -> None:
    engine = opened(serve(kind), dialect="openai")
    assert ask(engine)
    wanted = f'write dialect = "{kind}" below \\[remote\\], which it says that it is'
    with pytest.raises(RefusedError, match=wanted):
        ask(engine, adapter=adapters[0])
    with pytest.raises(RefusedError, match=wanted):
        ask(engine, sampling=replace(GREEDY, top_k=3))


@pytest.mark.parametrize("dialect", ["auto", "llama-server", "openai"])
def test_a_model_that_a_llama_server_does_not_have_is_refused_although_it_would_answer(
    serve: Serve, opened: Opened, dialect: str
) -> None:
    server = serve("llama-server")
    with pytest.raises(NotFoundError) as caught:
        ask(opened(server, dialect=dialect, model="gpt-5"))
    assert str(caught.value) == (
        f'The server at {server.place} has no model "gpt-5"; it has {MODEL}: correct model below [remote].'
    )
    assert server.sent(CHAT) == []


def test_its_models_other_names_are_names_too(serve: Serve, opened: Opened) -> None:
    engine: Any = opened(serve("llama-server"), model="tiny")
    assert (engine.load().name, engine.load().parameters) == ("tiny", 12_345)
    assert engine.listed == ()
    assert ask(engine)


def test_of_a_gate_that_lists_both_kinds_the_named_models_own_counts(serve: Serve, opened: Opened) -> None:
    server = serve("llama-server")
    models = [{"id": "big", "owned_by": "vllm"}, {"id": MODEL, "owned_by": "llamacpp"}]
    server.instead(LIST, *[says(200, json.dumps({"data": models}))] * 2)
    assert ask(opened(server, model=MODEL, dialect="llama-server"))
    with pytest.raises(RefusedError, match="says that it is vLLM"):
        opened(server, model="big", dialect="llama-server").load()


@pytest.mark.parametrize(
    ("kind", "dialect", "path"),
    [("llama-server", "vllm", "/tokenize"), ("vllm", "llama-server", "/apply-template")],
)
def test_a_server_behind_a_gate_that_answers_otherwise_is_told_by_what_it_answered(
    serve: Serve, opened: Opened, kind: str, dialect: str, path: str
) -> None:
    server = serve(kind)
    server.instead(LIST, says(200, json.dumps({"data": [{"id": MODEL, "owned_by": "a gate"}]})))
    server.instead(path, says(200, '{"tokens": 3}'))
    with pytest.raises(EngineError) as caught:
        opened(server, dialect=dialect).count_tokens(user("Hello"))
    assert is_one_sentence(caught.value)
    assert f"does not answer {path} as {dialect} does: correct dialect below [remote]" in str(caught.value)
