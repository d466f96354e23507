"""Compressed bytes made plain, a bounded piece at a time. Owns the decoders and their memory; never looks into it.

Python's own file objects for these read a gzip header's name byte by byte and give xz all the memory it asks for.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lora_chat.adapters.incoming.members import PIECE
from lora_chat.adapters.reading import refusal

XZ_MEMORY = 96 * 2**20
"""Bytes; `xz -9` needs 65 MiB to unpack."""

Inflate = Callable[[Iterable[bytes], Path], Iterator[bytes]]
"""(packed pieces, whose they are) -> pieces of at most ``PIECE`` bytes. Raises RefusedError: damaged or cut off."""


def gunzipped(packed: Iterable[bytes], where: Path) -> Iterator[bytes]:
    """One gzip member, its checksum held (RFC 1952)."""
    return _inflated(packed, where, 31)


def inflated(packed: Iterable[bytes], where: Path) -> Iterator[bytes]:
    """Raw deflate, as in a zip (RFC 1951)."""
    return _inflated(packed, where, -15)


def _inflated(packed: Iterable[bytes], where: Path, form: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(form)
    try:
        for piece in packed:
            while piece and not decoder.eof:
                yield decoder.decompress(piece, PIECE)
                piece = decoder.unconsumed_tail or decoder.unused_data
            _check_end(piece, where)
        yield decoder.flush()
    except zlib.error as error:
        raise refusal(where, "it is damaged; fetch it again") from error
    _check_whole(decoder.eof, where)


def unxzed(packed: Iterable[bytes], where: Path) -> Iterator[bytes]:
    """One xz stream, its checks held."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    try:
        for piece in packed:
            while not decoder.eof and (piece or not decoder.needs_input):
                yield decoder.decompress(piece, PIECE)
                piece = decoder.unused_data
            _check_end(piece, where)
    except lzma.LZMAError as error:
        if "limit" in str(error):
            raise refusal(where, f"it needs more than {XZ_MEMORY:,} bytes of memory; pack it with `xz -6`") from error
        raise refusal(where, "it is damaged; fetch it again") from error
    _check_whole(decoder.eof, where)


def plain(packed: Iterable[bytes], where: Path) -> Iterator[bytes]:
    """Bytes that are not compressed."""
    yield from packed


def _check_end(after: bytes, where: Path) -> None:
    if after.strip(b"\0"):
        raise refusal(where, "it has bytes after its end; fetch or pack it again")


def _check_whole(ended: bool, where: Path) -> None:
    if not ended:
        raise refusal(where, "it is cut off; fetch it again")
