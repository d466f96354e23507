"""Other programs' exports, read piece by piece. Owns a JSON array in a file or a zip; holds one element at a time.

For importers: an export of gigabytes takes the memory of its largest conversation.
"""

from __future__ import annotations

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lora_chat.chat.transcript import Problem
from lora_chat.plugins.registrars import Refused

LARGEST_ITEM = 64_000_000
"""Characters of one element."""
LARGEST_UNPACKED = 20_000_000_000
"""Bytes that a zip may unpack to; they are never all on the disk or in memory."""
HEAD = 65_536
"""Bytes that are looked at to know a file."""
_MOST_SNIFFED = 20
_BLOCK = 1 << 20
BREAKS_OFF = "is where the file breaks off; what is before it is whole"
NO_JSON = "is no JSON, and what follows it is not read"
_LITERALS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_HALF_NUMBER = re.compile(r"\.|[eE][+-]?")
_SPACE = re.compile(r"[ \t\r\n]*")


def json_array(path: Path, member: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each element of the JSON array in ``path``, with words for its place: ``conversation 7``.

    In a zip the array is in each member whose name, without folders, matches the pattern ``member``. Where the array is
    cut off or broken, what was whole has been yielded, and a Problem comes last in the element's place.

    Raises:
        Refused: the file is no array and no zip with one, is encrypted, or unpacks to more than 20 GB.
    """
    number = 0
    with _opened(path, member) as streams:
        for stream in streams:
            for element in _elements(stream):
                number += 1
                place = f"conversation {number:,}"
                yield place, (Problem(place, element.why) if isinstance(element, Problem) else element)


def begins_with_keys(path: Path, member: str, keys: Collection[str]) -> bool:
    """Whether the first ``HEAD`` bytes of an array, read as in ``json_array``, name all of ``keys``: a sniff.

    In a zip it may be the array of any of its first few such members.
    """
    try:
        with _opened(path, member) as streams:
            heads = (stream.read(HEAD).decode("utf-8-sig", "replace") for stream in islice(streams, _MOST_SNIFFED))
            return any(text.lstrip().startswith("[") and all(f'"{key}"' in text for key in keys) for text in heads)
    except (Refused, OSError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, zlib.error):
        return False


@contextmanager
def _opened(path: Path, member: str) -> Iterator[Iterator[IO[bytes]]]:
    """The array's bytes: the file's own, or one stream for each member of a zip."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                file.seek(0)
                yield iter([file])
                return
            file.seek(0)
            with zipfile.ZipFile(file) as packed:
                yield _members(path, packed, member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise Refused(f"{path.name} is a broken or unknown kind of zip ({error}): fetch it again.") from error
    except OSError as error:
        raise Refused(f"Cannot read {path.name} ({error.strerror}): correct its name or permissions.") from error


def _members(path: Path, packed: zipfile.ZipFile, member: str) -> Iterator[IO[bytes]]:
    pattern = re.compile(member)
    found = [each for each in packed.infolist() if pattern.fullmatch(PurePosixPath(each.filename).name)]
    if not found:
        raise Refused(f"{path.name} holds no conversations: name the file that the service sent, as it came.")
    if any(each.flag_bits & 1 for each in found):
        raise Refused(f"{path.name} is encrypted: unpack it, then name the file with the conversations.")
    if sum(each.file_size for each in found) > LARGEST_UNPACKED:
        raise Refused(f"{path.name} unpacks to more than {LARGEST_UNPACKED:,} bytes: it is no export of chats.")
    for each in sorted(found, key=lambda one: one.filename):
        with packed.open(each) as stream:
            yield stream  # zipfile itself ends at the size that the directory says, and checks the CRC


def _elements(stream: IO[bytes]) -> Iterator[Any]:
    """Each element as soon as it is whole; a Problem where it cannot go on."""
    source = _Source(stream)
    if not source.skip("["):
        raise Refused("The file is no JSON array of conversations: name the one that the service sent.")
    first = True
    while True:
        if source.skip("]"):
            return
        if not first and not source.skip(","):
            yield Problem("", BREAKS_OFF if source.is_through else NO_JSON)
            return
        first = False
        element = source.element()
        yield element
        if isinstance(element, Problem):
            return


class _Source:
    """Text that is decoded as it is needed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._text, self._at = "", 0
        self._json = json.JSONDecoder()
        self.ended = False

    def _more(self, size: int = _BLOCK) -> None:
        self._text, self._at = self._text[self._at :], 0
        try:
            block = self._stream.read(size)
        except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, OSError):  # a bad CRC, a cut or damaged stream
            block = b""
        except Exception as error:
            if type(error).__module__ not in ("zlib", "lzma"):
                raise
            block = b""
        self.ended = not block
        self._text += self._decode(block, final=self.ended)

    @property
    def is_through(self) -> bool:
        """Whether nothing is left to read."""
        return self.ended and self._at >= len(self._text)

    def skip(self, sign: str) -> bool:
        """Go past white space, and past ``sign`` if it stands there."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space is not None else self._at
            if self._at < len(self._text) or self.ended:
                break
            self._more()
        if self._text[self._at : self._at + 1] != sign:
            return False
        self._at += 1
        return True

    def element(self) -> Any:
        """The JSON value that begins here. Each failed try doubles what is read, so that all of them cost two."""
        self.skip("\0")
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
                if end < len(self._text) or self.ended:
                    self._at = end
                    return value
            except RecursionError:
                return Problem("", "is nested too deep, and what follows it is not read")
            except ValueError as error:
                if self.ended:
                    return Problem("", BREAKS_OFF if _is_cut(error, self._text) else NO_JSON)
            if len(self._text) - self._at > LARGEST_ITEM:
                return Problem("", f"has more than {LARGEST_ITEM:,} characters or is no JSON; it and what follows it "
                                   "are not read")  # fmt: skip
            self._more(max(_BLOCK, len(self._text) - self._at))


def _is_cut(error: ValueError, text: str) -> bool:
    """Whether JSON that cannot be read is the beginning of some that could, which ends where ``text`` does."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    rest = text[error.pos :].rstrip()
    if not rest or error.msg.startswith("Unterminated string"):
        return True
    if "escape" in error.msg:
        return len(rest) < len("\\uXXXX")
    return any(each.startswith(rest) for each in _LITERALS) or bool(_HALF_NUMBER.fullmatch(rest))
