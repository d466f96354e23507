"""Files of rows: JSON lines, JSON, CSV, TSV and Parquet. Owns how each is taken apart and where a row stands; never
knows what a row means.

What a file holds decides, not what it is called. It is parsed here, not by ``datasets.load_dataset``, which copies a
person's text into a cache that others can read and counts lines otherwise than an editor.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.text import clean_line
from lora_chat.training.choosing.forms import KNOWN, is_known

LONGEST_LINE = 1_000_000
"""Characters of one row."""
LARGEST_FILE = 200_000_000
"""Bytes of a file: all of it is held in memory."""
MOST_ROWS = 200_000
"""Rows of a file: more than a week of training at any pace measured."""

UNCHANGED = "nothing was trained"

_BINARY = {b"PK\x03\x04": "a spreadsheet or an archive", b"\x1f\x8b": "compressed", b"SQLite format 3\0": "a database"}


@dataclass(frozen=True)
class Row:
    """One row and where it stands."""

    source: str
    """What a lesson is named by: ``line 12`` or ``row 12``."""
    where: str
    """What a refusal begins with: ``Line 12 of faq.jsonl``."""
    value: Any


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: it is none of the known kinds, is too large, or a row of it cannot be read, by number.
    """
    rows = _parquet(path) if _begins(path).startswith(b"PAR1") else _text_rows(path)
    for number, row in enumerate(rows, 1):
        if number > MOST_ROWS:
            raise RefusedError(f"{path} has more than {MOST_ROWS:,} rows: take a part of it; {UNCHANGED}.")
        yield row


def _begins(path: Path) -> bytes:
    """The first bytes of a file that can be read at all."""
    try:
        if path.exists() and not path.is_file():
            raise RefusedError(f"{path} is not a file: give a file of examples or `from-history`.")
        with path.open("rb") as file:
            start = file.read(4096)
            size = path.stat().st_size
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}: give a file of examples or `from-history`.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RefusedError(f"Cannot read {path} ({error}): correct its name or permissions.") from error
    if size > LARGEST_FILE:
        raise RefusedError(
            f"{path} has {size:,} bytes and at most {LARGEST_FILE:,} are read: take a part of it; {UNCHANGED}."
        )
    for magic, what in _BINARY.items():
        if start.startswith(magic):
            raise RefusedError(f"{path} is {what}: save it as CSV, JSON lines or Parquet; {UNCHANGED}.")
    return start


def _text_rows(path: Path) -> Iterable[Row]:
    text = _text(path)
    start = text[:4096].lstrip()
    if start.startswith("["):
        return _items(path, text)
    if not start.startswith("{"):
        table = _table(path, text)
        return _lines(path, text) if table is None else table
    return _lines(path, text) if _is_json(text.lstrip().split("\n", 1)[0]) else _one(path, text)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RefusedError(f"Cannot read {path} ({error.strerror}): correct its name or permissions.") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RefusedError(f"{path} is in UTF-16: save it in UTF-8; {UNCHANGED}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RefusedError(f"Line {line} of {path} is not in UTF-8: save the file in UTF-8; {UNCHANGED}.") from error
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise RefusedError(f"Line {line} of {path} holds a NUL, so it is no text: correct it; {UNCHANGED}.")
    return text


# JSON


def _lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            where = f"Line {number} of {path}"
            if len(line) > LONGEST_LINE:
                raise RefusedError(f"{where} is longer than {LONGEST_LINE:,} characters: split it; {UNCHANGED}.")
            yield Row(f"line {number}", where, _json(line, where))


def _items(path: Path, text: str) -> Iterator[Row]:
    first = text.lstrip().split("\n", 1)[0]
    if _is_json(first) and text.strip().count("\n"):  # an array a line: no form of ours, so its line is named
        yield from _lines(path, text)
        return
    for number, item in enumerate(_json(text, str(path)), 1):
        yield Row(f"item {number}", f"Item {number} of {path}", item)


def _one(path: Path, text: str) -> Iterator[Row]:
    """One object over several lines; what is none, and is not called JSON, is lines of which the first is bad."""
    if path.suffix.lower() == ".json" or _is_json(text):
        yield Row("item 1", f"Item 1 of {path}", _json(text, str(path)))
    else:
        yield from _lines(path, text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except _TwiceError as error:
        named = clean_line(str(error), 40)
        raise RefusedError(f'{where} has "{named}" twice in one object: correct it; {UNCHANGED}.') from error
    except (ValueError, RecursionError) as error:  # RecursionError: nested thousands deep
        said = clean_line(str(error), 200)
        raise RefusedError(f"{where} is not JSON ({said}): correct it; {UNCHANGED}.") from error


class _TwiceError(Exception):
    """A key that an object has twice: nobody can say which of both is meant."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found


# CSV and TSV


def _table(path: Path, text: str) -> Iterator[Row] | None:
    """The rows below a first line that names known columns; None where no separator makes it one."""
    named = path.suffix.lower() in (".csv", ".tsv")
    head = text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    for separator in "\t,;|":
        columns = _columns(head, separator)
        if is_known(set(columns)):
            return _cells(path, text, separator, columns)
    if named and head.strip():
        shown = clean_line(head, 80)
        raise RefusedError(f'{path} names no known columns ({KNOWN}) in its first line, "{shown}"; {UNCHANGED}.')
    return None


def _columns(head: str, separator: str) -> list[str]:
    try:
        return [name.strip().casefold() for name in next(csv.reader([head], delimiter=separator, strict=True), [])]
    except csv.Error:
        return []


def _cells(path: Path, text: str, separator: str, columns: list[str]) -> Iterator[Row]:
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise RefusedError(f'{path} has the column "{clean_line(twice, 40)}" twice: rename one; {UNCHANGED}.')
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for number, (line, cells) in enumerate(_records(path, reader)):
        where = f"Row {number} (line {line}) of {path}"
        if number and len(cells) != len(columns):
            raise RefusedError(
                f"{where} has {len(cells)} cells and the first line names {len(columns)} columns: put quotes around a "
                f"text that holds the separator; {UNCHANGED}."
            )
        if number:
            yield Row(f"row {number}", where, _unpacked(dict(zip(columns, cells, strict=True)), where))


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, the columns' names first, with the line that it begins in."""
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise RefusedError(
                f"The row that begins in line {line} of {path} cannot be read ({error}): correct its quotes; "
                f"{UNCHANGED}."
            ) from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _unpacked(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Messages that stand in a cell as JSON."""
    for name in ("messages", "conversations"):
        if isinstance(row.get(name), str) and row[name].lstrip().startswith("["):
            row[name] = _json(row[name], f'The "{name}" of {where[0].lower()}{where[1:]}')
    return row


# Parquet


def _parquet(path: Path) -> Iterator[Row]:
    from lora_chat.training.choosing.parquet import read_parquet

    for number, row in enumerate(read_parquet(path), 1):
        where = f"Row {number} of {path}"
        yield Row(f"row {number}", where, _unpacked(row, where))
