"""What adapters were measured to change. Owns ``effects.json`` of one base, a cache, and the words for it; never
measures.

An effect belongs to an adapter's very bytes on one base's very weights, so it is kept under both hashes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably

_MOST = 2000
"""Entries kept; the oldest go first."""


@dataclass(frozen=True)
class Effects:
    """The measured effects of adapters on one base."""

    file: Path
    weights: str
    """``sha256:…`` of the base's weights, as in its signature."""

    def get(self, sha256: str, config_sha256: str) -> float | None:
        """The largest change of a logit that the adapter of these files was measured to make; None when it was not."""
        return self.all().get(_key(sha256, config_sha256))

    def all(self) -> dict[str, float]:
        """Every one, by ``WEIGHTS:CONFIG`` of the adapter's hashes; empty where the file is gone or damaged."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            kept = found["effects"] if found["weights"] == self.weights else {}
            return {str(key): float(value) for key, value in kept.items() if math.isfinite(value)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def put(self, sha256: str, config_sha256: str, effect: float) -> None:
        """Keep one; a disk that takes nothing costs only that it is measured again."""
        if not math.isfinite(effect):
            return
        kept = self.all()
        key = _key(sha256, config_sha256)
        if kept.get(key) == effect:
            return
        kept.pop(key, None)
        newest = list((kept | {key: effect}).items())[-_MOST:]
        try:
            write_durably(self.file, json.dumps({"weights": self.weights, "effects": dict(newest)}).encode())
        except (OSError, LoraChatError):
            return


def told(effect: float) -> str:
    """A measured effect as every face tells it; 0 is one that changes nothing."""
    return f"changes the next token's scores by up to {effect:.3g}" if effect else "changes nothing on the probe"


def told_briefly(effect: float) -> str:
    """The same in a column of a list."""
    return f"changes {effect:.3g}" if effect else "changes nothing"


def _key(sha256: str, config_sha256: str) -> str:
    return f"{sha256}:{config_sha256}"
