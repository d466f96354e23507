"""What a half-written ``@name`` could become. Owns how far folders are looked into for it; never opens a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lora_chat.sitting.attaching import BEGINS, place_of, written
from lora_chat.sitting.completion import MOST, Completion
from lora_chat.text import clean_line

LOOKED_AT = 20_000
"""Names of one folder that are looked at: a huge one is completed as far as that goes."""

BELOW = 5_000
"""Names that are looked at in the folders below, where no name here begins so."""

_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages"})
"""Folders of what nobody wrote; hidden ones are passed by too."""

_BEGUN = re.compile(BEGINS + r'("[^"\n]*|[^\s"]*)$')

_Found = tuple[str, os.DirEntry[str]]


def begun(line: str) -> str | None:
    """The ``@name`` that ``line`` ends with, as far as it is written; None where there is none."""
    found = _BEGUN.search(line)
    return found[0] if found else None


def files_like(half: str) -> list[Completion]:
    """The ways to go on from ``half``, which begins with ``@``: in its folder, else in those below.

    None where it is a file's whole name. What is no file and no folder is left out, as is a name that cannot be
    written in a line, and a hidden one until its dot is.
    """
    name = half[1:].removeprefix('"')
    head, slash, typed = name.rpartition("/")
    folder = place_of(head + slash) if slash else Path.cwd()
    if name == "~":
        folder, slash, typed = Path.home(), "~/", ""
    here = [(head + slash + entry.name, entry) for entry in _entries(folder, LOOKED_AT) if _fits(entry.name, typed)]
    if any(entry.name == typed and not _is_folder(entry) for _, entry in here):
        return []  # Enter must send where the name is whole, also beside a longer one
    found = sorted(here, key=lambda each: (not each[1].name.startswith(typed), each[0].casefold(), each[0]))
    if not found and not slash and len(typed) > 1:
        found = sorted(_below(folder, typed), key=lambda each: (each[0].count("/"), each[0].casefold()))
    return [_completion(each, half.startswith('@"')) for each in found[:MOST]]


def _entries(folder: Path, most: int) -> Iterator[os.DirEntry[str]]:
    """What is in ``folder`` and could be meant; nothing where it cannot be looked into."""
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, most):
                if clean_line(entry.name) == entry.name and '"' not in entry.name and _is_wanted(entry):
                    yield entry
    except (OSError, ValueError):
        return


def _fits(name: str, typed: str) -> bool:
    return name.lower().startswith(typed.lower()) and (typed.startswith(".") or not name.startswith("."))


def _below(folder: Path, typed: str) -> Iterator[_Found]:
    """Those in the folders below, the nearest first."""
    waiting, left = [("", folder)], BELOW
    while waiting and left > 0:
        head, at = waiting.pop(0)
        for entry in _entries(at, left):
            left -= 1
            if head and _fits(entry.name, typed):
                yield head + entry.name, entry
            if not entry.name.startswith(".") and entry.name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
                waiting.append((f"{head}{entry.name}/", at / entry.name))


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _completion(found: _Found, quoted: bool) -> Completion:
    """A folder's name goes on; behind a file's there is a space."""
    name, entry = found
    if _is_folder(entry):
        line = written(f"{name}/", quoted)
        return Completion(line.removesuffix('"'), f"{name}/", "folder", False)
    return Completion(f"{written(name, quoted)} ", name, _size(entry), False)


def _size(entry: os.DirEntry[str]) -> str:
    try:
        size = entry.stat().st_size
    except OSError:
        return ""
    return f"{size:,} byte{'' if size == 1 else 's'}" if size < 10_000 else f"{size / 1000:,.0f} kB"
