"""Adapters inside a folder that is none itself. Owns looking for them, within bounds; never reads one.

A trainer leaves its adapters in ``checkpoint-500`` and its like; an archive unpacked by hand has a folder around it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from lora_chat.adapters.reading import shown

_DEPTH = 3
_LOOKED_AT = 1000
"""Folders at most, and entries of each: a person may have named their home."""
_TOLD = 5


def adapters_below(folder: Path, names: Collection[str]) -> str:
    """The folders inside ``folder`` that hold all of ``names``, as a list in quotes; empty where none does.

    The nearest come first, and of a training's checkpoints the last one.
    """
    found, looked_at, level = list[str](), 0, [str(folder)]
    for _ in range(_DEPTH):
        inside = list(islice((each for place in level for each in _folders(place)), _LOOKED_AT - looked_at))
        looked_at += len(inside)
        here = [each for each in inside if all(_is_file(each, name) for name in names)]
        found += sorted(here, key=_latest_first)
        level = [each for each in inside if each not in here]
    told = ", ".join(f'"{shown(os.path.relpath(each, folder), 100)}"' for each in found[:_TOLD])
    return f"{told} and {len(found) - _TOLD:,} more" if len(found) > _TOLD else told


def _folders(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return sorted(each.path for each in islice(entries, _LOOKED_AT) if each.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _is_file(folder: str, name: str) -> bool:
    path = Path(folder, name)
    return path.is_file() and not path.is_symlink()


def _latest_first(path: str) -> list[tuple[int, str]]:
    """``checkpoint-1000`` before ``checkpoint-500``, ``a`` before ``b``."""
    return [(-int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]{1,9})", path)]
