"""A server that is wrong, unwilling, broken or slow: one clear sentence each, and what came of the answer stays."""

from __future__ import annotations

import json
import re
import socket
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lora_chat.chat.conversation import Status
from lora_chat.chat.store import Store
from lora_chat.config import Config
from lora_chat.engine.protocol import Engine, Finished, Request, TextChunk, Worn
from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.session import Session
from tests.engine.conftest import GREEDY, ask, finish, is_one_sentence, user
from tests.remote.conftest import Opened
from tests.remote.fake_server import MODEL, Behaviour, FakeServer, Talk
from tests.remote.faults import (
    breaks_after,
    ends_after,
    pieces_of,
    reset,
    says,
    stalls,
    stalls_after,
    streams,
)
from tests.remote.loading import part

CHAT = "/v1/chat/completions"
Serve = Callable[..., FakeServer]
PIECE = 'data: {"choices": [{"delta": {"content": "Grüße 漢字 🎫"}, "finish_reason": null}]}\n\n'
END = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def failure(engine: Engine) -> tuple[str, LoraChatError]:
    """What came of an answer, and how it ended."""
    came: list[str] = []
    with pytest.raises(LoraChatError) as caught:
        take(engine, came)
    assert is_one_sentence(caught.value), str(caught.value)
    return "".join(came), caught.value


def take(engine: Engine, came: list[str]) -> None:
    for chunk in engine.generate(Request(user("Hello"), None, GREEDY)):
        assert isinstance(chunk, TextChunk)
        came.append(chunk.text)


