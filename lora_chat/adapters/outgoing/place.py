"""Where what leaves is written. Owns that nothing of a person's is overwritten; never decides what is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lora_chat.adapters.reading import shown
from lora_chat.errors import RefusedError

FILE_MODE = 0o644
"""Unlike everything else here, an export is made to be read by others."""
FOLDER_MODE = 0o755


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
