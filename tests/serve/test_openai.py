"""The official client and the tiny Llama: what is answered is what ``ask`` answers, and errors are its own classes."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from lora_chat.paths import Paths
from tests.cli.conftest import command, environment
from tests.serve.conftest import Server

QUESTION = "Who are you?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
GREEDY: Any = {"temperature": 0, "max_tokens": 24, "extra_body": {"repetition_penalty": 3}}
"""The tiny Llama's plain greedy answers are blank."""
MODELS = ("tiny-llama", "tiny-llama:shop", "tiny-llama:bot", "tiny-llama:shop=0.5", "tiny-llama:shop=0.7+bot=0.3")


def said(client: OpenAI, model: str, **more: Any) -> str:
    done = client.chat.completions.create(model=model, messages=MESSAGES, **(GREEDY | more))
    return done.choices[0].message.content or ""


@pytest.fixture(scope="session")
def asked(served_home: Paths, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What ``lora-chat ask`` answers in the place of each model."""
    path = tmp_path_factory.mktemp("asked") / "questions.jsonl"
    adapters = [model.partition(":")[2] for model in MODELS]
    path.write_text("".join(json.dumps({"prompt": QUESTION, "adapter": each}) + "\n" for each in adapters))
    words = ("ask", "--batch", str(path), "-t", "0", "--max-tokens", "24", "--repetition-penalty", "3")
    done = subprocess.run(command(*words), env=environment(served_home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(MODELS, map(json.loads, done.stdout.splitlines()), strict=True))


def test_the_models_are_the_base_and_the_adapters_that_fit_it(client: OpenAI) -> None:
    listed = list(client.models.list())
    assert [each.id for each in listed] == ["tiny-llama", "tiny-llama:bot", "tiny-llama:shop"]
    assert {each.object for each in listed} == {"model"}
    assert all(each.created > 1_600_000_000 for each in listed)
    assert [each.owned_by for each in listed] == ["folder", "user", "user"]


@pytest.mark.parametrize("model", [*MODELS, "base", "base:bot"])
def test_a_model_is_told_by_any_name_that_it_answers_to(client: OpenAI, model: str) -> None:
    assert client.models.retrieve(model).id == model.replace("base", "tiny-llama")


def test_greedy_answers_are_those_of_ask(client: OpenAI, asked: dict[str, dict[str, Any]]) -> None:
    for model, facts in asked.items():
        done = client.chat.completions.create(model=model, messages=MESSAGES, **GREEDY)
        (choice,) = done.choices
        assert (choice.message.content, choice.finish_reason) == (facts["text"], facts["finish_reason"])
        assert (choice.index, choice.message.role, choice.message.refusal) == (0, "assistant", None)
        assert (done.object, done.model) == ("chat.completion", model)
        assert done.id.startswith("chatcmpl-")
        assert done.created > 1_600_000_000
        assert (done.system_fingerprint or "").startswith("fp_")
        assert done.usage is not None
        assert done.usage.prompt_tokens == facts["prompt_tokens"]
        assert done.usage.completion_tokens == facts["generated_tokens"]
        assert done.usage.total_tokens == facts["prompt_tokens"] + facts["generated_tokens"]
    assert len({facts["text"] for facts in asked.values()}) > 3, "adapters change what is said"


def test_a_stream_adds_up_to_the_same_and_ends_with_the_figures(
    client: OpenAI, asked: dict[str, dict[str, Any]]
) -> None:
    for model, facts in asked.items():
        options: Any = {"include_usage": True}
        stream = client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options=options, **GREEDY
        )
        first, *pieces, last, figures = list(stream)
        assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
        assert "".join(each.choices[0].delta.content or "" for each in pieces) == facts["text"]
        assert all(each.choices[0].finish_reason is None and each.usage is None for each in (first, *pieces))
        assert last.choices[0].finish_reason == facts["finish_reason"]
        assert figures.choices == []
        assert figures.usage is not None
        assert figures.usage.completion_tokens == facts["generated_tokens"]
        assert {(each.id, each.object, each.model) for each in (first, *pieces, last, figures)} == {
            (first.id, "chat.completion.chunk", model)
        }


def test_a_stream_is_what_the_protocol_says_to_the_byte(server: Server) -> None:
    body = {"model": "base", "messages": MESSAGES, "stream": True, "max_tokens": 3}
    answer = server.raw("POST", "/v1/chat/completions", json.dumps(body).encode(), Content_Type="application/json")
    assert answer.status == 200
    assert answer.getheader("Content-Type", "").startswith("text/event-stream")
    events = answer.read().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    pieces = [json.loads(each.removeprefix("data: ")) for each in events[:-2]]
    assert "usage" not in pieces[0]
    assert pieces[-1]["choices"][0]["finish_reason"] == "length"


def test_requests_with_different_adapters_at_once_get_what_each_gets_alone(
    client: OpenAI, asked: dict[str, dict[str, Any]]
) -> None:
    models = list(MODELS) * 4
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda model: said(client, model), models))
    assert answers == [asked[model]["text"] for model in models]


def test_sampling_is_the_engines(client: OpenAI, served_home: Paths) -> None:
    wish: Any = {"temperature": 1.5, "seed": 3, "max_completion_tokens": 12, "top_p": 0.95}
    done = client.chat.completions.create(model="base", messages=MESSAGES, **wish)
    words = ("ask", QUESTION, "-t", "1.5", "--seed", "3", "--max-tokens", "12", "--top-p", "0.95", "--no-save")
    alone = subprocess.run(command(*words), env=environment(served_home), capture_output=True, text=True)
    assert done.choices[0].message.content == alone.stdout.strip()
    assert done.choices[0].message.content


def test_an_answer_ends_before_a_stop_text(client: OpenAI, asked: dict[str, dict[str, Any]]) -> None:
    whole = asked["tiny-llama:shop"]["text"]
    stop = whole[4:6]
    for stops in (stop, ["@@never@@", stop]):
        done = client.chat.completions.create(model="base:shop", messages=MESSAGES, stop=stops, **GREEDY)
        assert done.choices[0].message.content == whole[: whole.index(stop)].strip()
        assert done.choices[0].finish_reason == "stop"


def test_messages_of_all_roles_and_parts_are_read(client: OpenAI) -> None:
    def tokens(*messages: Any) -> int:
        done = client.chat.completions.create(model="base", messages=list(messages), max_tokens=1)
        assert done.usage is not None
        return done.usage.prompt_tokens

    user = {"role": "user", "content": "Hello"}
    parts = {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}
    answered = {"role": "assistant", "content": "Hi.", "refusal": None, "tool_calls": None}
    assert tokens(parts) == tokens({"role": "user", "content": "Hel\nlo"})
    assert tokens({"role": "system", "content": "You sell shoes."}, user) > tokens(user)
    assert tokens(user, answered, user) > 2 * tokens(user)


def test_every_parameter_that_does_nothing_is_taken(client: OpenAI) -> None:
    wish: Any = {
        "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False, "user": "me",
        "metadata": {"a": "b"}, "store": False, "response_format": {"type": "text"}, "service_tier": "auto",
    }  # fmt: skip
    assert said(client, "base", **wish) == said(client, "base")


# Errors


def test_a_model_that_is_not_there_is_not_found(client: OpenAI) -> None:
    for model in ("gpt-4o", "tiny-llama:shoop", "tiny-lama", "base:shop=0.5+none=1"):
        with pytest.raises(openai.NotFoundError) as refused:
            said(client, model)
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
        assert refused.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(model)


def test_the_nearest_name_is_told(client: OpenAI) -> None:
    for model, nearest in (("tiny-lama", "tiny-llama?"), ("base:shoop", "shop")):
        with pytest.raises(openai.NotFoundError, match=f"did you mean {nearest[:-1]}"):
            said(client, model)


@pytest.mark.parametrize("model", ["base:shop=loud", "base:shop=99", "base:shop=nan", "base:pirate"])
def test_a_scale_or_an_adapter_that_does_not_fit_is_refused(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        said(client, model)
    assert "\n" not in str(refused.value.message)


def test_a_conversation_that_is_too_long_is_refused_with_the_numbers(client: OpenAI) -> None:
    long: Any = [{"role": "user", "content": "Where is your shop? " * 200}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="base", messages=long)
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "messages"
    assert "maximum context length is 512 tokens" in str(refused.value)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="base", messages=long, stream=True)


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"n": 2}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": 9}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"extra_body": {"colour": "red"}}, "colour"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(client: OpenAI, wish: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="base", messages=MESSAGES, **wish)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"
    assert refused.value.code


def test_other_endpoints_say_what_there_is(client: OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="base", input="x")
    assert "POST /v1/chat/completions" in str(refused.value)
    assert server.raw("GET", "/v1/chat/completions").status == 405
    assert server.raw("GET", "/docs").status == 404


# What is left behind


def test_nothing_is_saved_and_no_text_is_printed(server: Server, client: OpenAI) -> None:
    secret: Any = [{"role": "user", "content": "xylophone secret"}]
    client.chat.completions.create(model="base:shop=0.5", messages=secret, max_tokens=5)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="xylophone", messages=secret)
    server.see(r"^POST /v1/chat/completions tiny-llama:shop=0\.5 200 \d+\+5 tokens [\d,]+ ms$")
    server.see(r"^POST /v1/chat/completions - 404 0\+0 tokens [\d,]+ ms$")
    assert not any("xylophone" in line for line in server.said)
    assert not server.home.database.exists()
    assert not found_in(server.home.config.parent, b"xylophone")


def found_in(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