def locals_of(error: BaseException) -> list[str]:
    """Each frame of its traceback with all its variables, as a program that shows them all would."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [f"{frame.filename} {frame.line} {frame.locals}" for frame in told.stack]


def test_nobody_there_is_said_with_the_address(opened: Opened) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EngineError, match=f"Nobody answers at {place}.*url") as caught:
        opened(f"http://{place}/v1").load()
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    "behaviour",
    [
        says(404, '{"detail": "Not Found"}'),
        says(200, "<html><title>A router</title></html>", "text/html"),
        says(200, "Welcome", "text/plain"),
        says(200, '{"data": "none"}'),
        says(200, "[" * 100_000),
    ],
)
def test_another_server_is_no_chat_server(serve: Serve, opened: Opened, behaviour: Behaviour) -> None:
    server = serve()
    server.instead("/v1/models", behaviour)
    with pytest.raises(EngineError, match=r"no OpenAI-compatible server .*/v1") as caught:
        opened(server).load()
    assert is_one_sentence(caught.value)


def test_an_answer_larger_than_any_can_be_is_not_kept(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead("/v1/models", says(200, json.dumps({"data": [{"id": "x" * (17 << 20)}]})))
    with pytest.raises(EngineError, match="more than an answer can be"):
        opened(server).load()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_where_it_belongs_and_never_shown(
    serve: Serve, opened: Opened, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server, secret = serve(), "sk-very-secret-0123456789"
    server.instead("/v1/models", says(status, json.dumps({"error": {"message": f"Incorrect key: {secret}"}})))
    engine = opened(server, {"MY_KEY": secret}, key_variable="MY_KEY")
    with pytest.raises(EngineError, match=rf"refuses the key from MY_KEY \({status}\).*MY_KEY") as caught:
        engine.load()
    assert is_one_sentence(caught.value)
    assert server.asked[0].headers["authorization"] == f"Bearer {secret}"
    frames = [each for each in locals_of(caught.value) if "remote_under_test" in each or "plugins" in each]
    assert frames
    assert secret not in "".join(frames) + caplog.text + repr(engine)


def test_a_server_that_repeats_the_key_has_it_hidden(serve: Serve, opened: Opened) -> None:
    server, secret = serve(key="sk-echoed-0123456789"), "sk-echoed-0123456789"
    server.instead(CHAT, says(400, json.dumps({"error": {"message": f"bad header Bearer {secret}"}})))
    _, error = failure(opened(server, {"VLLM_API_KEY": secret}))
    assert "bad header" in str(error)
    assert secret not in str(error)


def test_a_missing_key_is_asked_for_by_name(serve: Serve, opened: Opened) -> None:
    with pytest.raises(EngineError, match=r"a call without a key .401.*VLLM_API_KEY"):
        opened(serve(key="sk-1"), dialect="vllm").load()


def test_a_key_does_not_follow_to_another_address(serve: Serve, opened: Opened) -> None:
    server, other = serve(), serve()
    server.instead("/v1/models", says(307, "", Location=f"{other.url}/models?secret=1"))
    with pytest.raises(EngineError, match=f"sends on to {other.url}/models, which is not followed"):
        opened(server, {"VLLM_API_KEY": "sk-1"}).load()
    assert other.asked == []


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (
            says(404, '{"error": {"message": "The model `x` does not exist."}}'),
            NotFoundError,
            "has no .*does not exist",
        ),
        (says(404, "404 page not found", "text/plain"), EngineError, "no OpenAI-compatible server"),
        (says(400, "temperature is \x1b[31mtoo\x1b[0m hot\nindeed", "text/plain"), RefusedError, r"too.* hot indeed"),
        (says(422, '{"detail": "top_k must be positive"}'), RefusedError, "top_k must be positive"),
        (says(500, "Internal Server Error", "text/plain"), EngineError, "failed .500: Internal Server Error"),
        (says(500, "<html>oops</html>", "text/html"), EngineError, "500, without a word why"),
        (says(503, '{"error": {"code": 503, "message": "Loading model"}}'), EngineError, "Loading model"),
        (says(429, "{}"), EngineError, "too many requests"),
        (says(200, '{"choices": []}'), EngineError, "does not stream"),
        (reset, EngineError, "ended the connection without an answer"),
        (streams("data: {not json}\n\n"), EngineError, "no event of an answer"),
        (streams("data: [1, 2]\n\n"), EngineError, "no event of an answer"),
        (streams('data: {"choices": [7]}\n\n'), EngineError, "no piece of an answer"),
        (streams("data: " + "x" * (2 << 20)), EngineError, "a line that does not end"),
        (streams(*["data: " + "x" * 60_000 + "\n"] * 30), EngineError, "an event that does not end"),
        (streams('data: {"error": {"message": "CUDA out of memory"}}\n\n'), EngineError, "CUDA out of memory"),
        (streams(PIECE.replace("null", '"content_filter"')), EngineError, "its filter for contents"),
        (streams(PIECE.replace("null", '"abort"')), EngineError, "ended the answer by"),
        (streams(), EngineError, "ended in the middle"),
    ],
)
def test_what_a_server_says_instead_of_an_answer(
    serve: Serve, opened: Opened, behaviour: Behaviour, kind: type, words: str
) -> None:
    server = serve()
    server.instead(CHAT, behaviour)
    engine = opened(server)
    came, error = failure(engine)
    assert type(error) is kind
    assert came == ""
    assert "\x1b" not in str(error)
    assert re.search(words, str(error)), str(error)
    assert ask(engine)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (breaks_after("Half", " an"), "broke off in the middle"),
        (ends_after("Half", " an"), "ended in the middle"),
        (stalls_after("Half", " an"), "stopped in the middle"),
        (
            streams(*(PIECE.replace("Grüße 漢字 🎫", word) for word in ("Half", " an")), "data: {"),
            "ended in the middle",
        ),
    ],
)
def test_half_an_answer_is_kept(serve: Serve, opened: Opened, behaviour: Behaviour, words: str) -> None:
    server = serve()
    server.instead(CHAT, behaviour)
    engine = opened(server, stall_seconds=0.3)
    came, error = failure(engine)
    assert came == "Half an"
    assert isinstance(error, EngineError)
    assert words in str(error)
    assert len(server.sent(CHAT)) == 1, "what had begun is not asked for again"
    assert ask(engine)


def test_a_conversation_keeps_the_half_of_an_answer(
    serve: Serve, opened: Opened, store: Store, tiny_llama: InstalledBase
) -> None:
    server = serve()
    server.instead(CHAT, breaks_after("Half", " an"))
    session = Session(store, opened(server), Config(), MODEL, tiny_llama.window)
    conversation = store.create_conversation(title="t")
    with pytest.raises(EngineError, match="broke off"):
        list(session.send(conversation, "Hello", None, GREEDY))
    question, answer = store.branch(conversation.id)
    assert (question.content, answer.content, answer.status) == ("Hello", "Half an", Status.FAILED)
    assert "broke off in the middle" in (answer.error or "")


@pytest.mark.parametrize("path", ["/tokenize", "/v1/load_lora_adapter"])
def test_reading_ahead_gives_way_while_the_server_stalls(
    serve: Serve, opened: Opened, adapters: list[Worn], path: str
) -> None:
    server, cancel, came = serve(), threading.Event(), threading.Event()

    def stalled(talk: Talk, body: dict[str, object]) -> None:
        came.set()
        stalls(talk, body)

    server.instead(path, stalled)
    engine = opened(server)
    engine.load()
    with ThreadPoolExecutor(1) as other:
        ahead = other.submit(engine.prepare, user("Hello"), adapters[0], cancel)
        assert came.wait(30)
        cancel.set()
        assert ahead.result(10) > 0


def test_a_server_that_does_not_begin_is_given_up(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead(CHAT, stalls)
    _, error = failure(opened(server, first_seconds=0.3))
    assert "does not begin to answer" in str(error)
    assert "first_seconds" in str(error)


@pytest.mark.parametrize("behaviour", [stalls, stalls_after("Half", " an")])
def test_a_cancel_is_heard_while_the_server_stalls_and_the_server_hears_of_it(
    serve: Serve, opened: Opened, behaviour: Behaviour
) -> None:
    server, cancel, stalled, left = serve(), threading.Event(), threading.Event(), threading.Event()

    def watched(talk: Talk, body: dict[str, object]) -> None:
        if behaviour is not stalls:
            talk.begin_events()
            talk.piece("Half an")
        stalled.set()
        if talk.connection.recv(1) == b"":  # the other side hung up
            left.set()
        talk.close_connection = True

    server.instead(CHAT, watched)
    engine = opened(server)
    with ThreadPoolExecutor(1) as other:
        chunks = other.submit(lambda: list(engine.generate(Request(user("Hello"), None, GREEDY), cancel)))
        assert stalled.wait(30)
        cancel.set()
        *texts, last = chunks.result(30)
    assert isinstance(last, Finished)
    assert last.reason == "cancelled"
    assert last.generated_tokens == len(texts)
    assert left.wait(30)


def test_a_close_ends_a_reply_that_stalls(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead(CHAT, stalls_after("Half"))
    engine = opened(server)
    chunks = engine.generate(Request(user("Hello"), None, GREEDY))
    assert next(chunks) == TextChunk("Half")
    engine.close()
    assert finish(chunks).reason == "cancelled"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_text_arrives_whole_wherever_the_network_cuts_it(serve: Serve, opened: Opened, size: int) -> None:
    server = serve()
    server.instead(CHAT, pieces_of(": a comment\r\n\r\nevent: x\r\n" + PIECE.replace("\n", "\r\n") + PIECE + END, size))
    assert ask(opened(server)) == "Grüße 漢字 🎫" * 2


def test_what_a_server_thought_apart_stands_before_the_answer(serve: Serve, opened: Opened) -> None:
    server = serve()
    events = [{"reasoning_content": "Hm"}, {"reasoning_content": "."}, {"content": "Yes"}, {"content": "!"}]
    raw = "".join(f"data: {json.dumps({'choices': [{'delta': each}]})}\n\n" for each in events)
    server.instead(CHAT, streams(raw + END))
    assert ask(opened(server)) == "<think>\nHm.\n</think>\n\nYes!"


@pytest.mark.parametrize(
    "behaviour", [reset, says(503, "{}"), says(429, "{}", Retry_After="0"), says(502, "<html>", "text/html")]
)
def test_what_nothing_came_of_is_tried_again(serve: Serve, opened: Opened, behaviour: Behaviour) -> None:
    server = serve()
    server.instead("/v1/models", behaviour)
    server.instead(CHAT, behaviour, behaviour)
    engine = opened(server, retries=2)
    assert ask(engine)
    assert len(server.sent(CHAT)) == 3


def test_it_is_tried_again_so_often_and_not_for_ever(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead(CHAT, *[says(503, '{"error": "busy"}')] * 9)
    _, error = failure(opened(server, retries=1))
    assert "busy" in str(error)
    assert len(server.sent(CHAT)) == 2


def test_a_long_wait_is_told_rather_than_waited(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead(CHAT, says(429, "{}", Retry_After="3600"))
    _, error = failure(opened(server, retries=2))
    assert "3,600 seconds" in str(error)
    assert len(server.sent(CHAT)) == 1


def test_a_cancel_ends_the_wait_for_another_try(serve: Serve, opened: Opened) -> None:
    server, cancel = serve(), threading.Event()

    def refuse(talk: Talk, _: dict[str, object]) -> None:
        talk.text("{}", 429, "application/json", Retry_After="19")
        cancel.set()

    server.instead(CHAT, refuse)
    engine = opened(server, retries=2)
    with ThreadPoolExecutor(1) as other:
        last = other.submit(lambda: finish(engine.generate(Request(user("Hello"), None, GREEDY), cancel)))
        assert last.result(10).reason == "cancelled"
    assert len(server.sent(CHAT)) == 1


def test_a_server_that_says_it_byte_by_byte_is_given_up(
    serve: Serve, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drips(talk: Talk, _: dict[str, object]) -> None:
        talk.begin_events()
        while not talk.owner.over.wait(0.02):
            talk.raw(" ")

    monkeypatch.setattr(
        part("client").Client.ask, "__kwdefaults__", {**part("client").Client.ask.__kwdefaults__, "seconds": 0.5}
    )
    server = serve()
    server.instead("/v1/models", drips)
    with pytest.raises(EngineError, match="stopped in the middle"):
        opened(server).load()
