"""How fast a base answers on this machine. Owns the speed measured in replies and its file; never generates.

Kept beside the base, so that what another one will do can be told before it is downloaded.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.training.pace import machine_key

SPEED = "speed.json"
"""Its file's name, beside what else is made once for a base."""
_ENOUGH = 16
"""Tokens of a reply that is measured: fewer say more about the machine's other business."""
_NEWEST = 9
"""Replies whose median counts."""
_OFTEN = 8
"""Replies of one engine between writes, after the first three."""
_SANE = (0.01, 1e6)


@dataclass(frozen=True)
class Measured:
    """What replies of one base showed."""

    tokens_per_second: float
    """The median; the first token of each reply left out."""
    replies: int
    path: str
    """The way of decoding, such as ``fast path, int4``."""

    @property
    def is_fast(self) -> bool:
        """Whether these were made on the fast path."""
        return self.path.startswith("fast path")


class Speed:
    """The speed of one engine's replies."""

    def __init__(self, kept: Path, weights: str, path: str) -> None:
        """``weights`` is the base's hash; ``kept`` the file that ``read_speed`` reads; ``path`` the way of decoding."""
        self._kept, self._key = kept, machine_key(weights) | {"path": path}
        self._newest: list[float] | None = None
        self._count = 0

    def reply(self, tokens: int, tokens_per_second: float | None) -> None:
        """One reply of so many tokens, made while no training ran, was so fast."""
        if tokens_per_second is None or tokens < _ENOUGH or not _SANE[0] <= tokens_per_second <= _SANE[1]:
            return
        before = self._read_newest() if self._newest is None else self._newest
        self._newest = [*before, round(tokens_per_second, 2)][-_NEWEST:]
        self._count += 1
        if self._count <= 3 or self._count % _OFTEN == 0:
            with suppress(OSError, LoraChatError):  # without room for it nothing is known, and nothing breaks
                write_durably(self._kept, json.dumps(self._key | {"newest": self._newest}).encode())

    def _read_newest(self) -> list[float]:
        found = _read(self._kept)
        return found[1] if found is not None and found[0] == self._key else []


def read_speed(kept: Path, weights: str) -> Measured | None:
    """What the newest replies of these very weights on this machine showed; None before there was one."""
    found = _read(kept)
    if found is None or not found[1]:
        return None
    key, newest = found
    path = key.pop("path", None)
    if key != machine_key(weights) or not isinstance(path, str):
        return None
    return Measured(median(newest), len(newest), path)


def _read(kept: Path) -> tuple[dict[str, object], list[float]] | None:
    """The file's key and its speeds; None if it is no such file: a cache, whatever is wrong is measured again."""
    try:
        found = dict(json.loads(kept.read_bytes()))
        newest = [float(each) for each in found.pop("newest")][-_NEWEST:]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (found, newest) if all(_SANE[0] <= each <= _SANE[1] for each in newest) else None
