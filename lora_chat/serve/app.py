"""The routes. Owns what is asked where and how an answer goes out; the engine's thread makes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lora_chat.chat.conversation import Role, Turn
from lora_chat.config import Config
from lora_chat.engine import protocol
from lora_chat.engine.protocol import Chunk, Finished, Sampling, TextChunk
from lora_chat.errors import LoraChatError
from lora_chat.serve import answer
from lora_chat.serve.answer import Head
from lora_chat.serve.errors import ApiError, as_api_error, unavailable
from lora_chat.serve.front import Entry, refusal
from lora_chat.serve.question import Question, read_question
from lora_chat.serve.queue import Queue, Ticket
from lora_chat.serve.shelf import Named, Shelf
from lora_chat.session import choose_sampling

LARGEST_BODY = 4 << 20
"""Bytes: more than any base's window holds."""

ROUTES = "GET /v1/models, GET /v1/models/{id} and POST /v1/chat/completions"


class HungUp(Exception):
    """The client left before its answer."""


@dataclass(frozen=True)
class Asked:
    """A question with all that its answer needs."""

    question: Question
    named: Named
    request: protocol.Request


def build_app(shelf: Shelf, queue: Queue, config: Config, report: Callable[[Exception], object]) -> FastAPI:
    """Put the routes together; no page of documentation, which would load scripts from elsewhere.

    ``report`` is given what nobody foresaw in the middle of a stream.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @app.get("/v1/models")
    async def models() -> Response:
        return _json({"object": "list", "data": await asyncio.to_thread(shelf.models)})

    @app.get("/v1/models/{id:path}")
    async def model(id: str) -> Response:
        return _json(await asyncio.to_thread(shelf.model, id))

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        raw = await _body(request)
        info = queue.check_ready()
        asked = await asyncio.to_thread(_prepare, raw, shelf, config)
        entry: Entry = request.scope["entry"]
        entry.model = asked.named.id
        head = Head(asked.named.id, await asyncio.to_thread(shelf.fingerprint, asked.named.wearing, info.decoding))
        reply = Reply(queue, asked.request, request, entry)
        reply.enter()
        if asked.question.stream:
            return await _stream(reply, head, asked.question.include_usage, report)
        return await _whole(reply, head)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, error: ClientDisconnect) -> Response:
        raise error  # to the front: there is nobody to be told

    @app.exception_handler(Exception)  # which is raised again, and recorded in front
    @app.exception_handler(ApiError)
    @app.exception_handler(LoraChatError)
    async def failed(request: Request, error: Exception) -> Response:
        return refusal(as_api_error(error))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        what = "not allowed" if error.status_code == 405 else "not here"
        code = "method_not_allowed" if error.status_code == 405 else "unknown_url"
        return refusal(ApiError(error.status_code, f"That is {what}: this server has {ROUTES}.", code))

    return app


class Reply:
    """One answer on its way from the engine's thread to its client."""

    def __init__(self, queue: Queue, made: protocol.Request, request: Request, entry: Entry) -> None:
        self._queue = queue
        self._events: asyncio.Queue[Chunk | Exception] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ticket = Ticket(made, self._tell)
        self._request = request
        self._entry = entry
        self._watch: asyncio.Task[None] | None = None
        self._ended = False

    def enter(self) -> None:
        """Join the line. Raises as ``Queue.enter``."""
        self._queue.enter(self._ticket)
        self._watch = asyncio.create_task(self._watch_client())

    async def next(self) -> Chunk:
        """The next piece, or the end.

        Raises:
            HungUp: nobody waits for it any more.
            ApiError, LoraChatError: there is none.
        """
        got = await self._events.get()
        if isinstance(got, Exception):
            raise got
        if isinstance(got, Finished):
            self._ended = True
            self._entry.prompt_tokens, self._entry.generated_tokens = got.prompt_tokens, got.generated_tokens
            if got.reason == "cancelled":
                raise unavailable("The server is ending: start it again.", "server_ending")
        return got

    def leave(self) -> None:
        """Nothing more is wanted of it; again, it does nothing."""
        self._queue.leave(self._ticket)
        if self._watch is not None:
            self._watch.cancel()

    def _tell(self, event: Chunk | Exception) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def _watch_client(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._queue.leave(self._ticket)
        self._entry.hung_up = not self._ended
        self._events.put_nowait(HungUp())


class EventStream(Response):
    """Server-sent events. Unlike Starlette's own, it leaves the watch for a client that hangs up to ``Reply``."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], reply: Reply) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._reply.leave()


async def _whole(reply: Reply, head: Head) -> Response:
    text = ""
    try:
        while isinstance(chunk := await reply.next(), TextChunk):
            text += chunk.text
    except HungUp:
        return Response(status_code=499)  # which nobody reads
    finally:
        reply.leave()
    return _json(head.completion(text, chunk))


async def _stream(reply: Reply, head: Head, usage: bool, report: Callable[[Exception], object]) -> Response:
    """Wait for the first piece: until then a refusal has its own status."""
    try:
        first = await reply.next()
    except HungUp:
        reply.leave()
        return Response(status_code=499)
    except BaseException:
        reply.leave()
        raise
    return EventStream(_events(first, reply, head, usage, report), reply)


async def _events(
    chunk: Chunk, reply: Reply, head: Head, usage: bool, report: Callable[[Exception], object]
) -> AsyncIterator[bytes]:
    yield answer.event(head.chunk({"role": "assistant", "content": ""}, None, told_usage=usage))
    try:
        while isinstance(chunk, TextChunk):
            yield answer.event(head.chunk({"content": chunk.text}, None, told_usage=usage))
            chunk = await reply.next()
    except HungUp:
        return
    except Exception as error:
        told = as_api_error(error)
        if told.code == "defect":
            report(error)
        yield answer.event(told.body)
        return
    yield answer.event(head.chunk({}, chunk.reason, told_usage=usage))
    if usage:
        yield answer.event(head.figures(chunk))
    yield answer.DONE


async def _body(request: Request) -> bytes:
    """The request's body, of the one type that no page can send here without being asked first.

    Raises:
        ApiError: 415, another type; 413, too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != "application/json":
        raise ApiError(415, "The body must be JSON: send Content-Type: application/json.", "unsupported_media_type")
    raw = bytearray()
    async for piece in request.stream():  # where the client hangs up meanwhile, ``ClientDisconnect``
        raw += piece
        if len(raw) > LARGEST_BODY:
            raise ApiError(413, f"The body has more than {LARGEST_BODY >> 20} MB: shorten it.", "request_too_large")
    return bytes(raw)


def _prepare(raw: bytes, shelf: Shelf, config: Config) -> Asked:
    """Read ``raw`` and look up what it names; as ``ask``, it fills in what the adapter and the settings suggest."""
    question = read_question(raw)
    named = shelf.find(question.model)
    sampling: Sampling = choose_sampling(config, named.wearing, **question.wishes)
    system = (named.wearing.system_prompt if named.wearing else "") or config.system
    begun = not system or any(turn.role is Role.SYSTEM for turn in question.messages)
    messages = question.messages if begun else (Turn(Role.SYSTEM, system), *question.messages)
    worn = named.wearing.worn if named.wearing else None
    return Asked(question, named, protocol.Request(messages, worn, sampling))


def _json(value: Mapping[str, Any]) -> Response:
    return Response(answer.as_json(value), media_type="application/json")
