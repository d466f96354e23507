"""How long a training will take and what memory it needs. Owns that estimate; never imports torch, never measures.

Everything is counted in tokens of training and divided by a pace, so that a slow machine or a large base stretches the
evaluations and the general answers as it stretches the steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from lora_chat.adapters.registry import Adapter
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.sources.staging import size
from lora_chat.training.events import DatasetReady
from lora_chat.training.peak import lessons_of, peak_bytes, read_of, tokens_a_step
from lora_chat.training.recipe import Recipe

# Measured with the default base (134.5 M parameters) on two cores of an x86 server, nothing else running.
_PACE, _GENERAL_PACE = 450.0, 300.0
"""Tokens a second: 420 to 562 in six trainings of the upper half of the layers by the fast path and float32, 470 to 880
in six by bfloat16, 301 to 376 in five by transformers and PEFT."""
_PARAMETERS, _CORES = 134_515_008, 2
_MEASURING_TOKENS = 800
"""What building the twin and both measurements of the general loss cost: 3 to 4 s."""
_ANSWERS_TOKENS = 31_800
"""What the base's 181 general answers cost: 57 s by bfloat16, 80 by float32, 106 by transformers."""
_NEWEST = 5
"""Earlier trainings that are asked: enough for a median, few enough to forget another machine's load."""
_SANE: Mapping[str, tuple[float, float]] = {"tokens_per_second": (0.01, 1e6), "tokens": (1, 1e12), "steps": (1, 1e6)}
"""What a manifest can truly say."""


@dataclass(frozen=True)
class Estimate:
    """What a training will probably cost."""

    seconds: float
    bytes: int
    """Of the engine process at its peak, the chat and the base included."""
    basis: str
    """What the seconds rest on: ``measured in 2 earlier trainings``, or that they are a guess."""


def estimate(
    counted: DatasetReady,
    recipe: Recipe,
    base: InstalledBase,
    adapters: Iterable[Adapter],
    *,
    prepared: bool,
    measured: float | None = None,
) -> Estimate:
    """Estimate a training before anything is spent on it.

    ``measured`` are the tokens a second of a step that was made on this machine (``pace.read_pace``); without one,
    ``adapters``, those of this machine, tell the pace of the ones trained here on these very weights.
    ``prepared`` says that the base's general answers are kept already. Nothing to learn costs nothing.
    """
    pace, basis = _pace(base, adapters) if measured is None else (measured, "measured on this machine")
    if not counted.examples:
        return Estimate(0.0, 0, basis)
    tokens = tokens_in_all(counted, recipe, prepared=prepared)
    peak = peak_bytes(counted, recipe, base.parameters, base.signature, read_of(base))
    return Estimate(tokens / pace, peak, basis)


def tokens_in_all(counted: DatasetReady, recipe: Recipe, *, prepared: bool) -> float:
    """Tokens that a training goes through, what comes before and after its steps told in tokens too."""
    steps = _steps(counted, recipe) * sum(tokens_a_step(counted, recipe))
    return steps + _MEASURING_TOKENS + (0 if prepared else _ANSWERS_TOKENS)


def check_fits(needed: int, free: int) -> None:
    """Refuse, before the start, what has no room in memory; both in bytes.

    Raises:
        RefusedError: with the numbers and what would need less.
    """
    if needed > free:
        raise RefusedError(
            f"Training needs about {size(needed)} of memory and {size(max(free, 0))} can be had: close other programs, "
            f"leave out the longest conversations, or set a smaller --set microbatch_tokens."
        )


def spoken(seconds: float) -> str:
    """``seconds`` no more precise than an estimate is: ``about 40 s``, ``about 2 min``, ``about 1 h 10 min``."""
    if seconds < 3:
        return "a few seconds"
    fine = 5 * round(seconds / 5) if seconds < 28 else 10 * round(seconds / 10)
    if fine < 120:
        return f"about {fine} s"
    if seconds < 59.5 * 60:
        return f"about {round(seconds / 60)} min"
    hours, minutes = divmod(10 * round(seconds / 600), 60)
    if hours >= 10 or not minutes:
        return f"about {round(seconds / 3600)} h"
    return f"about {hours} h {minutes} min"


def _pace(base: InstalledBase, adapters: Iterable[Adapter]) -> tuple[float, str]:
    """Tokens a second, and what that rests on."""
    if trained := trained_paces(base, adapters):
        return median(trained), f"measured in {len(trained)} earlier training" + ("" if len(trained) == 1 else "s")
    # More cores help less and less: what they share is the memory.
    cores = ((os.cpu_count() or _CORES) / _CORES) ** 0.7
    pace = _PACE if read_of(base) in ("unpacked", "layerwise") else _GENERAL_PACE
    return pace * cores * _PARAMETERS / max(base.parameters, 1), "a guess: this base was never trained on here yet"


def trained_paces(base: InstalledBase, adapters: Iterable[Adapter]) -> list[float]:
    """Tokens a second of the newest trainings that were made here on these very weights."""
    trained = [adapter for adapter in adapters if _trained_here(adapter, base)]
    newest = sorted(trained, key=_age, reverse=True)[:_NEWEST]
    return [float(adapter.manifest.training["tokens_per_second"]) for adapter in newest]


def _trained_here(adapter: Adapter, base: InstalledBase) -> bool:
    """Whether its pace is one of this machine and base; shipped and handed-on adapters were trained elsewhere."""
    manifest = adapter.manifest
    own = adapter.origin == "user" and manifest.private
    same = bool(base.signature.weights) and manifest.base.weights == base.signature.weights
    return own and same and all(_is_sane(manifest.training.get(key), *span) for key, span in _SANE.items())


def _is_sane(value: Any, low: float, high: float) -> bool:
    """Whether a manifest's value, which anybody may have written, is a number in that range; NaN is in none."""
    return type(value) in (int, float) and low <= value <= high


def _age(adapter: Adapter) -> float:
    """When it was installed, in Unix seconds; long ago where nobody can tell."""
    try:
        return adapter.path.stat().st_mtime
    except OSError:
        return 0.0


def _steps(counted: DatasetReady, recipe: Recipe) -> int:
    """How many steps it will probably take.

    A handful: one conversation was learnt after 6 to 9 steps, six after 9 to 15, sixteen not in 40; so each is shown
    some 7 times and once more for each that stands beside it, then it settles. A collection: 48 conversations were
    best at step 54, larger ones are taken to be in their second epoch; then patience runs out.
    """
    train = lessons_of(counted, recipe)
    epoch = math.ceil(train / recipe.batch)
    if recipe.heldout:
        return min(recipe.max_steps, max(54, 2 * epoch) + recipe.patience * epoch)
    return min(recipe.max_steps, epoch * (7 + train) + recipe.settle_steps)
