"""How fast a base is trained on this machine. Owns the pace measured in a training's steps and its file; never trains.

Kept beside the base as soon as three steps are made, so that a training that is stopped tells the next one too.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from statistics import median

from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably

PACE = "pace.json"
"""Its file's name, beside what else is made once for a base."""
_ENOUGH = 3
"""Steps; the first one alone is slower, as it makes room."""
_SANE = (0.01, 1e6)


class Pace:
    """The pace of one training, step by step."""

    def __init__(self, kept: Path, weights: str) -> None:
        """``weights`` is the base's hash; ``kept`` the file that ``read_pace`` reads."""
        self._kept, self._weights = kept, weights
        self._paces: list[float] = []

    def step(self, tokens: int, seconds: float) -> None:
        """One step of so many tokens took so long; one that waited for a reply is slow, which the median bears."""
        if seconds <= 0:
            return
        self._paces.append(tokens / seconds)
        if len(self._paces) == _ENOUGH or len(self._paces) % 16 == 0:
            self._write(median(self._paces))

    def _write(self, pace: float) -> None:
        found = machine_key(self._weights) | {"tokens_per_second": pace}
        with suppress(OSError, LoraChatError):  # without room for it, the next estimate is a guess
            write_durably(self._kept, json.dumps(found).encode())


def read_pace(kept: Path, weights: str) -> float | None:
    """Tokens a second of the newest training of these very weights on this machine; None before there was one."""
    try:
        found = json.loads(kept.read_bytes())
        known = all(found[key] == value for key, value in machine_key(weights).items())
        pace = float(found["tokens_per_second"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache: whatever is wrong with it, it is measured again
    return pace if known and _SANE[0] <= pace <= _SANE[1] else None


def machine_key(weights: str) -> dict[str, str | int | None]:
    """What a measured figure holds for: these weights on this machine."""
    return {"weights": weights, "machine": f"{platform.node()} {platform.machine()}", "cores": os.cpu_count()}
