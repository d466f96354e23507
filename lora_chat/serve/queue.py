"""Who is answered next. Owns the one thread that the engine runs on and the line before it; never speaks HTTP.

First come, first served, one at a time: the engine makes one answer as fast as this machine can, and two at once would
each take twice as long. The line is bounded; who gives up leaves it at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from lora_chat.engine.chunks import cleaned
from lora_chat.engine.protocol import BaseInfo, Chunk, Engine, Finished, Request, TextChunk
from lora_chat.errors import EngineError
from lora_chat.serve.errors import ApiError, unavailable

ROOM = 32
"""Requests that may wait beside the one that is answered."""


@dataclass(eq=False)
class Ticket:
    """One request in the line."""

    request: Request
    tell: Callable[[Chunk | Exception], object]
    """Given each piece and the end, or why there is none; called on the engine's thread, and must not wait."""
    cancel: threading.Event = field(default_factory=threading.Event)


class Queue:
    """The engine and the line before it."""

    def __init__(self, open_engine: Callable[[], Engine], window: int, ready: Callable[[], object]) -> None:
        """``ready`` is called once, on the engine's thread, when the engine has loaded or has failed to."""
        self._open_engine = open_engine
        self._window = window
        self._ready = ready
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._running: Ticket | None = None
        self._closed = False
        self.info: BaseInfo | None = None
        """What the engine is, once it has loaded."""
        self.failure: Exception | None = None
        """Why it could not."""
        self._thread = threading.Thread(target=self._work, name="serve-engine", daemon=True)

    def start(self) -> None:
        """Load the engine, then answer."""
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being made."""
        return self._running is not None

    @property
    def is_loading(self) -> bool:
        """Whether the engine has not said yet whether it can be loaded."""
        return self.info is None and self.failure is None

    def check_ready(self) -> BaseInfo:
        """What the engine is.

        Raises:
            ApiError: 503, it has not loaded yet, could not, or the server is ending.
        """
        if self._closed:
            raise unavailable("The server is ending: start it again.", "server_ending")
        if self.failure is not None:
            raise unavailable(f"The engine could not be loaded: {self.failure}")
        if self.info is None:
            raise unavailable("The base model is still being loaded: try again in a few seconds.", "engine_loading")
        return self.info

    def enter(self, ticket: Ticket) -> None:
        """Join the line at its end.

        Raises:
            ApiError: 429, it is full; 503 as ``check_ready``.
        """
        with self._changed:
            self.check_ready()
            if len(self._waiting) >= ROOM:
                message = f"{ROOM} requests are waiting already: try again when some are answered."
                raise ApiError(429, message, "rate_limit_exceeded")
            self._waiting.append(ticket)
            self._changed.notify()

    def leave(self, ticket: Ticket) -> None:
        """Its answer is not wanted any more: gone from the line, or ended within a token."""
        ticket.cancel.set()
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    def close(self) -> None:
        """Let the running answer end and nobody else begin; those who wait are told."""
        with self._changed:
            self._closed = True
            turned_away = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for ticket in turned_away:
            ticket.tell(unavailable("The server is ending: start it again.", "server_ending"))

    def end(self) -> None:
        """Close, stop the running answer too, and wait for the engine's thread, but not for a load."""
        self.close()
        if (running := self._running) is not None:
            running.cancel.set()
        if not self.is_loading:
            self._thread.join()

    def _work(self) -> None:
        try:
            engine = self._open_engine()
            info = engine.load()
            self._window, self.info = info.context_window, info
        except Exception as error:
            self.failure = error
            self._ready()
            return
        self._ready()
        while (ticket := self._next()) is not None:
            self._answer(engine, ticket)

    def _next(self) -> Ticket | None:
        """Wait for the first in the line; None once it is closed."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _answer(self, engine: Engine, ticket: Ticket) -> None:
        try:
            self._check_length(engine.count_tokens(ticket.request.messages))
            with closing(_generated(engine, ticket)) as chunks:
                for chunk in trimmed(cleaned(chunks)):
                    ticket.tell(chunk)
        except EngineError as error:
            ticket.tell(error if engine.is_running else unavailable(str(error)))
        except Exception as error:  # told to whoever asked: the next one is answered all the same
            ticket.tell(error)

    def _check_length(self, tokens: int) -> None:
        if tokens >= self._window:
            raise ApiError(
                400,
                f"This model's maximum context length is {self._window} tokens with the answer, and your messages have "
                f"{tokens}: shorten them.",
                "context_length_exceeded",
                "messages",
            )


def _generated(engine: Engine, ticket: Ticket) -> Generator[Chunk, None, None]:
    """As a generator, which closing ends."""
    yield from engine.generate(ticket.request, ticket.cancel)


def trimmed(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The pieces without the white space that the answer ends in, so that a stream adds up to what ``ask`` says."""
    held = ""
    for chunk in chunks:
        if isinstance(chunk, Finished):
            yield chunk
            continue
        held += chunk.text
        if (shown := held.rstrip()) != "":
            held = held[len(shown) :]
            yield TextChunk(shown)
