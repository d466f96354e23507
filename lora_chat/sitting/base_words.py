"""What is told of a base before it is chosen. Owns the words, for shell and window alike; never decides a figure."""

from __future__ import annotations

from collections.abc import Iterator

from lora_chat.models.entry import CatalogEntry, HubSource
from lora_chat.models.hubs import hub_of
from lora_chat.models.sources.staging import size
from lora_chat.sitting.bases import Choice, Choices, Figure, Fit, Room
from lora_chat.training.estimate import spoken

HEAD = ("NAME", "SIZE", "CHAT", "TRAIN", "TOKENS/S", "100 EX.", "LANGUAGES")
"""Of the columns that ``cells`` fills."""
MORE = ("NOTES", "LICENCE", "CONTEXT")
"""Of those that ``more_cells`` fills."""
NUMBERS = (1, 2, 3, 4, 5)
"""Those of them that stand at the right."""
_MARKS = {"tight": "! ", "no": "!! "}
"""Before memory that can be had only when other programs are closed, and that this machine never has."""


def cells(choice: Choice) -> list[str]:
    """One row, as ``HEAD`` names its columns."""
    many = choice.entry.spoken_languages.removesuffix(" languages") if choice.entry is not None else ""
    elsewhere = "local" if choice.source in ("folder", "gguf") else "?"
    download = size(choice.download_bytes) if choice.download_bytes else elsewhere
    return [
        f"{choice.name} *" if choice.default else choice.name,
        "on disk" if choice.base is not None else "found" if choice.found_in else download,
        _memory(choice.chat_bytes, choice.chat),
        _memory(choice.train_bytes, choice.train),
        _speed(choice.speed),
        _minutes(choice.seconds),
        many,
    ]


def more_cells(choice: Choice) -> dict[str, str]:
    """What stands further right where there is room, each with its column."""
    entry, window = choice.entry, context_window(choice)
    notes = ""
    if entry is not None:
        to_come = choice.base is None
        notes = "by hand" if to_come and entry.obstacle else "gated" if to_come and entry.gated else ""
        notes = notes or ("thinks" if entry.thinking else "")
    licence = entry.licence if entry is not None else ""
    return {"NOTES": notes, "LICENCE": licence, "CONTEXT": f"{window:,}" if window else ""}


def _memory(needed: int, fit: Fit) -> str:
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


def legend(choices: Choices, more: str) -> Iterator[str]:
    """What the columns and marks mean, one sentence or two each; ``more`` says where more of one base is told."""
    bases, room = choices.bases, choices.room
    yield (
        "CHAT and TRAIN are memory; 100 EX. is a training with 100 short examples. "
        + ("* is the default. " if any(choice.default for choice in bases) else "")
        + more
    )
    figures = [figure for choice in bases for figure in (choice.speed, choice.seconds) if figure is not None]
    if guessed := sorted({figure.of for figure in figures if not figure.measured}):
        bounds = {"under": " < means slower than that.", "over": " > means faster than that."}
        seen = "".join(text for bound, text in bounds.items() if any(figure.bound == bound for figure in figures))
        guess = f"~ is no measurement: it follows by size from {', '.join(guessed)}, measured here."
        yield guess + seen
    if not any(choice.speed for choice in bases):
        yield "No speed was measured on this machine yet: chat with one base, and estimates for all appear here."
    if not any(choice.seconds for choice in bases):
        yield "No training was measured on this machine yet: train once, and estimates for all appear here."
    if any(choice.found_in for choice in bases):
        yield "found means that it lies in another program's folder or your own: taking it downloads nothing."
    fits = {fit for choice in bases for fit in (choice.chat, choice.train)}
    if "tight" in fits:
        yield f"! is more than the {size(room.free)} of memory that can be had now: close other programs first."
    if "no" in fits:
        yield f"!! is more than the {size(room.total)} that this machine has, swap included."


def facts_of(choice: Choice, room: Room, pull: str = "") -> Iterator[tuple[str, str]]:
    """All that is known of one, each with its label; ``pull`` is what brings it here."""
    entry, base = choice.entry, choice.base
    if base is not None:
        where = f"{size(base.bytes)} in {base.folder}"
        yield "on disk", f"{where}, the default" if choice.default else where
    elif choice.found_in:
        yield "found", f"{_found(choice)}: {pull}" if pull else _found(choice)
        yield "lies in", str(choice.found_at)
    else:
        local = {"folder": "a folder of this machine", "gguf": "a .gguf file of this machine"}
        unknown = local.get(choice.source, "of unknown size")
        about = f"about {size(choice.download_bytes)} to download" if choice.download_bytes else unknown
        origin = "an entry of your config.toml, " if entry is not None and entry.own else ""
        yield "not here", f"{origin}{about}{': ' if pull else ''}{pull}"
    if entry is not None and base is None and entry.obstacle:
        yield "by hand", f"{entry.obstacle}."
    if entry is not None and base is None and entry.gated:
        yield "gated", f"{gate(entry)}."
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
    if choice.parameters:
        kind = f", {base.signature.architecture}" if base is not None else ""
        yield "parameters", f"{choice.parameters:,}{kind}"
    yield from _said(choice)
    if window := context_window(choice):
        yield "context", f"{window:,} tokens"


def _found(choice: Choice) -> str:
    """Whose folder one lies in that was found, and what taking it means."""
    assert choice.entry is not None
    taken = size(choice.entry.installed_bytes)
    if choice.source == "folder":
        return f"in {choice.found_in}, {taken}, used where it lies, nothing is downloaded"
    if kept := choice.entry.quantisation:
        return f"in {choice.found_in} as {kept}, converted once to {taken}, nothing is downloaded"
    return f"in {choice.found_in}, converted once to {taken}, nothing is downloaded"


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
    if figure is None:
        return f"not measured: {else_do}"
    value = spoken(figure.value) if not unit else f"{figure.value:.{0 if figure.value >= 10 else 1}f} {unit}"
    if figure.measured:
        return f"{value}, {'measured' if unit else 'by the pace measured'} on this machine"
    bound = {"": f"{value}" if not unit else f"about {value}", "under": f"under {value}", "over": f"over {value}"}
    why = "; it takes the general path, which is slower" if figure.bound == "under" else ""
    return f"{bound[figure.bound]}: an estimate by size from {figure.of}, which was measured here{why}"


def _fit(fit: Fit, room: Room) -> str:
    if fit == "no":
        return f"does not fit, this machine has {size(room.total)}, swap included"
    if fit == "tight":
        return f"fits once other programs are closed, {size(room.free)} can be had now"
    return f"fits, {size(room.free)} can be had"


def context_window(choice: Choice) -> int:
    """In tokens: what it reads where it is here, else what its page says; 0 is unknown."""
    if choice.base is not None:
        return choice.base.window
    return choice.entry.context_window if choice.entry is not None else 0


def doubts(choice: Choice, room: Room) -> Iterator[str]:
    """What is to be said before a download: what fits only just, or not at all."""
    if choice.chat in _MARKS:
        yield f"To chat it needs about {size(choice.chat_bytes)} of memory: {_fit(choice.chat, room)}."
    if choice.train in _MARKS:
        yield f"To train on it needs about {size(choice.train_bytes)} of memory: {_fit(choice.train, room)}."


def gate(entry: CatalogEntry) -> str:
    """What a person does before a gated base is given to them."""
    return hub_of(entry).licence_step(entry.source.repo if isinstance(entry.source, HubSource) else entry.lineage)
