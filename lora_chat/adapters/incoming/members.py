"""What an archive holds, whatever its form. Owns a member's name and what unpacking may cost; never opens a file.

A name is held against every one before it, as a file system that ignores case would see them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from lora_chat.adapters.reading import refusal, shown
from lora_chat.errors import RefusedError
from lora_chat.text import clean

MEMBERS = 2000
DEPTH = 16
NAME_LIMIT = 512
UNPACKED_LIMIT = 2 * 2**30
"""Bytes: twice the largest adapter, or a small one with all that its trainer left beside it."""
RATIO = 20
"""Weights shrink to no less than a half, a tokenizer's JSON to a tenth; only a bomb needs more."""
FREE = 64 * 2**20
"""Bytes before the ratio counts: an adapter that is all zeros is honest; a fifth of a second to unpack."""
PIECE = 256 * 1024


@dataclass(frozen=True)
class Member:
    """One file or folder of an archive."""

    parts: tuple[str, ...]
    """Its name's; none for the archive's own top."""
    size: int
    """Bytes; of a file, as stated and held to."""
    is_folder: bool
    pieces: Iterator[bytes]
    """Its bytes, to be read before the next member."""


class Cost:
    """What unpacking one archive has cost so far."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._members = 0
        self._packed = 0
        self._unpacked = 0

    def member(self) -> None:
        """One more. Raises RefusedError: too many."""
        self._members += 1
        if self._members > MEMBERS:
            raise refusal(self._where, f"it holds more than {MEMBERS:,} files; pack the adapter's own folder alone")

    def packed(self, piece: bytes) -> bytes:
        """Count bytes of the archive that were read; returns them."""
        self._packed += len(piece)
        return piece

    def unpacked(self, piece: bytes) -> bytes:
        """Count bytes that came out; returns them. Raises RefusedError: a bomb."""
        self._unpacked += len(piece)
        if self._unpacked > FREE + RATIO * self._packed:
            raise refusal(self._where, f"it is a bomb, since it unpacks to more than {RATIO} times its size; take "
                                       "another archive")  # fmt: skip
        if self._unpacked > UNPACKED_LIMIT:
            raise refusal(self._where, f"it unpacks to more than {UNPACKED_LIMIT:,} bytes; pack the adapter's own "
                                       "folder alone")  # fmt: skip
        return piece


class Names:
    """The names of one archive, as they come."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._folders: dict[str, str] = {}
        """As they are compared, to the last part as it is spelled."""
        self._files: set[str] = set()

    def take(self, name: str, *, is_folder: bool) -> tuple[str, ...]:
        """Split a member's name.

        Raises:
            RefusedError: it leads out of the archive, hides something, or is another's twin.
        """
        self._check(name)
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise self._unfit(name, "leads out of the archive")
        if len(parts) > DEPTH:
            raise self._unfit(name, f"lies deeper than {DEPTH} folders")
        if not is_folder and (not parts or name.endswith("/")):
            raise self._unfit(name, "is no file's name")
        keys = list(accumulate(map(_folded, parts), "{}/{}".format))
        for part, key in zip(parts, keys if is_folder else keys[:-1], strict=False):
            self._take_folder(name, part, key)
        if not is_folder:
            self._take_file(name, keys[-1])
        return parts

    def _check(self, name: str) -> None:
        if len(name) > NAME_LIMIT:
            raise self._unfit(name, f"has more than {NAME_LIMIT} characters")
        if clean(name) != name or "\n" in name or "\t" in name:
            raise self._unfit(name, "has control or invisible characters")
        if "\\" in name:
            raise self._unfit(name, "has a backslash, which leads elsewhere on Windows")
        if name.startswith("/") or re.match("[A-Za-z]:", name):
            raise self._unfit(name, "is absolute")

    def _take_folder(self, name: str, part: str, key: str) -> None:
        if self._folders.setdefault(key, part) != part or key in self._files:
            raise self._unfit(name, "is another's twin but for its case or form")

    def _take_file(self, name: str, key: str) -> None:
        if key in self._files or key in self._folders:
            raise self._unfit(name, "stands twice, if only in another case or form")
        self._files.add(key)

    def _unfit(self, name: str, why: str) -> RefusedError:
        return refusal(self._where, f'the name "{shown(name, 80)}" in it {why}; pack it again without it')


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", part).casefold()
