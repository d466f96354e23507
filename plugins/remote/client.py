"""How a server is asked. Owns calls, time-outs, second tries and the sentences for a server that does not answer.

It knows no dialect: what a server refuses is handed on as a ``Refusal`` for the dialect to word.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from copy import copy
from typing import Any

from lora_chat.plugins.engine_api import EngineError, clean_line

from .address import Address
from .answer import Answer, Refusal
from .exchange import Broken, Call, Cancelled, Exchange, Head, tls_context
from .key import Key
from .server_sent import events
from .settings import Settings

_LONGEST = 16 << 20
"""Bytes of an answer that is read as a whole."""
_LONGEST_REFUSAL = 64 << 10
_MOST_EVENTS = 4_000_000
_TRIED_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 20.0
_LONGEST_TOLD_S = 86_400.0
_POLL_S = 0.05
_SHORT_S = 30.0
_WANTS_TLS = re.compile(r"(?i)HTTP request (?:was sent )?to (?:an )?HTTPS|speaking plain HTTP|requires TLS")
"""What nginx, Go's servers, Apache and Tomcat say to http:// where they speak https."""
CHAT = "/chat/completions"
_DONE = "[DONE]"
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "lora-chat"}


class Client:
    """One server, asked from any thread; each call has a connection of its own."""

    def __init__(self, address: Address, key: Key, settings: Settings, variables: tuple[str, ...]) -> None:
        """``variables`` are those that a key was looked for in: a refused one is told where it belongs."""
        self.address = address
        self._key = key
        self._settings = settings
        self._variables = variables
        self._tls = tls_context()
        self._closed = threading.Event()
        self._has_answered = False
        """Whether it was ever met as url says."""

    def __repr__(self) -> str:
        return f"Client({self.address.place})"

    def close(self) -> None:
        """End what runs: every call ends with ``Cancelled``."""
        self._closed.set()

    def reopened(self) -> Client:
        """The same for what has to be said after ``close``."""
        other = copy(self)
        other._closed = threading.Event()
        return other

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        at_root: bool = False,
        cancel: threading.Event | None = None,
        seconds: float = _SHORT_S,
    ) -> Answer:
        """Ask for something short; whatever the server says to it is an ``Answer``.

        Raises:
            Cancelled: ``cancel`` or the client was closed.
            EngineError: nobody answers, not this key, or nothing that can be read.
        """
        exchange, head = self._begun(method, path, body, at_root, cancel, seconds)
        try:
            read = self._read(exchange, seconds, _LONGEST)
        except Broken as error:
            raise self._gone(error, "answered half of what it was asked") from error
        finally:
            exchange.abort()
        return self._heard(Answer(head.status, self._key.hidden(read), head.headers.get("content-type", "")))

    def stream(
        self, path: str, body: Any, cancel: threading.Event | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """The events of one answer, up to its end.

        Raises:
            Cancelled: ``cancel`` or the client was closed.
            Refusal: the server will not, before any event.
            EngineError: as ``ask``, or it broke off: what came stays valid.
        """
        limits = self._settings
        exchange, head = self._begun("POST", path, body, False, cancel, limits.first_seconds)
        try:
            kind = head.headers.get("content-type", "")
            if head.status != 200 or "text/event-stream" not in kind:
                answer = Answer(head.status, self._key.hidden(self._read(exchange, _SHORT_S, _LONGEST_REFUSAL)), kind)
                if head.status == 200:
                    raise EngineError(f"{self._named} does not stream its answers: it sent {answer.told}; check url.")
                raise Refusal(self._heard(answer))
            yield from self._events(exchange)
        except Broken as error:
            raise self._gone(error, "broke off in the middle of the answer") from error
        finally:
            exchange.abort()

    @property
    def _named(self) -> str:
        return f"The server at {self.address.place}"

    def _events(self, exchange: Exchange) -> Iterator[dict[str, Any]]:
        limits = self._settings
        begun = False  # from its first word on it may stand still for less
        pieces = exchange.pieces(lambda: limits.stall_seconds if begun else limits.first_seconds)
        with closing(events(pieces)) as found:
            for number, data in enumerate(found):
                if data.strip() == _DONE:
                    return
                event = _parsed(data)
                if not isinstance(event, dict) or number > _MOST_EVENTS:
                    raise Broken("garbled", "what is no event of an answer")
                if event.get("error"):
                    told = Answer(500, self._key.hidden(data), "application/json").told
                    raise EngineError(f"{self._named} failed in the middle of the answer ({told}): try again.")
                begun = True
                yield event

    def _begun(
        self, method: str, path: str, body: Any, at_root: bool, cancel: threading.Event | None, seconds: float
    ) -> tuple[Exchange, Head]:
        """An exchange that the server answers, tried again where nothing came of it; each call can be made twice."""
        call = self._call(method, path, body, at_root)

        def unwanted() -> bool:
            return self._closed.is_set() or (cancel is not None and cancel.is_set())

        for left in range(self._settings.retries, -1, -1):
            wait = _FIRST_WAIT_S * 2 ** (self._settings.retries - left) * (0.5 + random.random())
            exchange = Exchange(
                call, self._tls, self._settings.connect_seconds, unwanted, proxies=not self.address.is_here
            )
            try:
                head = exchange.head(seconds)
                if head.status not in _TRIED_AGAIN or not left:
                    self._check(head, exchange)
                    return exchange, head
                wait = max(wait, _asked_wait(head))
                if wait > _LONGEST_WAIT_S:
                    raise EngineError(f"{self._named} is busy and asks to wait {wait:,.0f} seconds: try again then.")
            except Broken as error:
                exchange.abort()
                if not left or error.trouble not in ("connect", "broken"):
                    advice = "give it more first_seconds" if path == CHAT else "look at its log"
                    raise self._gone(error, "ended the connection without an answer", advice, at_once=True) from error
            except BaseException:
                exchange.abort()
                raise
            exchange.abort()
            _rest(wait, unwanted)
        raise AssertionError("the last try returns or raises")

    def _call(self, method: str, path: str, body: Any, at_root: bool) -> Call:
        """Made here, so that the key is in no other's variables."""
        url = (self.address.root if at_root else self.address.api) + path
        written = None if body is None else json.dumps(body, allow_nan=False).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return Call(method, url, _HEADERS | kind | self._key.headers(), written)

    def _check(self, head: Head, exchange: Exchange) -> None:
        """What no dialect words differently."""
        if head.status in (401, 403):
            names = " or ".join(self._variables)
            had = f"the key from {self._key.source}" if self._key else "a call without a key"
            raise EngineError(f"{self._named} refuses {had} ({head.status}): put its key into {names}.")
        if 300 <= head.status < 400:
            to = clean_line(self._key.hidden(head.headers.get("location", "nowhere")).partition("?")[0], 120)
            raise EngineError(f"{self._named} sends on to {to}, which is not followed: write that address as url.")
        if head.headers.get("content-encoding", "identity") not in ("identity", ""):
            raise EngineError(f"{self._named} packs its answers although it was asked not to: turn that off there.")
        if head.status == 429:
            raise EngineError(f"{self._named} has had too many requests (429): try again in a while.")

    def _heard(self, answer: Answer) -> Answer:
        """The same, where it is no answer of a server that is asked with http:// and speaks https."""
        if answer.status == 400 and self._is_plain and _WANTS_TLS.search(answer.text):
            raise EngineError(f"{self._named} speaks https and url says http://: write https:// in url below [remote].")
        self._has_answered = True
        return answer

    @property
    def _is_plain(self) -> bool:
        return self.address.api.startswith("http:")

    def _read(self, exchange: Exchange, seconds: float, most: int) -> str:
        """All of it within ``seconds``, also of a server that says it byte by byte."""
        read, end = bytearray(), time.monotonic() + seconds
        for piece in exchange.pieces(lambda: end - time.monotonic()):
            read += piece
            if len(read) > most:
                raise Broken("garbled", "more than an answer can be")
            if time.monotonic() > end:
                raise Broken("stalled")
        return read.decode("utf-8", "replace")

    def _gone(
        self, error: Broken, broke: str, advice: str = "look at its log", *, at_once: bool = False
    ) -> EngineError:
        why = f" ({error.why})" if error.why else ""
        again, plain = "try again", "write http:// in url below [remote]"
        if at_once and self._is_plain and not self._has_answered:  # so does who waits for TLS
            again = "try again, or write https:// in url below [remote] if it speaks that"
        if not self.address.is_here:
            plain += ", with insecure = true where the network is your own"
        sentences = {
            "connect": f"Nobody answers at {self.address.place}{why}: start the server or correct url below [remote].",
            "tls": f"The connection to {self.address.place} cannot be trusted{why}: correct the server's certificate.",
            "plain": f"{self._named} {error.why}: {plain}, or have the server speak https.",
            "late": f"{self._named} does not begin to answer: try again, or {advice}.",
            "stalled": f"{self._named} stopped in the middle of the answer and says no more: try again.",
            "broken": f"{self._named} {broke}{why}: {again}.",
            "garbled": f"{self._named} sent {error.why or 'what cannot be read'}: check that url names a chat server.",
        }
        return EngineError(sentences[error.trouble])


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _asked_wait(head: Head) -> float:
    try:
        return min(max(0.0, float(head.headers.get("retry-after", "0"))), _LONGEST_TOLD_S)
    except ValueError:  # a date
        return 0.0


def _rest(seconds: float, unwanted: Any) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if unwanted():
            raise Cancelled
        time.sleep(_POLL_S)
