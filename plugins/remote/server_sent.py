"""Server-sent events out of bytes. Owns the lines and their bounds; never knows what an event means.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterable, Iterator

from .exchange import Broken

LONGEST = 1 << 20
"""Bytes of one event; a token takes a few hundred."""


def events(pieces: Iterable[bytes]) -> Generator[str, None, None]:
    """The data of each event; what is not ended by an empty line is no event.

    Raises:
        Broken: one is longer than ``LONGEST``.
    """
    data: list[str] = []
    size = 0
    for line in _lines(pieces):
        if not line:
            if data:
                yield "\n".join(data)
            data, size = [], 0
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
            size += len(value)
            if size > LONGEST:
                raise Broken("garbled", "an event that does not end")


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        *lines, rest = decoder.decode(piece).replace("\r", "").split("\n")
        for line in lines:
            yield "".join((*waiting, line))
            waiting, size = [], 0
        waiting.append(rest)
        size += len(rest)
        if size > LONGEST:
            raise Broken("garbled", "a line that does not end")
