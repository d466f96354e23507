"""How base models are told in the shell. Owns the table, the page of one and their JSON; never decides a figure."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_chat.models.entry import CatalogEntry
    from lora_chat.sitting.bases import Choice, Choices, Figure, Fit, Room

_HEAD = ("NAME", "SIZE", "CHAT", "TRAIN", "TOKENS/S", "100 EX.", "LANGUAGES")
_NUMBERS = (1, 2, 3, 4, 5)
"""Columns that stand at the right."""
_MORE = ((88, "NOTES"), (110, "LICENCE"), (120, "CONTEXT"))
"""Columns that need a terminal so wide."""
_NARROW, _WIDE = 24, 100
"""Columns that running text takes at least and at most."""
_LABEL = 14
"""Where the second column of a page begins."""
_MARKS = {"tight": "! ", "no": "!! "}


def show_table(choices: Choices) -> None:
    """All of them for a person, what the marks mean, and which one to take."""
    from lora_chat.cli.console import answer, answer_table
    from lora_chat.sitting.advice import recommend

    width = shutil.get_terminal_size().columns
    more = [name for least, name in _MORE if width >= least]
    rows = [[*_cells(choice), *(_more_cells(choice)[name] for name in more)] for choice in choices.bases]
    answer_table([*_HEAD, *more], rows, right=_NUMBERS)
    answer()
    for line in _legend(choices):
        _say(line)
    best, why = recommend(choices)
    _say(f"Recommended here: {best.name}, {why}" if best is not None else why)


def show_page(choice: Choice, room: Room) -> None:
    """One of them for a person."""
    from lora_chat.cli.console import answer

    answer(f"{choice.name} · {choice.lineage}")
    if choice.entry is not None and choice.entry.description:
        _say(choice.entry.description)
    answer()
    for label, text in _page(choice, room):
        _say(f"{label:{_LABEL}}{text}", _LABEL)


def as_json(choice: Choice) -> dict[str, Any]:
    """What programs read of one; unknown is null."""
    entry, base = choice.entry, choice.base
    return {
        "name": choice.name,
        "source": choice.source,
        "path": None if base is None else str(base.folder),
        "bytes": base.bytes if base is not None else entry.installed_bytes if entry is not None else 0,
        "installed": base is not None,
        "default": choice.default,
        "own": entry is not None and entry.own,
        "base_model": choice.lineage,
        "parameters": choice.parameters or None,
        "licence": entry.licence if entry is not None else "",
        "gated": entry is not None and entry.gated,
        "languages": list(entry.languages) if entry is not None else [],
        "context_window": _context(choice) or None,
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


def doubts(choice: Choice, room: Room) -> Iterator[str]:
    """What is to be said before a download: what fits only just, or not at all."""
    from lora_chat.models.sources.staging import size

    if choice.chat in _MARKS:
        yield f"To chat it needs about {size(choice.chat_bytes)} of memory: {_fit(choice.chat, room)}."
    if choice.train in _MARKS:
        yield f"To train on it needs about {size(choice.train_bytes)} of memory: {_fit(choice.train, room)}."


def gate(entry: CatalogEntry) -> str:
    """What a person does before a gated base is given to them."""
    from lora_chat.hub import page

    return f"accept its licence at {page(entry.lineage)}, then give a token of that account in HF_TOKEN"


def _cells(choice: Choice) -> list[str]:
    from lora_chat.models.sources.staging import size

    many = choice.entry.spoken_languages.removesuffix(" languages") if choice.entry is not None else ""
    elsewhere = "local" if choice.source in ("folder", "gguf") else "?"
    download = size(choice.download_bytes) if choice.download_bytes else elsewhere
    return [
        f"{choice.name} *" if choice.default else choice.name,
        "on disk" if choice.base is not None else download,
        _memory(choice.chat_bytes, choice.chat),
        _memory(choice.train_bytes, choice.train),
        _speed(choice.speed),
        _minutes(choice.seconds),
        many,
    ]


def _more_cells(choice: Choice) -> dict[str, str]:
    entry, window = choice.entry, _context(choice)
    notes = ""
    if entry is not None:
        notes = "by hand" if entry.obstacle else "gated" if entry.gated else "thinks" if entry.thinking else ""
    licence = entry.licence if entry is not None else ""
    return {"NOTES": notes, "LICENCE": licence, "CONTEXT": f"{window:,}" if window else ""}


def _memory(needed: int, fit: Fit) -> str:
    from lora_chat.models.sources.staging import size

    return f"{_MARKS.get(fit, '')}{size(needed)}" if needed else "?"


def _speed(figure: Figure | None) -> str:
    if figure is None:
        return "?"
    return f"{_mark(figure)}{figure.value:.0f}" if figure.value >= 10 else f"{_mark(figure)}{figure.value:.1f}"


def _minutes(figure: Figure | None) -> str:
    if figure is None:
        return "?"
    minutes = figure.value / 60
    return f"{_mark(figure)}{minutes:.0f} min" if minutes < 95 else f"{_mark(figure)}{minutes / 60:.0f} h"


def _mark(figure: Figure) -> str:
    return "" if figure.measured else {"": "~", "under": "<", "over": ">"}[figure.bound]


def _legend(choices: Choices) -> Iterator[str]:
    from lora_chat.models.sources.staging import size

    bases, room = choices.bases, choices.room
    yield (
        "CHAT and TRAIN are memory; 100 EX. is a training with 100 short examples. "
        + ("* is the default. " if any(choice.default for choice in bases) else "")
        + "`lora-chat model info NAME` tells more."
    )
    figures = [figure for choice in bases for figure in (choice.speed, choice.seconds) if figure is not None]
    if guessed := sorted({figure.of for figure in figures if not figure.measured}):
        bounds = {"under": "; < means slower than that", "over": "; > means faster than that"}
        seen = "".join(text for bound, text in bounds.items() if any(figure.bound == bound for figure in figures))
        yield f"~ is no measurement: it follows by size from {', '.join(guessed)}, measured here{seen}."
    if not any(choice.speed for choice in bases):
        yield "No speed was measured on this machine yet: chat with one base, and estimates for all appear here."
    if not any(choice.seconds for choice in bases):
        yield "No training was measured on this machine yet: train once, and estimates for all appear here."
    fits = {fit for choice in bases for fit in (choice.chat, choice.train)}
    if "tight" in fits:
        yield f"! is more than the {size(room.free)} of memory that can be had now: close other programs first."
    if "no" in fits:
        yield f"!! is more than the {size(room.total)} that this machine has, swap included."


def _page(choice: Choice, room: Room) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    from lora_chat.models.sources.staging import size

    entry, base = choice.entry, choice.base
    if base is not None:
        yield "on disk", f"{size(base.bytes)} in {base.folder}{', the default' if choice.default else ''}"
    else:
        local = {"folder": "a folder of this machine", "gguf": "a .gguf file of this machine"}
        unknown = local.get(choice.source, "of unknown size")
        about = f"about {size(choice.download_bytes)} to download" if choice.download_bytes else unknown
        origin = "an entry of your config.toml, " if entry is not None and entry.own else ""
        yield "not here", f"{origin}{about}: `lora-chat model pull {choice.name}`"
    if entry is not None and base is None and entry.obstacle:
        yield "by hand", f"{entry.obstacle}."
    if entry is not None and base is None and entry.gated:
        yield "gated", f"{gate(entry)}."
    if choice.parameters:
        kind = f", {base.signature.architecture}" if base is not None else ""
        yield "parameters", f"{choice.parameters:,}{kind}"
    yield from _said(choice)
    if window := _context(choice):
        yield "context", f"{window:,} tokens"
    if choice.chat_bytes:
        yield "to chat", f"about {size(choice.chat_bytes)} of memory: {_fit(choice.chat, room)}"
        yield "to train", f"about {size(choice.train_bytes)} of memory: {_fit(choice.train, room)}"
    else:
        yield "memory", "not known before it is here: its entry names no parameters"
    yield "speed", _told(choice.speed, "tokens/s", "chat with any base on this machine, then look again")
    yield "100 examples", _told(choice.seconds, "", "train once on this machine, then look again")
    if base is not None:
        yield "adapters", ", ".join(choice.adapters) or "none of those installed fits"
    else:
        yield "adapters", ", ".join(choice.adapters) or "none of those installed was made for it"


def _said(choice: Choice) -> Iterator[tuple[str, str]]:
    """What its page, or the person's entry, says."""
    entry = choice.entry
    if entry is None:
        yield "licence", "not known: the catalog has no entry for it"
        return
    if entry.licence:
        yield "licence", entry.licence
    if entry.languages:
        yield "languages", ", ".join(entry.languages)
    if entry.thinking is not None:
        yield "thinks", "yes, before each answer, which then takes longer" if entry.thinking else "no"
    if entry.template:
        none = "none: it gets questions as Q: and A:, see docs/bases.md"
        yield "template", none if entry.template == "none" else entry.template


