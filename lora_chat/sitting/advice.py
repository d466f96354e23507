"""Which base to take on this machine. Owns the one recommendation and its reason; never measures anything."""

from __future__ import annotations

from lora_chat.models.entry import CatalogEntry
from lora_chat.models.shipped import SHIPPED
from lora_chat.models.sources.staging import size
from lora_chat.sitting.bases import Choice, Choices

FLUENT = 8.0
"""Tokens a second from which on an answer comes about as fast as it is read."""
PATIENT_S = 3600.0
"""Longest training with 100 short examples that is recommended."""
_COARSE = ("Q1", "Q2", "Q3", "IQ1", "IQ2", "IQ3", "TQ")
"""Beginnings of quantisations of less than four bits, which cost a small model much of what it knows."""


def recommend(choices: Choices) -> tuple[Choice | None, str]:
    """The largest base that can be trained here and answers as fast as one reads, and why; or why there is none.

    What needs an account or a conversion by hand is not recommended before it is on this machine. Of what lies in other
    programs' folders only the catalog's models are, in four bits or more; of two of one size the nearer one is.
    """
    ready = [each for each in choices.bases if each.base or (each.entry and not _needs_work(each.entry))]
    fitting = [each for each in ready if each.train == each.chat == "fits"]
    had = size(choices.room.free)
    if not fitting:
        return None, f"No base can be recommended: none is known to be trained within the {had} of memory to be had."
    smallest = min(fitting, key=lambda each: (each.parameters, *_apart(each)))
    if not any(each.speed for each in fitting):
        untimed = "the smallest, as no answer was timed on this machine yet: chat once, then look here again."
        return smallest, untimed + _lies(smallest)
    quick = [each for each in fitting if _is_quick(each)]
    if not quick:
        return smallest, "the smallest, as none is known to answer as fast as one reads." + _lies(smallest)
    best = min(quick, key=lambda each: (-each.parameters, *_apart(each)))
    assert best.speed is not None
    about = "" if best.speed.measured else "about "
    speed = f"{about}{best.speed.value:.0f} tokens/s"
    return best, (
        f"the largest that answers as fast as one reads ({speed}) and that memory allows to train "
        f"({size(best.train_bytes)} of {had}).{_lies(best)}"
    )


def _needs_work(entry: CatalogEntry) -> bool:
    is_strange = bool(entry.place) and not entry.own and entry.lineage not in {each.lineage for each in SHIPPED}
    return entry.gated or bool(entry.obstacle) or is_strange or entry.quantisation.startswith(_COARSE)


def _apart(choice: Choice) -> tuple[bool, bool, bool]:
    """How far away: a base of this machine, one that lies on it as it was published, a GGUF, a download."""
    return choice.base is None, not choice.found_in, bool(choice.entry and choice.entry.quantisation)


def _lies(choice: Choice) -> str:
    return f" It lies in {choice.found_in}: nothing is downloaded." if choice.found_in else ""


def _is_quick(choice: Choice) -> bool:
    speed, seconds = choice.speed, choice.seconds
    if speed is None or speed.bound == "under" or speed.value < FLUENT:
        return False
    return seconds is None or seconds.value <= PATIENT_S
