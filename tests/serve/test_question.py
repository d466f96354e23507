"""A chat completion's body: what is read, and which field is named where it cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Finished, TextChunk
from lora_chat.serve.errors import ApiError
from lora_chat.serve.question import DONE, IGNORED, NEUTRAL, Question, read_question
from lora_chat.serve.queue import trimmed

USER = {"role": "user", "content": "Hello"}


def read(**fields: Any) -> Question:
    return read_question(json.dumps({"model": "base", "messages": [USER]} | fields).encode())


def test_everything_that_is_done_is_read() -> None:
    question = read(
        messages=[
            {"role": "developer", "content": "Be\u202e brief.\r\n"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b\ud800"}]},
        ],
        temperature=1, top_p=0.5, top_k=3, repetition_penalty=1.5, max_tokens=7, max_completion_tokens=7, seed=4,
        stop=["x", "yy"], stream=True, stream_options={"include_usage": True, "include_obfuscation": False},
    )  # fmt: skip
    assert question.messages == (
        Turn(Role.SYSTEM, "Be brief.\n"), Turn(Role.ASSISTANT, "Hi."), Turn(Role.USER, "a\nb"),
    )  # fmt: skip
    assert question.wishes == {
        "temperature": 1, "top_p": 0.5, "top_k": 3, "repetition_penalty": 1.5, "max_tokens": 7, "seed": 4,
        "stop": ("x", "yy"),
    }  # fmt: skip
    assert (question.model, question.stream, question.include_usage) == ("base", True, True)


def test_null_asks_for_nothing() -> None:
    fields: dict[str, Any] = {name: None for name in (*DONE, *NEUTRAL, *IGNORED) if name not in ("model", "messages")}
    assert read(**fields) == read()


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_asks_for_nothing_is_taken_and_the_rest_is_refused(name: str) -> None:
    for value in NEUTRAL[name]:
        assert read(**{name: value}) == read()
    with pytest.raises(ApiError) as refused:
        read(**{name: [7]})
    assert (refused.value.status, refused.value.param) == (400, name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}, USER]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [USER | {"name": "Ann"}]}, "messages[0].name"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "messages"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 10**400}, "top_p"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_completion_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": 3}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"n": True}, "n"),
        ({"frequency_penalty": False}, "frequency_penalty"),
        ({"best_of": 1}, "best_of"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert refused.value.code
    assert refused.value.message.endswith(".")
    assert len(refused.value.message) < 1001


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*DONE, *NEUTRAL, *IGNORED, "x\x1b"]), ANY, max_size=5), st.booleans())
def test_whatever_is_sent_is_read_or_refused(fields: dict[str, Any], whole: bool) -> None:
    body = ({"model": "base", "messages": [USER]} if whole else {}) | fields
    refused = None
    try:
        read_question(json.dumps(body).encode())
    except ApiError as error:
        refused = error
    assert refused is None or (refused.status == 400 and "\x1b" not in refused.message)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(alphabet="a \n", max_size=4)))
def test_a_stream_without_its_last_white_space_adds_up_to_the_stripped_text(pieces: list[str]) -> None:
    end = Finished("stop", 1, 0, 1, None, None, 0)
    *shown, last = trimmed(iter([*map(TextChunk, pieces), end]))
    assert last is end
    assert "".join(each.text for each in shown if isinstance(each, TextChunk)) == "".join(pieces).rstrip()
