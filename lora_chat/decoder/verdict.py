"""How good each precision is on a base. Owns ``decoding.json`` and the bound; never measures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lora_chat.config import Precision
from lora_chat.files import write_durably

VERDICT = "decoding.json"
BOUND = 1.01
"""A precision passes when its loss is at most this many times that of float32."""

TRIED: tuple[Precision, ...] = ("int4", "int8")
"""By ``auto``, in this order; float32 where neither passes."""

_SCHEMA = "1"


@dataclass
class Verdict:
    """What was measured on a base, in ``decoding.json``."""

    weights: str
    """The base's hash that it was measured for."""
    losses: dict[str, float] = field(default_factory=dict)
    """Of each precision that was tried, nats per token."""
    schema: str = _SCHEMA

    def passes(self, precision: Precision) -> bool:
        """Whether it was measured and is near enough to float32."""
        return self.losses.get(precision, float("inf")) <= self.losses.get("fp32", 0.0) * BOUND

    def is_exact(self, precision: Precision) -> bool:
        """Whether it stands for the same weights as float32: only then is its loss the same to the last bit."""
        return precision in self.losses and self.losses[precision] == self.losses.get("fp32")

    @property
    def chosen(self) -> Precision | None:
        """What ``auto`` decodes in; None while not enough was measured to say."""
        for precision in TRIED:
            if precision not in self.losses:
                return None
            if self.passes(precision):
                return precision
        return "fp32"

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``. Raises as ``write_durably``."""
        write_durably(folder / VERDICT, json.dumps(asdict(self), indent=1).encode())


def read_verdict(folder: Path, hashed: str) -> Verdict | None:
    """What was measured on the base kept in ``folder``; None when nothing was, for these weights."""
    try:
        found = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
        verdict = Verdict(found["weights"], {str(k): float(v) for k, v in found["losses"].items()}, found["schema"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    return verdict if (verdict.weights, verdict.schema) == (hashed, _SCHEMA) else None
