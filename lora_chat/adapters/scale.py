"""How strongly an adapter is worn. Owns the bounds; never applies one."""

from __future__ import annotations

import math

from lora_chat.errors import RefusedError

LARGEST_SCALE = 16.0


def check_scale(scale: float) -> None:
    """Refuse what is no strength: 0 equals the base, 1 is as trained.

    Raises:
        RefusedError: not a number within ±16.
    """
    if not math.isfinite(scale) or abs(scale) > LARGEST_SCALE:
        raise RefusedError(
            f"An adapter's scale must lie between -{LARGEST_SCALE:g} and {LARGEST_SCALE:g}, not {scale!r}."
        )