def _told(figure: Figure | None, unit: str, else_do: str) -> str:
    from lora_chat.training.estimate import spoken

    if figure is None:
        return f"not measured: {else_do}"
    value = spoken(figure.value) if not unit else f"{figure.value:.{0 if figure.value >= 10 else 1}f} {unit}"
    if figure.measured:
        return f"{value}, {'measured' if unit else 'by the pace measured'} on this machine"
    bound = {"": f"{value}" if not unit else f"about {value}", "under": f"under {value}", "over": f"over {value}"}
    why = "; it takes the general path, which is slower" if figure.bound == "under" else ""
    return f"{bound[figure.bound]}: an estimate by size from {figure.of}, which was measured here{why}"


def _fit(fit: Fit, room: Room) -> str:
    from lora_chat.models.sources.staging import size

    if fit == "no":
        return f"does not fit, this machine has {size(room.total)}, swap included"
    if fit == "tight":
        return f"fits once other programs are closed, {size(room.free)} can be had now"
    return f"fits, {size(room.free)} can be had"


def _context(choice: Choice) -> int:
    """In tokens: what it reads where it is here, else what its page says; 0 is unknown."""
    if choice.base is not None:
        return choice.base.window
    return choice.entry.context_window if choice.entry is not None else 0


def _figure_json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    value = round(figure.value, 2)
    return {"value": value, "measured": figure.measured, "of": figure.of, "bound": figure.bound or None}


def _say(line: str, indent: int = 0) -> None:
    """One paragraph, broken between words where the terminal ends; what follows stands below column ``indent``."""
    from lora_chat.cli.console import answer
    from lora_chat.text import clean_line

    label, text = line[:indent], clean_line(line[indent:])
    width = min(max(shutil.get_terminal_size().columns, indent + _NARROW), _WIDE)
    for each in _folded(label + text, width, indent):
        answer(each)


def _folded(line: str, width: int, indent: int) -> Sequence[str]:
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
