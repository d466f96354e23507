"""What is said before a base comes onto this machine. Owns the question and what speaks against; never fetches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lora_chat.errors import RefusedError
from lora_chat.models.entry import CatalogEntry, FolderSource, GgufSource, WrittenSource
from lora_chat.models.hubs import hub_of
from lora_chat.models.own import found_here, read_own
from lora_chat.models.sources.staging import size
from lora_chat.services import Services
from lora_chat.sitting.base_words import doubts, gate
from lora_chat.sitting.bases import Room, describe
from lora_chat.text import clean_line


def weigh(services: Services, entry: CatalogEntry, wish: str = "", *, anyway: bool = False) -> list[str]:
    """What is to be said before a download; refuses one that would be for nothing, unless ``anyway``.

    ``wish`` is what ``entry`` was asked for as, by default its name.

    Raises:
        RefusedError: its page has nothing that is loaded, or this machine can never hold it, with the figures.
    """
    insist = f"lora-chat model pull {clean_line(wish or entry.name, 120)} --anyway"
    if entry.obstacle and not anyway:
        raise RefusedError(
            f"{entry.name} is not pulled as it is: {entry.obstacle}, or try it all the same by `{insist}`."
        )
    room = Room.here()
    choice = describe(services, None, entry, room)
    if choice.chat == "no" and not anyway:
        raise RefusedError(
            f"{entry.name} needs about {size(choice.chat_bytes)} of memory to chat and this machine has "
            f"{size(room.total)}, swap included: choose a smaller one from `lora-chat model list`, or insist by "
            f"`{insist}`."
        )
    said = [*doubts(choice, room), *_copies(services, entry)]
    return [*said, f"It is gated: {gate(entry)}."] if entry.gated else said


def _copies(services: Services, entry: CatalogEntry) -> Iterator[str]:
    """What lies on this machine already of a base that would be downloaded."""
    if not entry.download_bytes:
        return
    config = services.paths.config
    for each in found_here(config, read_own(config)).entries:
        if each.lineage == entry.lineage and each.name != entry.name and not each.obstacle:
            yield (
                f"In {each.place} it lies already, in {each.quantisation or 'another form'}: "
                f"`lora-chat model pull {each.name}` takes that, and nothing is downloaded."
            )


def question(entry: CatalogEntry, doubts: Sequence[str] = ()) -> str:
    """What would be pulled, how big, under which licence, what it is good for, and what stands against it."""
    if entry.place and isinstance(entry.source, FolderSource | GgufSource):
        where = f"{entry.place}, {clean_line(str(entry.source.path))}"
        kept = f" from {entry.quantisation}" if entry.quantisation else ""
        how = "used where it lies" if entry.source_kind == "folder" else f"converted{kept} to safetensors once"
        return " ".join(
            filter(None, (
                f"Take {clean_line(entry.lineage, 80)} as the base model {entry.name}?",
                f"It was found in {where}.",
                f"It is {how} ({size(entry.installed_bytes)}), and nothing is downloaded.",
                entry.description, *doubts, "Go on?",
            ))
        )  # fmt: skip
    if entry.source_kind in ("folder", "gguf"):
        how = "It is used where it lies." if entry.source_kind == "folder" else "It is converted to safetensors."
        return " ".join((f"Take {clean_line(entry.lineage, 80)} as the base model {entry.name}?", how))
    if isinstance(entry.source, WrittenSource):
        asked = f"Pull the base model {entry.name} ({clean_line(entry.lineage, 80)}) from {entry.source.told}?"
        return " ".join((asked, "Its size is not known beforehand, and its licence is where it comes from."))
    about = f"about {size(entry.download_bytes)} to download" if entry.download_bytes else "size not known beforehand"
    on_disk = f"{size(entry.installed_bytes)} on the disk" if entry.installed_bytes else ""
    licence = f"licence {entry.licence}" if entry.licence else "its licence is on its page"
    facts = ", ".join(filter(None, (about, on_disk, licence)))
    hub = f" from {called}" if (called := hub_of(entry).called) == "ModelScope" else ""
    asked = f"Pull the base model {entry.name} ({clean_line(entry.lineage, 80)}){hub}: {facts}."
    return " ".join(filter(None, (asked, entry.description, *doubts, "Go on?")))
