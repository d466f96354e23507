"""A foreign folder, read with care. Owns what keeps a search inside one root and bounded; never writes a byte.

Links are followed only to files inside the root (a hub cache is made of such links), folders behind links never. What
is left out is counted, and told in one sentence for each kind.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_chat.errors import LoraChatError
from lora_chat.text import clean, clean_line

HARM = (
    *(LoraChatError, OSError, ValueError, TypeError, KeyError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError),
)
"""What foreign content can raise: a file is then left out, and the search goes on."""
MOST = 50_000
"""Files and folders that are looked at below one root."""


class Within:
    """One root and what may be read below it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._left = MOST
        self._listed: dict[Path, list[os.DirEntry[str]]] = {}
        self._unreadable: list[str] = []
        self._odd: set[str] = set()
        self._outward: set[str] = set()

    def is_there(self) -> bool:
        """Whether the root is a folder; one that cannot even be asked for is told as unreadable."""
        try:
            return stat.S_ISDIR(self.root.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._unreadable.append(f"{self.root} ({error.strerror})")
            return False

    def folders(self, folder: Path) -> list[Path]:
        """The folders in ``folder`` by name, none of them hidden, none behind a link."""
        found = []
        for entry in self._entries(folder):
            try:
                if entry.is_dir(follow_symlinks=False):
                    found.append(folder / entry.name)
                elif entry.is_symlink() and entry.is_dir() and not self._is_inside(entry.path):
                    self._outward.add(entry.path)
            except OSError:  # links in a circle
                continue
        return found

    def files(self, folder: Path) -> dict[str, Path]:
        """The plain files in ``folder`` by name, none of them hidden; links only where they stay inside the root."""
        return {entry.name: folder / entry.name for entry in self._entries(folder) if self._is_file(entry)}

    def is_file(self, path: Path) -> bool:
        """Whether ``path`` is a plain file inside the root. Raises OSError where that cannot be asked."""
        return self._is_inside(path) and path.is_file()

    def read_text(self, file: Path, limit: int) -> str:
        """The whole text of a plain ``file`` inside the root.

        Raises:
            OSError: it cannot be read.
            ValueError: no such plain file, over ``limit`` bytes, or no UTF-8.
        """
        if not self.is_file(file):  # opening a pipe would wait for ever
            raise ValueError("no plain file")
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"more than {limit} bytes")
        return data.decode("utf-8")

    def read_json(self, file: Path, limit: int) -> dict[str, Any]:
        """The object in a plain ``file`` inside the root. Raises as ``read_text``.

        Raises:
            ValueError: no JSON object, RecursionError: one nested too deep.
        """
        found = json.loads(self.read_text(file, limit))
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        return found

    def left_out(self) -> Iterator[str]:
        """One sentence for each kind of thing that was not looked at."""
        for place in self._unreadable:
            yield f"{clean_line(place)} cannot be read, so no base is found there: correct its permissions."
        where = clean_line(str(self.root))
        if self._odd:
            yield f"{_counted(len(self._odd), 'name')} in {where} cannot be shown on a screen: rename what has them."
        if count := len(self._outward):
            yield (
                f"{_counted(count, 'link')} in {where} lead{'s' if count == 1 else ''} out of it and "
                f"cannot be followed: name the other folder in model_folders of config.toml."
            )
        if self._left < 0:
            yield f"{where} holds more than {MOST:,} files, so not all were looked at: name a smaller folder."

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        if folder not in self._listed:
            self._listed[folder] = self._list(folder)
        return self._listed[folder]

    def _list(self, folder: Path) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._left -= 1
                    if self._left < 0:
                        break
                    if entry.name.startswith("."):
                        continue
                    if clean(entry.name) != entry.name or set("\n\t") & set(entry.name):
                        self._odd.add(entry.path)
                        continue
                    found.append(entry)
        except OSError as error:
            self._unreadable.append(f"{folder} ({error.strerror})")
        return sorted(found, key=lambda entry: entry.name)

    def _is_file(self, entry: os.DirEntry[str]) -> bool:
        try:
            if not entry.is_file():
                return False
        except OSError:  # links in a circle
            return False
        if entry.is_symlink() and not self._is_inside(entry.path):
            self._outward.add(entry.path)
            return False
        return True

    def _is_inside(self, path: str | Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self.root)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
