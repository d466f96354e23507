"""One HTTP exchange on a thread of its own. Owns its connection and its end; never reads what was said.

The thread blocks in the network; who waits for it looks every 50 ms whether that is still wanted. Giving up shuts the
socket, so that the server hears of it at once. Each exchange has a connection of its own.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

try:  # huggingface_hub brings the one or, since 2.0, the other
    import httpx2 as http
except ImportError:
    import httpx as http  # type: ignore[import-not-found,no-redef,unused-ignore]

from lora_chat.plugins.engine_api import clean_line

_POLL_S = 0.05
_AHEAD = 256
"""Pieces that may wait to be read."""
Trouble = Literal["connect", "late", "stalled", "broken", "tls", "plain", "garbled"]
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL calls an answer that is none of TLS."""


class Cancelled(Exception):
    """It is no longer wanted."""


class Broken(Exception):
    """The exchange ended by itself before it was through."""

    def __init__(self, trouble: Trouble, why: str = "") -> None:
        super().__init__(why)
        self.trouble = trouble
        self.why = why


@dataclass(frozen=True)
class Call:
    """What is asked of a server."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Call({self.method} {self.url})"


@dataclass(frozen=True)
class Head:
    """How an answer begins."""

    status: int
    headers: Mapping[str, str]
    """Their names in lower case."""


def tls_context() -> ssl.SSLContext:
    """What every connection is checked with: always verified; ``SSL_CERT_FILE`` adds a private authority."""
    return http.create_ssl_context()


class Exchange:
    """One request and its answer. Close it with ``abort`` however it went."""

    def __init__(
        self, call: Call, tls: ssl.SSLContext, connect_s: float, unwanted: Callable[[], bool], *, proxies: bool = True
    ) -> None:
        """``unwanted`` tells whether to give up; ``proxies`` whether the environment's are used."""
        self._call = call
        self._tls = tls
        self._connect_s = connect_s
        self._unwanted = unwanted
        self._proxies = proxies
        self._came: queue.Queue[Head | bytes | Broken | None] = queue.Queue(_AHEAD)
        self._given_up = threading.Event()
        self._stream: Any = None
        threading.Thread(target=self._run, name="remote-exchange", daemon=True).start()

    def head(self, seconds: float) -> Head:
        """How the answer begins.

        Raises:
            Cancelled: it is unwanted.
            Broken: no connection, or nothing within ``seconds``.
        """
        came = self._next(seconds, "late")
        assert isinstance(came, Head)
        return came

    def pieces(self, seconds: Callable[[], float]) -> Iterator[bytes]:
        """The answer's bytes as they come; ``seconds`` says how long it may stand still. Raises as ``head``."""
        while (came := self._next(seconds(), "stalled")) is not None:
            assert isinstance(came, bytes)
            yield came

    def abort(self) -> None:
        """Give up what is not through; again, nothing."""
        self._given_up.set()
        if self._stream is not None:
            with suppress(Exception):  # closed already, or not yet a socket
                self._stream.get_extra_info("socket").shutdown(2)  # both ways: it wakes the thread that reads

    def _next(self, seconds: float, late: Trouble) -> Head | bytes | None:
        end = time.monotonic() + seconds
        while True:
            if self._unwanted():
                raise Cancelled
            try:
                came = self._came.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() > end:
                    raise Broken(late) from None
                continue
            if isinstance(came, Broken):
                raise came
            return came

    def _run(self) -> None:
        call = self._call
        times = http.Timeout(None, connect=self._connect_s)
        try:
            with (
                http.Client(verify=self._tls, timeout=times, trust_env=self._proxies, follow_redirects=False) as client,
                client.stream(
                    call.method,
                    call.url,
                    headers=dict(call.headers),
                    content=call.body,
                    extensions={"trace": self._traced},
                ) as answer,
            ):
                self._put(Head(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}))
                for piece in answer.iter_raw():
                    if not self._put(piece):
                        return
            self._put(None)
        except Exception as error:  # told on the thread that waits
            self._put(_trouble(error))

    def _put(self, came: Head | bytes | Broken | None) -> bool:
        while not self._given_up.is_set():
            with suppress(queue.Full):
                self._came.put(came, timeout=_POLL_S)
                return True
        return False

    def _traced(self, event: str, info: Mapping[str, Any]) -> None:
        """The connection as soon as there is one: given up meanwhile, nothing is sent over it."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]
            if self._given_up.is_set():
                raise http.ConnectError("it was given up")


def _trouble(error: Exception) -> Broken:
    """Its name alone where its text could hold more than a reason."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    why = next((_reason(each) for each in causes if isinstance(each, OSError)), "")
    if any(isinstance(each, ssl.SSLError) and each.reason in _NO_TLS for each in causes):
        return Broken("plain", "answers https:// with something else")
    if any(isinstance(each, ssl.SSLEOFError) for each in causes) and isinstance(error, http.ConnectError):
        return Broken("plain", "ends the connection where https:// begins")
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return Broken("tls", why)
    if isinstance(error, http.ConnectTimeout):
        return Broken("connect", "it does not answer")
    if isinstance(error, (http.ConnectError, http.ProxyError, http.UnsupportedProtocol, http.InvalidURL)):
        return Broken("connect", why)
    return Broken("broken", why)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return clean_line(error.verify_message or "its certificate cannot be trusted", 120)
    return clean_line(error.strerror or "", 120)
