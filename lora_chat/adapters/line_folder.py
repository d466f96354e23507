"""Where the other versions of an adapter lie. Owns the places in ``lines/<name>/`` and the word there for which one is
worn; never reads a version.

The worn version lies among the adapters, so a change of version is two renames. Before the first of them the name of
the version that is to be worn is written down: a program killed between the two leaves nothing worn and nothing lost,
and ``recover`` does the second.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lora_chat.adapters.manifest import checked_name
from lora_chat.adapters.reading import read_bytes, refusal
from lora_chat.errors import LoraChatError
from lora_chat.files import sync_folder, write_durably
from lora_chat.paths import Paths

_VERSIONS, _CURRENT = "versions", "current"


def versions_folder(name: str, paths: Paths) -> Path:
    """Where the versions of ``name`` lie that are not worn; it need not be there.

    Raises:
        RefusedError: nothing can be called so, or it is a link, which could lead anywhere.
    """
    folder = paths.lines / checked_name(name) / _VERSIONS
    for place in (folder.parent, folder):
        if place.is_symlink():
            raise refusal(place, "it is a link; put the folder itself in its place")
    return folder


def say_current(name: str, number: str, paths: Paths) -> None:
    """Write down, durably, which version is to be worn. Raises OSError and RefusedError: the disk takes nothing."""
    write_durably(paths.lines / name / _CURRENT, f"{number}\n".encode())


def said_current(name: str, paths: Paths) -> str:
    """Which version was last written down; empty where none was."""
    with suppress(LoraChatError, UnicodeDecodeError):
        return checked_name(read_bytes(paths.lines / name / _CURRENT, 100).decode("ascii").strip())
    return ""


def forget_current(name: str, paths: Paths) -> None:
    """No version is to be put where none is."""
    with suppress(OSError):
        (paths.lines / name / _CURRENT).unlink()


def recover(paths: Paths) -> None:
    """Put right each change of version that was killed half-way; says nothing where the disk does not let it."""
    with suppress(OSError):
        for line in paths.lines.iterdir():
            with suppress(OSError, LoraChatError):
                _finish(line.name, paths)


def _finish(name: str, paths: Paths) -> None:
    place = paths.adapters / name
    number = "" if os.path.lexists(place) else said_current(name, paths)
    if not number:
        return
    kept = versions_folder(name, paths) / number
    if kept.is_dir() and not kept.is_symlink():
        os.replace(kept, place)
        sync_folder(paths.adapters)
        sync_folder(kept.parent)
