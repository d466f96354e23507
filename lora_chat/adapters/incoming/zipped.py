"""A zip's members. Owns its format as far as adapters need it; never seeks where the directory was not held against.

Python's zipfile reads the whole directory at once, cuts names at NUL, reads overlapping members and, in its older
versions, as many as anyone claims. Format: PKWARE's APPNOTE; overlaps: Fifield, "A better zip bomb" (WOOT 2019).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lora_chat.adapters.incoming.inflating import inflated
from lora_chat.adapters.incoming.members import MEMBERS, PIECE, Cost, Member, Names
from lora_chat.adapters.reading import refusal, shown
from lora_chat.errors import RefusedError

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DIRECTORY_LIMIT = MEMBERS * 1024
_ENCRYPTED, _UTF8 = 0x2041, 0x800
"""Flags; encrypted is also strongly so, and with a masked directory."""
_STORED, _DEFLATED = 0, 8
_UNKNOWN = 0xFFFFFFFF
"""A size that stands elsewhere, in a zip64 field."""


@dataclass(frozen=True)
class _Entry:
    """One entry of the directory."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int
    """Of its local header."""

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def read_zip(file: BinaryIO, where: Path, cost: Cost) -> Iterator[Member]:
    """The members in the order of their bytes, each name and size held against its directory.

    Raises:
        RefusedError: it is damaged, lies about itself, or holds what no adapter needs.
    """
    directory, begin = _directory(file, where)
    entries = sorted(_entries(directory, where, cost), key=lambda entry: entry.offset)
    ends = [*(entry.offset for entry in entries), begin][1:]
    names = Names(where)
    for entry, end in zip(entries, ends, strict=True):
        _check_kind(entry, where)
        parts = names.take(entry.name, is_folder=entry.is_folder)
        yield Member(parts, entry.size, entry.is_folder, _pieces(file, entry, end, where, cost))


def _directory(file: BinaryIO, where: Path) -> tuple[bytes, int]:
    """The central directory's bytes and where they begin."""
    size = file.seek(0, 2)
    start = max(0, size - _END.size - 0xFFFF)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise refusal(where, "it is cut off, or its directory is gone; fetch it again")
    _, disk, first_disk, here, count, length, begin, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise refusal(where, "it has bytes after its end; fetch or pack it again")
    if _UNKNOWN in (length, begin) or 0xFFFF in (here, count) or tail[max(0, at - 20) : at][:4] == b"PK\x06\x07":
        raise refusal(where, "it is a zip64, which only archives over 4 GB need; pack the adapter's own folder alone")
    if (disk, first_disk) != (0, 0) or here != count or begin + length != start + at:
        raise refusal(where, "its directory is not where it says; fetch or pack it again")
    if count > MEMBERS or length > _DIRECTORY_LIMIT:
        raise refusal(where, f"it holds more than {MEMBERS:,} files; pack the adapter's own folder alone")
    file.seek(begin)
    return file.read(length), begin


def _entries(directory: bytes, where: Path, cost: Cost) -> Iterator[_Entry]:
    at = 0
    while at < len(directory):
        if len(directory) - at < _ENTRY.size or directory[at : at + 4] != b"PK\x01\x02":
            raise refusal(where, "its directory is damaged; fetch it again")
        fields = _ENTRY.unpack_from(directory, at)
        flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
        lengths, outer, offset = fields[10:13], fields[15], fields[16]
        cost.member()
        raw_name = directory[at + _ENTRY.size : at + _ENTRY.size + lengths[0]]
        yield _Entry(_decoded(raw_name, flags, where), raw_name, flags, method, crc, packed, size, outer >> 16, offset)
        at += _ENTRY.size + sum(lengths)
    if at != len(directory):
        raise refusal(where, "its directory is cut off; fetch it again")


def _decoded(raw: bytes, flags: int, where: Path) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise refusal(where, f'the name "{shown(repr(raw), 80)}" in it is not UTF-8; pack it again') from error


def _check_kind(entry: _Entry, where: Path) -> None:
    kind = stat.S_IFMT(entry.mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unfit(entry, where, "is a link, a device or a pipe; pack the files themselves")
    if entry.flags & _ENCRYPTED:
        raise _unfit(entry, where, "is encrypted; unpack it and install the folder")
    if entry.method not in (_STORED, _DEFLATED):
        raise _unfit(entry, where, f"is packed by method {entry.method}; pack it again as an ordinary zip")
    if _UNKNOWN in (entry.packed, entry.size, entry.offset):
        raise _unfit(entry, where, "has over 4 GB; pack the adapter's own folder alone")
    if entry.is_folder and entry.size:
        raise _unfit(entry, where, "is a folder with bytes of its own; pack it again")


def _pieces(file: BinaryIO, entry: _Entry, end: int, where: Path, cost: Cost) -> Iterator[bytes]:
    """A member's bytes; every one of them is counted before it is believed."""
    packed = _packed(file, _begin(file, entry, end, where), entry.packed, cost)
    crc = left = 0
    for piece in inflated(packed, where) if entry.method == _DEFLATED else packed:
        crc, left = zlib.crc32(piece, crc), left + len(piece)
        if left > entry.size:
            break
        yield cost.unpacked(piece)
    if left != entry.size:
        raise _unfit(entry, where, "has not the size that its directory states; fetch it again")
    if crc != entry.crc:
        raise _unfit(entry, where, "is damaged (its checksum differs); fetch it again")


def _begin(file: BinaryIO, entry: _Entry, end: int, where: Path) -> int:
    """Where a member's bytes begin, once its own header agrees and they end before the next one's."""
    file.seek(entry.offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise _unfit(entry, where, "is not where its directory says; fetch it again")
    name_length, extra_length = _LOCAL.unpack(head)[-2:]
    if file.read(name_length) != entry.raw_name:
        raise _unfit(entry, where, "has another name at its own place; fetch or pack it again")
    begin: int = entry.offset + _LOCAL.size + name_length + extra_length
    if begin + entry.packed > end:
        raise _unfit(entry, where, "overlaps another; pack it again")
    return begin


def _packed(file: BinaryIO, begin: int, count: int, cost: Cost) -> Iterator[bytes]:
    file.seek(begin)
    while count and (piece := file.read(min(count, PIECE))):
        count -= len(piece)
        yield cost.packed(piece)


def _unfit(entry: _Entry, where: Path, why: str) -> RefusedError:
    return refusal(where, f'"{shown(entry.name, 80)}" in it {why}')
