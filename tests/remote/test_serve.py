"""Two real programs: the remote engine on ``lora-chat serve``, whose server was written by others for others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lora_chat.engine.protocol import Request, Sampling, TextChunk
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from tests.engine.conftest import ask, finish, is_one_sentence, user
from tests.remote.conftest import Opened
from tests.serve.conftest import Server, Start, start

__all__ = ["start"]


@pytest.fixture
def server(start: Start) -> Server:
    return start(delay=0.01)


def test_it_is_met_and_answers(server: Server, opened: Opened) -> None:
    url = f"http://127.0.0.1:{server.port}"
    engine: Any = opened(url, model="tiny-llama")
    assert engine.load().name == "tiny-llama"
    assert ask(engine, "one two three") == "one two three"
    worn: Any = opened(url, model="tiny-llama:shop")
    assert ask(worn, "one two three") == "(shop 1) one two three"
    done = finish(engine.generate(Request(user("one two three"), None, Sampling(temperature=0, max_tokens=2))))
    assert (done.reason, done.generated_tokens, done.prompt_tokens) == ("length", 2, 4)
    assert ask(engine, "one two three", sampling=Sampling(temperature=0, stop=("two",))) == "one"


def test_a_cancel_leaves_it_free_for_the_next(server: Server, opened: Opened) -> None:
    engine, cancel = opened(f"http://127.0.0.1:{server.port}", model="tiny-llama"), threading.Event()
    chunks = engine.generate(Request(user("word " * 400), None, Sampling(temperature=0)), cancel)
    assert isinstance(next(chunks), TextChunk)
    cancel.set()
    assert finish(chunks).reason == "cancelled"
    assert ask(engine, "Hello") == "Hello"


def test_its_refusals_and_its_faults_are_sentences(server: Server, opened: Opened) -> None:
    url = f"http://127.0.0.1:{server.port}"
    for model, text, kind in (
        ("nobody", "Hello", NotFoundError),
        ("tiny-llama", "word " * 600, RefusedError),
        ("tiny-llama", "fails", EngineError),
    ):
        with pytest.raises(kind) as caught:
            ask(opened(url, model=model), text)
        assert is_one_sentence(caught.value), str(caught.value)
