"""How the open conversation's answers are drawn. Owns what it has its own of, and the words for it; draws no token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lora_chat.engine.protocol import check_wishes
from lora_chat.errors import UsageError
from lora_chat.session import choose_sampling
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

SETTINGS: dict[str, Callable[[str], Any]] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "repetition_penalty": float,
    "max_tokens": int,
    "seed": int,
}
"""What ``/set`` knows."""

BACK = "default"
"""Takes a setting back."""


def wishes(sitting: Sitting) -> dict[str, Any]:
    """What the open conversation has its own of, or the one that begins next."""
    return dict(sitting.pending if sitting.conversation is None else sitting.conversation.wishes)


def begins_with(sitting: Sitting) -> dict[str, Any]:
    """What a conversation that begins now has: who answers, what is worn, and how it is drawn."""
    worn = {"adapter": sitting.wearing.name, "scale": sitting.wearing.scale} if sitting.wearing else {}
    return {"model": sitting.answerer.name, "sampling": json.dumps(sitting.pending)} | worn


def set_sampling(sitting: Sitting, words: str) -> None:
    """Show how answers are drawn here, or change it from the next one on; it is kept with the conversation."""
    if not words:
        sitting.face.details("Sampling", facts(sitting))
        return
    name, _, value = words.partition(" ")
    sitting.refresh()
    now = wishes(sitting)
    if words == BACK:
        now.clear()
        said = "Answers are drawn here as elsewhere from the next answer on."
    elif name not in SETTINGS:
        raise UsageError(f"Write /set and one of {', '.join(SETTINGS)} with a value, or /set {BACK}.")
    elif value.strip() == BACK:
        now.pop(name, None)
        there = _spoken(getattr(_elsewhere(sitting), name))
        said = f"{name} is here what it is elsewhere, {there}, from the next answer on."
    else:
        now[name] = _read(name, value)
        check_wishes({name: now[name]})
        said = f"{name} is {_spoken(now[name])} from the next answer on."
    _keep(sitting, now)
    sitting.face.note(said)


def facts(sitting: Sitting) -> list[tuple[str, str]]:
    """Each setting with what holds, and whose word that is."""
    own, now, other = wishes(sitting), sitting.sampling(), _elsewhere(sitting)
    worn = sitting.wearing is not None and sitting.wearing.temperature is not None
    rows = []
    for name in SETTINGS:
        said = _spoken(getattr(now, name))
        if name in own:
            rows.append((name, f"{said} (this conversation; elsewhere {_spoken(getattr(other, name))})"))
        elif name == "temperature" and worn:
            rows.append((name, f"{said} (the adapter, {sitting.worn})"))
        else:
            rows.append((name, f"{said} (the settings)"))
    return rows


def differing(sitting: Sitting) -> str:
    """What is drawn otherwise here than elsewhere, such as ``temperature 0.7, top_p 0.5``; empty where nothing is."""
    other = _elsewhere(sitting)
    own = {name: value for name, value in wishes(sitting).items() if value != getattr(other, name)}
    return ", ".join(f"{name} {_spoken(own[name])}" for name in SETTINGS if name in own)


def _elsewhere(sitting: Sitting) -> Any:
    """How they would be drawn if this conversation had nothing of its own."""
    return choose_sampling(sitting.session.config, sitting.wearing)


def _keep(sitting: Sitting, now: dict[str, Any]) -> None:
    """One that has not begun is not begun by this: it takes them along when it does."""
    if sitting.conversation is None:
        sitting.pending = now
        sitting.face.changed()
    else:
        sitting.update(sampling=json.dumps(now))


def _read(name: str, value: str) -> Any:
    try:
        return SETTINGS[name](value)
    except ValueError as error:
        raise UsageError(f'"{clean_line(value, 40)}" is no value for {name}: write a number.') from error


def _spoken(value: float | None) -> str:
    return "drawn anew" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"
