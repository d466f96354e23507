"""Values of a recipe that a person sets. Owns which can be set, to what, and how that is said; never chooses one.

``name=value`` words name the fields of ``Recipe``; what the dial chose holds for all others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, fields, replace
from typing import Any, get_args

from lora_chat.errors import RefusedError, UsageError, did_you_mean
from lora_chat.text import clean_line
from lora_chat.training.general import REHEARSED
from lora_chat.training.recipe import Recipe, Targets

_RANGES: dict[str, tuple[float, float]] = {
    "rank": (1, 256),
    "alpha": (1, 1024),
    "learning_rate": (1e-7, 0.1),
    "warmup_steps": (1, 100_000),
    "max_steps": (1, 100_000),
    "batch": (1, 1024),
    "rehearsed": (0, len(REHEARSED)),
    "rehearsal_weight": (0, 1000),
    "settle_steps": (0, 10_000),
    "learnt_probability": (0.01, 0.999),
    "heldout": (0, 100_000),
    "patience": (0, 1000),
    "seed": (0, 2**63 - 1),
    "weight_decay": (0, 1),
    "gradient_clip": (1e-3, 1000),
    "microbatch_tokens": (1, 1_000_000),
    "variants": (0, 64),
    "varied": (0, 1),
    "falling": (0, 1),
    "upper": (0.01, 1),
}
_WHOLE = {field.name for field in fields(Recipe) if field.type == "int"}


def override(recipe: Recipe, words: Iterable[str], lessons: int, fixed: Collection[str] = ()) -> Recipe:
    """``recipe`` for ``lessons`` conversations with each ``name=value`` of ``words`` in place of its own value.

    Those that are ``fixed`` are the version's before, and stay.

    Raises:
        UsageError: a word is no ``name=value``, or names nothing that can be set; the nearest name is said.
        RefusedError: a value is of the wrong kind or out of its range.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, is_set, text = word.partition("=")
        if not is_set:
            raise UsageError(f'"{clean_line(word, 40)}" sets nothing: write --set rank=16.')
        name = name.strip()
        if name in fixed:
            raise RefusedError(f"A next version keeps the {name} of the one before: leave --set {name} out.")
        values[name] = _value(name, text.strip())
    changed = replace(recipe, **values)
    if changed.heldout >= lessons > 0:
        raise RefusedError(
            f"heldout must leave a conversation to learn from: there are {lessons:,}, so set it below that, not to "
            f"{changed.heldout:,}."
        )
    if changed.heldout and not changed.patience:
        raise RefusedError("patience must be at least 1 where conversations are held out: add --set patience=2.")
    return changed


def check_ranges(recipe: Recipe) -> None:
    """Refuse values that nobody could have set: a recipe that came in a file. Raises as ``override``."""
    for name in _RANGES:
        _value(name, repr(getattr(recipe, name)))


def changes(recipe: Recipe, chosen: Recipe) -> dict[str, tuple[Any, Any]]:
    """Name -> (what ``recipe`` has, what the dial chose), for every value in which they differ."""
    own = asdict(recipe)
    return {name: (own[name], value) for name, value in asdict(chosen).items() if own[name] != value}


def spelled(recipe: Recipe) -> Iterator[str]:
    """Every value as ``name=value``, as ``override`` reads it; the dial is not among them."""
    for name, value in asdict(recipe).items():
        if name != "effort":
            yield f"{name}={spell(value)}"


def spell(value: Any) -> str:
    """One value, a number as it can be typed."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    if name == "targets":
        if text not in get_args(Targets):
            raise RefusedError(f'targets must be {_or(get_args(Targets))}, not "{clean_line(text, 40)}".')
        return text
    if name not in _RANGES:
        raise UsageError(_unknown(name))
    low, high = _RANGES[name]
    kind = "a whole number" if name in _WHOLE else "a number"
    try:
        value = (int if name in _WHOLE else float)(text)
    except ValueError as error:
        raise RefusedError(f'{name} must be {kind}, not "{clean_line(text, 40)}".') from error
    if not low <= value <= high:  # nor is NaN
        raise RefusedError(f"{name} must lie between {low:,} and {high:,}, not {clean_line(text, 40)}.")
    return value


def _unknown(name: str) -> str:
    if name == "effort":
        return "The effort is no single value: choose it with --effort."
    named = clean_line(name, 40)
    near = did_you_mean(named, ["targets", *_RANGES])
    return f'There is no "{named}" in a recipe{near or ": --dry-run shows all its values."}'


def _or(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"
