"""A tar's members. Owns its format as far as adapters need it; reads forwards only and never holds a member whole.

Python's tarfile reads extended headers of any length into memory, and believes their sparse maps. Its ``TarInfo`` still
reads the 512 bytes of one header here. Format: POSIX.1-2017, pax; GNU's long names.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.incoming.members import Cost, Member, Names
from lora_chat.adapters.reading import refusal, shown
from lora_chat.errors import RefusedError

BLOCK = 512
_EXTENSION_LIMIT = 64 * 1024
_EXTENSIONS_LIMIT = 2 * 2**20
"""Bytes of all extended headers of one archive; attributes that macOS keeps are some hundred a file."""
_PADDING_LIMIT = 2**20
"""Bytes: whole records end a tar, of 10 KiB as a rule."""
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class _Stream:
    """Pieces, read by the count."""

    def __init__(self, pieces: Iterator[bytes], where: Path) -> None:
        self._pieces = pieces
        self._where = where
        self._held = b""

    def pieces(self, count: int) -> Iterator[bytes]:
        """The next ``count`` bytes as they come. Raises RefusedError: there are fewer."""
        while count:
            if not self._held and not self._fill():
                raise refusal(self._where, "it is cut off; fetch it again")
            taken, self._held = self._held[:count], self._held[count:]
            count -= len(taken)
            yield taken

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes at once."""
        return b"".join(self.pieces(count))

    def check_padding(self) -> None:
        """Read on to the end, which must be near and zeros. Raises RefusedError: it is not."""
        seen = 0
        while self._held or self._fill():
            seen += len(self._held)
            if self._held.strip(b"\0") or seen > _PADDING_LIMIT:
                raise refusal(self._where, "it has bytes after its end; fetch or pack it again")
            self._held = b""

    def _fill(self) -> bool:
        self._held = next((piece for piece in self._pieces if piece), b"")
        return bool(self._held)


@dataclass
class _Ahead:
    """What extended headers said of the next member."""

    name: str | None = None
    spent: int = 0
    """Bytes of extended headers so far."""


def read_tar(plain: Iterator[bytes], where: Path, cost: Cost) -> Iterator[Member]:
    """The members in their order.

    Raises:
        RefusedError: it is damaged, no tar, or holds what no adapter needs.
    """
    stream, names, ahead = _Stream(plain, where), Names(where), _Ahead()
    while (head := _head(stream.exactly(BLOCK), where)) is not None:
        cost.member()
        if head.type in (*_PAX, *_LONG):
            _extend(ahead, head, stream, where)
            continue
        is_folder = head.isdir()
        _check_kind(head, is_folder, where)
        parts = names.take(ahead.name or head.name, is_folder=is_folder)
        ahead.name = None
        pieces = stream.pieces(head.size)
        yield Member(parts, head.size, is_folder, pieces)
        for _ in pieces:  # what nobody wanted
            pass
        stream.exactly(-head.size % BLOCK)
    stream.check_padding()


def is_tar(block: bytes) -> bool:
    """Whether ``block`` is the header of a tar's member, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _head(block: bytes, where: Path) -> tarfile.TarInfo | None:
    """The header in ``block``; None for the zeros that end a tar."""
    if not block.strip(b"\0"):
        return None
    try:
        head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError) as error:
        raise refusal(where, "it is damaged, or what is packed in it is no tar; fetch it again") from error
    if head.size < 0:
        raise refusal(where, f'"{shown(head.name, 80)}" in it has a size below zero; fetch it again')
    return head


def _check_kind(head: tarfile.TarInfo, is_folder: bool, where: Path) -> None:
    if not is_folder and head.type not in _FILES:
        raise _unfit(head, where, "is a link, a device, a pipe or of no known kind; pack the files themselves")
    if is_folder and head.size:
        raise _unfit(head, where, "is a folder with bytes of its own; pack it again")


def _extend(ahead: _Ahead, head: tarfile.TarInfo, stream: _Stream, where: Path) -> None:
    """Take what an extended header says of the next member: its name, and nothing else."""
    ahead.spent += head.size
    if head.size > _EXTENSION_LIMIT or ahead.spent > _EXTENSIONS_LIMIT:
        raise _unfit(head, where, f"is an extended header of {head.size:,} bytes; pack it again without attributes")
    raw = stream.exactly(head.size)
    stream.exactly(-head.size % BLOCK)
    if head.type == tarfile.GNUTYPE_LONGNAME:
        ahead.name = raw.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if head.type in _PAX:
        said = _records(raw, where)
        if said.keys() & {"size", "linkpath", "hdrcharset"} or any(key.startswith("GNU.sparse") for key in said):
            raise _unfit(head, where, "is an extended header that no adapter needs; pack it again plainly")
        if "path" in said and head.type == tarfile.XGLTYPE:
            raise _unfit(head, where, "would rename every file; pack it again plainly")
        ahead.name = said.get("path", ahead.name)


def _records(raw: bytes, where: Path) -> dict[str, str]:
    """``LENGTH KEY=VALUE\\n``, LENGTH of the whole record in bytes."""
    found, at = {}, 0
    while at < len(raw):
        length = raw[at : at + 8].partition(b" ")[0]
        end = at + int(length) if length.isdigit() else 0
        key, equals, value = raw[at + len(length) + 1 : end].partition(b"=")
        if end <= at or end > len(raw) or not equals or not value.endswith(b"\n"):
            raise refusal(where, "one of its extended headers is damaged; fetch it again")
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        at = end
    return found


def _unfit(head: tarfile.TarInfo, where: Path, why: str) -> RefusedError:
    return refusal(where, f'"{shown(head.name, 80)}" in it {why}')
