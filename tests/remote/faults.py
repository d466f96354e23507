"""What a fake server does instead of answering. Owns the ways to fail; each is given to ``FakeServer.instead``."""

from __future__ import annotations

import socket
import struct
from typing import Any

from tests.remote.fake_server import Behaviour, Talk


def says(status: int, text: str, kind: str = "application/json", **headers: str) -> Behaviour:
    """One answer as it stands."""
    return lambda talk, _: talk.text(text, status, kind, **headers)


def reset(talk: Talk, _: dict[str, Any]) -> None:
    """The connection ends at once, without a word."""
    talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.close_connection = True
    talk.connection.close()


def stalls(talk: Talk, _: dict[str, Any]) -> None:
    """Nothing at all is said."""
    talk.owner.over.wait()
    talk.close_connection = True


def stalls_after(*words: str) -> Behaviour:
    """Some words and then nothing; the connection stays."""

    def behave(talk: Talk, _: dict[str, Any]) -> None:
        talk.begin_events()
        for word in words:
            talk.piece(word)
        stalls(talk, {})

    return behave


def breaks_after(*words: str) -> Behaviour:
    """Some words, and then the server is gone."""

    def behave(talk: Talk, _: dict[str, Any]) -> None:
        talk.begin_events()
        for word in words:
            talk.piece(word)
        talk.close_connection = True

    return behave


def ends_after(*words: str) -> Behaviour:
    """Some words and a clean end of the connection, but none of the answer."""

    def behave(talk: Talk, _: dict[str, Any]) -> None:
        talk.begin_events()
        for word in words:
            talk.piece(word)
        talk.end_events(done="")

    return behave


def streams(*raw: str) -> Behaviour:
    """These pieces of an event stream, as they stand."""

    def behave(talk: Talk, _: dict[str, Any]) -> None:
        talk.begin_events()
        for each in raw:
            talk.raw(each)
        talk.end_events(done="")

    return behave


def pieces_of(text: str, size: int) -> Behaviour:
    """An event stream cut into pieces of ``size`` bytes, wherever that is."""

    def behave(talk: Talk, _: dict[str, Any]) -> None:
        talk.begin_events()
        raw = text.encode()
        for at in range(0, len(raw), size):
            part = raw[at : at + size]
            talk.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            talk.wfile.flush()
        talk.end_events(done="")

    return behave
