"""Which base to take on this machine. Owns the one recommendation and its reason; never measures anything."""

from __future__ import annotations

from lora_chat.models.entry import CatalogEntry
from lora_chat.models.sources.staging import size
from lora_chat.sitting.bases import Choice, Choices

FLUENT = 8.0
"""Tokens a second from which on an answer comes about as fast as it is read."""
PATIENT_S = 3600.0
"""Longest training with 100 short examples that is recommended."""


def recommend(choices: Choices) -> tuple[Choice | None, str]:
    """The largest base that can be trained here and answers as fast as one reads, and why; or why there is none.

    What needs an account or a conversion by hand is not recommended before it is on this machine.
    """
    ready = [each for each in choices.bases if each.base or (each.entry and not _needs_work(each.entry))]
    fitting = [each for each in ready if each.train == each.chat == "fits"]
    had = size(choices.room.free)
    if not fitting:
        return None, f"No base can be recommended: none is known to be trained within the {had} of memory to be had."
    smallest = min(fitting, key=lambda each: each.parameters)
    if not any(each.speed for each in fitting):
        return smallest, "the smallest, as no answer was timed on this machine yet: chat once, then look here again."
    quick = [each for each in fitting if _is_quick(each)]
    if not quick:
        return smallest, "the smallest, as none is known to answer as fast as one reads."
    best = max(quick, key=lambda each: each.parameters)
    assert best.speed is not None
    about = "" if best.speed.measured else "about "
    speed = f"{about}{best.speed.value:.0f} tokens/s"
    return best, (
        f"the largest that answers as fast as one reads ({speed}) and that memory allows to train "
        f"({size(best.train_bytes)} of {had})."
    )


def _needs_work(entry: CatalogEntry) -> bool:
    return entry.gated or bool(entry.obstacle)


def _is_quick(choice: Choice) -> bool:
    speed, seconds = choice.speed, choice.seconds
    if speed is None or speed.bound == "under" or speed.value < FLUENT:
        return False
    return seconds is None or seconds.value <= PATIENT_S
