"""Where what leaves is written. Owns that nothing of a person's is overwritten; never decides what is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_chat.adapters.disk import telling
from lora_chat.adapters.reading import shown
from lora_chat.errors import RefusedError

FILE_MODE = 0o644
"""Unlike everything else here, an export is made to be read by others."""
FOLDER_MODE = 0o755


def spelled_out(path: Path) -> Path:
    """``path`` with a home folder in the place of its ``~``.

    Raises:
        RefusedError: there is no such home.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise RefusedError(f"There is no home folder {shown(path.parts[0])}: write out where to with -o.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder that ``path`` goes into, as open to others as any, and tell of a disk that takes neither.

    Raises:
        RefusedError: the disk said no.
    """
    with telling(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield


def check_free(path: Path) -> None:
    """Refuse a place where something is.

    Raises:
        RefusedError: there is a file, a folder or a link of this name.
    """
    if os.path.lexists(path):
        raise RefusedError(f"{shown(str(path), 240)} is there already: name another place with -o, or move it away.")


def check_room(path: Path, needed: int) -> None:
    """Refuse what would not fit on the disk of ``path``, which need not exist.

    Raises:
        RefusedError: with the bytes needed and free.
    """
    folder = next(place for place in path.absolute().parents if place.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusedError(
            f"No room on the disk of {shown(str(folder), 200)}: {needed:,} bytes are needed and {free:,} are free; "
            "make room or name another place with -o."
        )
