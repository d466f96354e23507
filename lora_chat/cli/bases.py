"""How base models are told in the shell. Owns the table, the page of one and their JSON; never decides a figure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_chat.sitting.bases import Choice, Choices, Figure, Room

_MORE = (88, 110, 120)
"""How wide a terminal must be for each of the further columns."""
_NARROW, _WIDE = 24, 100
"""Columns that running text takes at least and at most."""
_LABEL = 14
"""Where the second column of a page begins."""


def show_table(choices: Choices, say: Callable[[str], str] = str) -> None:
    """All of them for a person, what the marks mean, and which one to take; ``say`` says it as the person reads it."""
    from lora_chat.cli.console import answer, answer_table
    from lora_chat.sitting.advice import recommend
    from lora_chat.sitting.base_words import HEAD, MORE, NUMBERS, cells, legend, more_cells

    width = shutil.get_terminal_size().columns
    more = [name for name, least in zip(MORE, _MORE, strict=True) if width >= least]
    rows = [[*cells(choice), *(more_cells(choice)[name] for name in more)] for choice in choices.bases]
    told = [[name, *map(say, figures)] for name, *figures in rows]
    answer_table([_head(name, say) for name in (*HEAD, *more)], told, right=NUMBERS)
    answer()
    for line in legend(choices, "`lora-chat model info NAME` tells more."):
        _say(say(line))
    best, why = recommend(choices)
    _say(say(f"Recommended here: {best.name}, {why}" if best is not None else why))


def _head(name: str, say: Callable[[str], str]) -> str:
    """A column's name, in capitals where the language has them."""
    said = say(name.lower())
    return name if said == name.lower() else said


def show_page(choice: Choice, room: Room, wish: str) -> None:
    """One of them for a person, who asked for it as ``wish``."""
    from lora_chat.cli.console import answer
    from lora_chat.sitting.base_words import facts_of
    from lora_chat.text import clean_line

    answer(f"{choice.name} · {choice.lineage}")
    if choice.entry is not None and choice.entry.description:
        _say(choice.entry.description)
    answer()
    for label, text in facts_of(choice, room, f"`lora-chat model pull {clean_line(wish, 120)}`"):
        _say(f"{label:{_LABEL}}{text}", _LABEL)


def as_json(choice: Choice) -> dict[str, Any]:
    """What programs read of one; unknown is null."""
    from lora_chat.sitting.base_words import context_window

    entry, base = choice.entry, choice.base
    return {
        "name": choice.name,
        "source": choice.source,
        "path": None if base is None else str(base.folder),
        "bytes": base.bytes if base is not None else entry.installed_bytes if entry is not None else 0,
        "installed": base is not None,
        "found_in": choice.found_in or None,
        "found_at": None if choice.found_at is None else str(choice.found_at),
        "quantisation": entry.quantisation if entry is not None and base is None else "",
        "obstacle": entry.obstacle if entry is not None and base is None else "",
        "default": choice.default,
        "own": entry is not None and entry.own,
        "base_model": choice.lineage,
        "parameters": choice.parameters or None,
        "licence": entry.licence if entry is not None else "",
        "gated": entry is not None and entry.gated,
        "languages": list(entry.languages) if entry is not None else [],
        "context_window": context_window(choice) or None,
        "thinking": entry.thinking if entry is not None else None,
        "template": entry.template if entry is not None else "",
        "download_bytes": choice.download_bytes or None,
        "memory": {
            "chat_bytes": choice.chat_bytes or None,
            "chat": choice.chat or None,
            "train_bytes": choice.train_bytes or None,
            "train": choice.train or None,
        },
        "tokens_per_second": _figure_json(choice.speed),
        "train_100_seconds": _figure_json(choice.seconds),
        "adapters": list(choice.adapters),
    }


def list_as_json(choices: Choices) -> dict[str, Any]:
    """All of them."""
    from lora_chat.sitting.advice import recommend

    best, why = recommend(choices)
    return {
        "models": [as_json(choice) for choice in choices.bases],
        "memory": {"free": choices.room.free, "total": choices.room.total},
        "recommended": {"name": best.name if best is not None else None, "why": why},
    }


def page_as_json(choice: Choice) -> dict[str, Any]:
    """One of them, with what is known of its weights once it is here."""
    found = as_json(choice)
    found["description"] = choice.entry.description if choice.entry is not None else ""
    if choice.base is None:
        return found
    signature = choice.base.signature
    return found | {
        "architecture": signature.architecture,
        "linear_modules": len(signature.text_modules),
        "fingerprint": signature.fingerprint,
        "weights": signature.weights,
        "chat_template": signature.chat_template,
    }


def _figure_json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    value = round(figure.value, 2)
    return {"value": value, "measured": figure.measured, "of": figure.of, "bound": figure.bound or None}


def _say(line: str, indent: int = 0) -> None:
    """One paragraph, broken between words where the terminal ends; what follows stands below column ``indent``."""
    from lora_chat.cli.console import answer
    from lora_chat.cli.folding import fold
    from lora_chat.text import clean_line

    label, text = line[:indent], clean_line(line[indent:])
    width = min(max(shutil.get_terminal_size().columns, indent + _NARROW), _WIDE)
    for each in fold(label + text, width, indent).split("\n"):
        answer(each)
