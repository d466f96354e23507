"""The server as a process: its line of requests, who hangs up, how it ends, what comes and goes meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI

from lora_chat.models.installed import InstalledBase
from lora_chat.serve.queue import ROOM
from tests.serve.conftest import Server, Start, write_lora

WORDS = " ".join(f"word{number}" for number in range(200))
"""The scripted engine says it back, a word a token: at 0.05 s each it takes ten seconds."""


def ask(client: OpenAI, text: str = "Hello there", model: str = "base", **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(
        model=model, messages=messages, **({"temperature": 0, "max_tokens": 500} | more)
    )


def text_of(done: Any) -> str:
    return str(done.choices[0].message.content)


# Who hangs up


def test_a_client_that_hangs_up_in_the_middle_of_a_stream_frees_the_engine(start: Start) -> None:
    server = start(delay=0.05)
    client = server.client()
    stream = ask(client, WORDS, stream=True)
    for _ in range(4):
        next(stream)
    began = time.monotonic()
    stream.close()
    assert text_of(ask(client)) == "Hello there"
    assert time.monotonic() - began < 3
    server.see(r"^POST /v1/chat/completions tiny-llama 499 ")


def test_a_client_that_gives_up_waiting_frees_the_engine_and_its_place(start: Start) -> None:
    server = start(delay=0.05)
    began = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        ask(server.client(timeout=0.5), WORDS)
    with ThreadPoolExecutor(1) as other:
        running = other.submit(ask, server.client(), WORDS, max_tokens=40)
        time.sleep(0.3)
        with pytest.raises(openai.APITimeoutError):
            ask(server.client(timeout=0.3), WORDS)  # it waits behind that one
        assert text_of(running.result()).count("word") == 40
    assert text_of(ask(server.client())) == "Hello there"
    assert time.monotonic() - began < 9


# The line


def test_requests_are_answered_in_the_order_they_came(start: Start) -> None:
    server = start(delay=0.02)
    ended: list[int] = []

    def come(number: int) -> None:
        ask(server.client(), "a b c d e f g h")
        ended.append(number)

    with ThreadPoolExecutor(6) as clients:
        for number in range(6):
            clients.submit(come, number)
            time.sleep(0.1)
    assert ended == list(range(6))


def test_a_full_line_is_said_to_be_full(start: Start) -> None:
    server = start(delay=0.05)
    client = server.client()
    running = ask(client, WORDS, stream=True)
    next(running)
    with ThreadPoolExecutor(ROOM) as clients:
        waiting = [clients.submit(ask, server.client()) for _ in range(ROOM)]
        refused = None
        until = time.monotonic() + 8
        while refused is None and time.monotonic() < until:
            try:
                ask(server.client(timeout=0.3))
            except openai.RateLimitError as error:
                refused = error
            except openai.APITimeoutError:  # there was room yet
                pass
        running.close()
        assert refused is not None
        assert refused.code == "rate_limit_exceeded"
        assert f"{ROOM} requests are waiting" in str(refused)
        assert [text_of(each.result()) for each in waiting] == ["Hello there"] * ROOM


def test_while_the_base_is_loaded_models_are_listed_and_nothing_is_answered(start: Start) -> None:
    server = start(delay=0.0, loading=4.0, wait=False)
    client = server.client()
    assert next(iter(client.models.list())).id == "tiny-llama"
    with pytest.raises(openai.InternalServerError) as refused:
        ask(client)
    assert refused.value.status_code == 503
    assert refused.value.code == "engine_loading"
    assert refused.value.response.headers["Retry-After"] == "1"
    server.see("^Ready: ")
    assert text_of(ask(client)) == "Hello there"


def test_a_base_that_cannot_be_loaded_ends_the_server_with_the_reason(start: Start) -> None:
    server = start(delay=0.0, loading=-1.0, wait=False)
    assert server.end() == 5
    assert server.said[-1] == "lora-chat: The base cannot be loaded: it is only a test."


def test_an_engine_that_fails_is_an_error_of_its_own_and_the_next_is_answered(start: Start) -> None:
    server = start()
    client = server.client()
    for word, code in (("fails", "engine_failed"), ("breaks", "defect")):
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as refused:
                ask(client, word, stream=stream)
            assert (refused.value.status_code, refused.value.code) == (500, code)
            assert refused.value.type == "server_error"
        begun = ask(client, f"First it says this and then it {word} here", stream=True)
        with pytest.raises(openai.APIError) as broken:
            list(begun)
        assert broken.value.code == code
        assert "xylophone" not in str(broken.value)
        assert text_of(ask(client)) == "Hello there"
    server.process.kill()
    server.end()
    assert sum("defects.log" in line for line in server.said) == 3
    assert not any("Traceback" in line for line in server.said)


# What comes and goes


def test_adapters_that_come_go_or_change_are_noticed_by_the_next_request(
    start: Start, tiny_llama: InstalledBase
) -> None:
    server = start()
    client = server.client()
    assert text_of(ask(client, model="base:shop")) == "(shop 1) Hello there"
    shutil.rmtree(server.home.adapters / "shop")
    with pytest.raises(openai.NotFoundError):
        ask(client, model="base:shop")
    write_lora(server.home.adapters / "new", tiny_llama, 5)
    assert [each.id for each in client.models.list()] == ["tiny-llama", "tiny-llama:bot", "tiny-llama:new"]
    assert text_of(ask(client, model="base:new=0.5")) == "(new 0.5) Hello there"
    weights = server.home.adapters / "new" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(openai.BadRequestError):
        ask(client, model="base:new")


def test_an_adapter_brings_its_system_prompt_and_temperature_unless_the_request_has_its_own(
    start: Start, tiny_llama: InstalledBase
) -> None:
    server = start()
    write_lora(server.home.adapters / "told", tiny_llama, 6, system_prompt="You sell many shoes.", temperature=0.0)
    client = server.client()

    def tokens(model: str, *messages: dict[str, str], **more: Any) -> int:
        asked: Any = [*messages, {"role": "user", "content": "a b c d e f"}]
        done = client.chat.completions.create(model=model, messages=asked, **more)
        assert done.usage is not None
        return int(done.usage.prompt_tokens)

    assert tokens("base:told") == tokens("base:shop") + 5
    assert tokens("base:told", {"role": "system", "content": ""}) == tokens("base:shop") + 1
    done = client.chat.completions.create(model="base:told", messages=[{"role": "user", "content": "a b c d e f"}])
    assert text_of(done) == "(told 1) a b c d e f", "greedy, as it asks"


# The door


def test_a_key_is_required_where_one_is_set(start: Start) -> None:
    server = start(LORA_CHAT_API_KEY="open sesame 1")
    for key in ("wrong", "open sesame", "ö"):
        with pytest.raises((openai.AuthenticationError, UnicodeEncodeError)):
            server.client(key).models.list()
    with pytest.raises(openai.AuthenticationError) as refused:
        ask(server.client("wrong"))
    assert refused.value.code == "invalid_api_key"
    assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"
    assert text_of(ask(server.client("open sesame 1"))) == "Hello there"
    assert not any("sesame" in line for line in server.said)
    assert server.raw("GET", "/v1/models").status == 401
    assert server.raw("GET", "/elsewhere").status == 401


BODY = json.dumps({"model": "base", "messages": [{"role": "user", "content": "Hello"}]}).encode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8642"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "10.0.0.7"}, 403),
        ({"Host": "LOCALHOST:99"}, 200),
        ({"Host": "[::1]:8642"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
    ],
    ids=str,
)
def test_pages_and_foreign_names_get_nothing(server: Server, headers: dict[str, str], status: int) -> None:
    answer = server.raw("POST", "/v1/chat/completions", BODY, **({"Content_Type": "application/json"} | headers))
    body = json.loads(answer.read())
    assert answer.status == status, body
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    if status != 200:
        assert set(body) == {"error"}


def test_a_preflight_allows_nothing(server: Server) -> None:
    answer = server.raw(
        "OPTIONS", "/v1/chat/completions", Origin="http://localhost:3000", Access_Control_Request_Method="POST"
    )
    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"model": ' + b"9" * 5000 + b"}", 400),
        (b'{"model": "base", "messages": ' + b'"x"}', 400),
        (b" " * (5 << 20), 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_is_none_is_refused_in_one_sentence(server: Server, body: bytes, status: int) -> None:
    answer = server.raw("POST", "/v1/chat/completions", body, Content_Type="application/json")
    assert answer.status == status
    error = json.loads(answer.read())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    assert not any("defect" in line for line in server.said)


def test_a_client_that_hangs_up_within_its_own_request_is_no_defect(start: Start) -> None:
    server = start()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for sent in (b"", b"rubbish\r\n\r\n", head, head + b'Content-Length: 99\r\n\r\n{"model"'):
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(sent)
            time.sleep(0.2)
    server.see(r"^POST /v1/chat/completions - 499 ")
    assert text_of(ask(server.client())) == "Hello there"
    server.see(r"^POST /v1/chat/completions tiny-llama 200 ")
    assert len(server.said) == 4, server.said


def test_no_number_breaks_the_answer(server: Server) -> None:
    body = BODY[:-1] + b', "temperature": NaN}'
    answer = server.raw("POST", "/v1/chat/completions", body, Content_Type="application/json")
    assert answer.status == 400
    assert json.loads(answer.read())["error"]["param"] == "temperature"


# The end


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_lets_the_answer_end_and_turns_away_who_waits(start: Start) -> None:
    server = start(delay=0.05)
    client = server.client()
    running = ask(client, WORDS, stream=True, max_tokens=40)
    next(running)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(ask, server.client())
        time.sleep(0.5)
        server.interrupt()
        with pytest.raises(openai.InternalServerError) as refused:
            waiting.result()
    assert refused.value.code == "server_ending"
    assert sum(bool(each.choices[0].delta.content) for each in running) >= 39
    assert server.end() == 130
    assert server.said[-1] == "lora-chat: Interrupted."
    server.see("^Ending after the answer")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_the_second_ctrl_c_ends_it_at_once(start: Start) -> None:
    server = start(delay=0.05)
    running = ask(server.client(), WORDS, stream=True)
    next(running)
    server.interrupt()
    server.see("^Ending after the answer")
    began = time.monotonic()
    server.interrupt()
    assert server.end() == 130
    assert time.monotonic() - began < 3
    assert not any("Traceback" in line for line in server.said)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_background_job_of_a_script_ends_with_the_same_code(start: Start) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts it
    try:
        server = start()
    finally:
        signal.signal(signal.SIGINT, before)
    server.interrupt()
    assert server.end() == 130
    assert server.said[-1] == "lora-chat: Interrupted."


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("loading", [0.0, 30.0], ids=["idle", "loading"])
def test_sigterm_and_ctrl_c_end_a_server_that_answers_nobody(start: Start, loading: float) -> None:
    for number, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)):
        server = start(delay=0.0, loading=loading, wait=not loading)
        assert server.port
        server.client().models.list()
        began = time.monotonic()
        server.interrupt(number)
        assert server.end() == code, server.said
        assert time.monotonic() - began < 8
        assert not any("Traceback" in line for line in server.said)


def test_a_port_in_use_is_refused_in_one_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("--port", str(port), wait=False)
        assert server.end() == 4
    assert len(server.said) == 1
    assert f"port {port} of 127.0.0.1" in server.said[0]
    assert "--port" in server.said[0]
