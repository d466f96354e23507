"""Strangers' files, read once and bounded. Owns how bytes and JSON come in; never believes a word of them.

A file is opened without following a link, checked on the open descriptor (so nothing can be swapped between check
and read), and read at most up to its cap. What is parsed, hashed and written later are these bytes.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.text import clean_line, spelt

# O_NONBLOCK: opening a FIFO that nobody writes would wait for ever. O_BINARY: Windows would translate newlines.
_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"):
    _FLAGS |= getattr(os, _flag, 0)

# Matches from every quote on, also where no end follows: a failed match would be tried again at each quote inside.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_SMALLER = "put a smaller one in its place"
_AGAIN = "correct it, or fetch it again"
_BRACKETS_LIMIT = 400_000  # 20,000 tensors have six each
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def shown(value: object, longest: int = 60) -> str:
    """A foreign value as it may stand in a sentence: one line, cleaned, cut."""
    return clean_line(value if isinstance(value, str) else spelt(value), longest)


def quoted(value: object) -> str:
    """A foreign value with its kind visible: a text in quotes, so that "8" is not taken for 8."""
    return f'"{shown(value)}"' if isinstance(value, str) else shown(value)


def refusal(where: Path | str, why: str) -> RefusedError:
    """The one sentence that refuses ``where``."""
    return RefusedError(f"Cannot use {shown(str(where), 200)}: {why}.")


def read_bytes(path: Path, limit: int) -> bytes:
    """All bytes of the regular file ``path``, at most ``limit``.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: a link, a folder, a device or FIFO, too large, or unreadable.
    """
    return read_head(path, limit, whole=True)[0]


def read_head(path: Path, limit: int, *, whole: bool = False) -> tuple[bytes, int]:
    """The first ``limit`` bytes of ``path`` and its size in bytes; ``whole`` refuses a file larger than that."""
    descriptor = _open(path)
    try:
        return _read(descriptor, path, limit, whole)
    finally:
        os.close(descriptor)


@contextmanager
def opened_file(path: Path) -> Iterator[BinaryIO]:
    """The regular file ``path`` for reading piece by piece. Raises as ``read_bytes``, but for the size."""
    descriptor = _open(path)
    try:
        _check_regular(descriptor, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check_regular(descriptor: int, path: Path) -> os.stat_result:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise refusal(path, "it is not a regular file; replace it by one")
    return facts


def _read(descriptor: int, path: Path, limit: int, whole: bool) -> tuple[bytes, int]:
    facts = _check_regular(descriptor, path)
    if whole and facts.st_size > limit:
        raise refusal(path, f"it has {facts.st_size:,} bytes where at most {limit:,} are accepted; {_SMALLER}")
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1 if whole else limit)
    except OSError as error:
        raise refusal(path, f"it cannot be read ({error.strerror}); look at its disk, or fetch it again") from error
    if whole and len(data) > limit:  # it grew while being read
        raise refusal(path, f"it has more than the {limit:,} bytes that are accepted; {_SMALLER}")
    return data, len(data) if whole else facts.st_size


def _open(path: Path) -> int:
    try:
        # Windows knows no O_NOFOLLOW; where it exists this check only makes the sentence better.
        if path.is_symlink():
            raise refusal(path, "it is a link; copy the file itself into its place")
        return os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no {shown(str(path), 200)}: check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        if getattr(error, "errno", 0) == errno.ELOOP:
            raise refusal(path, "it is a link; copy the file itself into its place") from error
        reason = getattr(error, "strerror", None) or error
        raise refusal(path, f"it cannot be opened ({reason}); correct its permissions or its name") from error


def parse_object(raw: bytes, where: Path | str, depth: int = 32) -> dict[str, Any]:
    """Parse one JSON object strictly: UTF-8, no duplicate keys, no NaN or Infinity, nested at most ``depth`` deep.

    Raises:
        RefusedError: anything else, saying what.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(where, "its JSON is not UTF-8; save it again as UTF-8") from error
    brackets = _STRING.sub(b"", raw).translate(None, _NO_BRACKETS)
    if len(brackets) > _BRACKETS_LIMIT or _deepest(brackets, depth) > depth:
        raise refusal(where, f"its JSON is nested deeper than {depth} levels or is mostly brackets; {_AGAIN}")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant,
                           parse_float=_finite, parse_int=_short)  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise refusal(where, f"its JSON is not valid ({shown(str(error), 120)}); {_AGAIN}") from error
    if not isinstance(value, dict):
        raise refusal(where, f"its JSON must be an object, not {shown(value)}; {_AGAIN}")
    return value


def _deepest(brackets: bytes, enough: int) -> int:
    """Nesting depth, found without parsing: a parser's stack is not the place to find out."""
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > enough:
            break
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key "{shown(key)}" stands twice')
        found[key] = value
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{shown(digits, 20)} is too large for a number")
    return value


def _short(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a whole number of {len(digits):,} digits is too long")
    return int(digits)
