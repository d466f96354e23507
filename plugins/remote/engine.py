"""The engine that asks a server. Owns ``Engine``'s promises; the server's ways are its dialect's."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from lora_chat.plugins.engine_api import (
    BaseInfo,
    Chunk,
    EngineError,
    InstalledBase,
    Probe,
    Request,
    StopHeld,
    TextChunk,
    TrainingError,
    TrainingEvent,
    Turn,
    Worn,
    check_sampling,
)

from .answer import Refusal
from .client import CHAT, Client
from .dialects.common import UNTOLD_WINDOW, Dialect
from .dialects.meeting import meet
from .exchange import Cancelled
from .reply import Reply
from .settings import Settings
from .shelf import Shelf

_POLL_S = 0.05
_MOST_REVISIONS = 3
_COUNTS_KEPT = 64


class RemoteEngine:
    """``Engine`` on a server. Replies run at the same time; each has a connection of its own."""

    def __init__(self, client: Client, settings: Settings, base: InstalledBase | None) -> None:
        """``base`` is the one that is chosen here: where it is the server's, adapters are held against it."""
        self._client = client
        self._settings = settings
        self._base = base
        self._shelf = Shelf()
        self._dialect: Dialect | None = None
        self._info: BaseInfo | None = None
        self._meeting = threading.Lock()
        self._closed = threading.Event()
        self._counted = lru_cache(_COUNTS_KEPT)(self._count)

    def __repr__(self) -> str:
        return f"RemoteEngine({self._client.address.place})"

    @property
    def is_running(self) -> bool:
        """See ``Engine.is_running``: whether the server was met."""
        return self._dialect is not None and not self._closed.is_set()

    def load(self) -> BaseInfo:
        """See ``Engine.load``: ask the server what it has.

        Raises:
            EngineError: nobody answers there, or no chat server.
            NotFoundError: it has no such model.
            RefusedError: it has several and none was named.
        """
        self._met(None)
        assert self._info is not None
        return self._info

    @property
    def listed(self) -> tuple[str, ...]:
        """What the server has beside the model: with vLLM its adapters, each of which may be named as the model."""
        return self._met(None).served.others

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        self._check_open()
        began = time.perf_counter()
        check_sampling(request.sampling)
        seed = secrets.randbits(31) if request.sampling.seed is None else request.sampling.seed
        reply = Reply(self._client.address.place, began, seed, 0)
        try:
            if cancel is not None and cancel.is_set():
                raise Cancelled
            dialect = self._met(cancel)
            reply = Reply(self._client.address.place, began, seed, dialect.estimate(request.messages))
            with closing(self._said(dialect, request, seed, reply, cancel)) as pieces:
                for piece in pieces:
                    yield TextChunk(piece)
        except Cancelled:
            yield reply.finished("cancelled")
            return
        yield reply.finished(reply.reason or "stop")

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """See ``Engine.prepare``: the adapter is brought to the server and proved; the prompt is only counted.

        Reading ahead would cost the server's time, and a person's money, for a question that may never come.
        """
        self._check_open()
        if self._dialect is None:
            raise EngineError("The server was not asked yet: the next message does.")
        tokens = self._dialect.estimate(messages)
        try:
            tokens = self._dialect.count(messages, False, cancel)
            if adapter is not None and tokens < self._window(self._dialect):
                with self._dialect.wearing(adapter, cancel):
                    pass
        except Cancelled:
            self._check_open()
        return tokens

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``: the effect is of log-probabilities, all that a server tells."""
        try:
            return self._met(None).probe(adapter)
        except Cancelled as error:
            raise self._was_closed() from error

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """See ``Engine.count_tokens``: the server's count where it has one, else rather too many."""
        self._check_open()
        try:
            return self._counted(messages, continues)
        except Cancelled as error:
            raise self._was_closed() from error

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``: not here.

        Raises:
            TrainingError: always.
        """
        self._check_open()
        raise TrainingError(
            f"The server at {self._client.address.place} trains nothing: train with an engine of this machine."
        )
        yield  # a generator, as every engine's

    def close(self) -> None:
        """See ``Engine.close``: running replies end, and the server gives up what it was brought."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._client.close()
        if self._dialect is not None:
            self._dialect.close()

    def _said(
        self, dialect: Dialect, request: Request, seed: int, reply: Reply, cancel: threading.Event | None
    ) -> Generator[str, None, None]:
        """The reply's text; what the server lost of what it wore is brought once more."""
        held = StopHeld(request.sampling.stop)
        body = dialect.body(request, seed)
        if request.continues:
            held.go_on(request.messages[-1].content)
        for again in (True, False):
            with dialect.wearing(request.adapter, cancel) as fields:
                try:
                    yield from self._cut(self._events(dialect, request, body | fields, cancel), held, reply, cancel)
                    return
                except Refusal as refusal:
                    if not again or not dialect.forgot(fields, refusal.answer):
                        raise dialect.refused(refusal.answer) from refusal

    def _cut(
        self,
        events: Generator[dict[str, Any], None, None],
        held: StopHeld,
        reply: Reply,
        cancel: threading.Event | None,
    ) -> Generator[str, None, None]:
        """The events' text up to a stop string, and nothing after a cancel."""
        with closing(events) as found:
            for event in found:
                if cancel is not None and cancel.is_set():
                    raise Cancelled
                if piece := held.add(reply.take(event)):
                    yield piece
                if held.stopped:
                    reply.reason = "stop"
                    return
        if rest := held.finish():
            yield rest
        if reply.reason is None:
            raise EngineError(
                f"The server at {self._client.address.place} ended in the middle of the answer: what came is kept; "
                "try again."
            )

    def _events(
        self, dialect: Dialect, request: Request, body: dict[str, Any], cancel: threading.Event | None
    ) -> Generator[dict[str, Any], None, None]:
        """What the server says to ``body``, or to the same asked in another way."""
        for left in range(_MOST_REVISIONS, -1, -1):
            try:
                yield from self._client.stream(CHAT, body, cancel)
                return
            except Refusal as refusal:
                other = dialect.revised(body, refusal.answer, request) if left else None
                if other is None:
                    raise
                body = other

    def _met(self, cancel: threading.Event | None) -> Dialect:
        """The server's dialect, from the first call on."""
        self._check_open()
        while not self._meeting.acquire(timeout=_POLL_S):
            if self._closed.is_set() or (cancel is not None and cancel.is_set()):
                raise Cancelled
        try:
            if self._dialect is None:
                began = time.perf_counter()
                dialect = meet(self._client, self._settings, self._shelf, cancel)
                served = dialect.served
                if self._base is not None and not self._base.is_any_of((served.model, *served.aliases)):
                    self._base = None  # another model answers there
                self._shelf.signature = self._base.signature if self._base is not None else None
                self._dialect = dialect
                self._info = self._described(self._dialect, time.perf_counter() - began)
            return self._dialect
        except Cancelled as error:
            if cancel is None:
                raise self._was_closed() from error
            raise
        finally:
            self._meeting.release()

    def _described(self, dialect: Dialect, seconds: float) -> BaseInfo:
        base, served = self._base, dialect.served
        return BaseInfo(
            name=served.model,
            architecture=base.signature.architecture if base is not None else "",
            parameters=served.parameters or (base.parameters if base is not None else 0),
            context_window=self._window(dialect),
            device=self._client.address.place,
            decoding=f"asked over the network, {dialect.name}",
            threads=0,
            load_seconds=seconds,
            aliases=served.aliases,
        )

    def _window(self, dialect: Dialect) -> int:
        return (
            dialect.served.window
            or self._settings.context_window
            or (self._base.window if self._base is not None else UNTOLD_WINDOW)
        )

    def _count(self, messages: tuple[Turn, ...], continues: bool) -> int:
        return self._met(None).count(messages, continues)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise self._was_closed()

    def _was_closed(self) -> EngineError:
        return EngineError("The engine was closed: start lora-chat again.")
