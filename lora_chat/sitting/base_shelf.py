"""What the commands for the bases of this machine do: show, bring, take away, begin with. Owns their words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.config import save_settings
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, UsageError
from lora_chat.models.answering import Served
from lora_chat.models.catalog import is_name
from lora_chat.models.installed import InstalledBase, find_base, remove_base
from lora_chat.models.sources.staging import size
from lora_chat.plugins.model_sources import find_entry
from lora_chat.sitting.base_offer import question, weigh
from lora_chat.sitting.base_words import facts_of
from lora_chat.sitting.bases import Choices, Room, describe, list_choices
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.models.entry import CatalogEntry
    from lora_chat.sitting.sitting import Sitting


def model_list(sitting: Sitting, rest: str) -> None:
    """Show every base of this machine and of the catalog."""
    sitting.face.show_bases(choices(sitting))


def model_info(sitting: Sitting, name: str) -> None:
    """Show what is known of one, by default of the one that answers.

    Raises:
        NotFoundError: neither is it here nor does the catalog know it.
    """
    services, room, who = sitting.services, roomy(sitting), sitting.answerer
    if isinstance(who, Served) and not name:
        rows = [
            ("server", who.place or "not asked yet"),
            ("context", f"{who.window:,} tokens"),
        ]
        sitting.face.details(who.name, rows)
        return
    base, entry = _here_or_known(sitting, name or who.name)
    found = describe(services, base, entry, room)
    said = [("is", found.entry.description)] if found.entry is not None and found.entry.description else []
    rows = [*facts_of(found, room, f"/model pull {clean_line(name or found.name, 120)}"), *said]
    sitting.face.details(f"{found.name} · {found.lineage}", rows)


def model_pull(sitting: Sitting, name: str) -> None:
    """Bring a base onto this machine, after saying what it needs; the chat goes on meanwhile.

    Raises:
        NotFoundError: nothing is called so.
        RefusedError: it cannot be brought, or this machine can never hold it.
    """
    base, entry = _here_or_known(sitting, name)
    if entry is None:
        assert base is not None
        sitting.face.note(f"{base.name} is on this machine already: /model use {base.name} has it answer.")
        return
    if sitting.face.confirm(question(entry, weigh(sitting.services, entry, name))):
        sitting.face.pull(name, entry)


def model_remove(sitting: Sitting, name: str) -> None:
    """Delete a base from this machine; a folder that is used in place stays.

    Raises:
        NotFoundError: it is not on this machine.
        RefusedError: it answers here.
    """
    models = sitting.services.paths.models
    folder, kept, loses = _to_remove(models, name)
    if sitting.base is not None and folder == sitting.base.name and not isinstance(sitting.answerer, Served):
        raise RefusedError(f"{folder} answers here: have another one answer first, /model use NAME.")
    if sitting.face.confirm(f"Take the base model {folder} off this machine: {kept}?", loses=loses):
        remove_base(models, folder)
        was = "It was the default: /model default NAME makes another one that." if _is_default(sitting, folder) else ""
        sitting.face.note(" ".join(filter(None, (f"{folder} is taken away; {kept}.", was))))
        sitting.face.bases_changed()


def _is_default(sitting: Sitting, name: str) -> bool:
    return name == sitting.services.config.model


def _to_remove(models: Path, name: str) -> tuple[str, str, bool]:
    """The folder's name, what becomes of its files, and whether they are lost; a broken one has a name all the same."""
    try:
        found = find_base(models, name)
    except LoraChatError:
        if is_name(name) and (models / name).is_dir():
            return name, f"what is in {models / name} is deleted", True
        raise
    if found.folder.parent != models:
        return found.name, f"the files stay in {found.folder}", False
    return found.name, f"{size(found.bytes)} are deleted", True


def model_default(sitting: Sitting, name: str) -> None:
    """Have a base be the one that this program begins with, from the next start on.

    Raises:
        NotFoundError: it is not on this machine.
    """
    services = sitting.services
    found = find_base(services.paths.models, name)
    save_settings(services.paths.config, model=found.name)
    services.config = replace(services.config, model=found.name)
    sitting.face.note(f"{found.name} is what lora-chat begins with from the next start on.")
    sitting.face.bases_changed()


def choices(sitting: Sitting) -> Choices:
    """All of them, as this machine has room for them beside nothing."""
    return list_choices(sitting.services, roomy(sitting))


def roomy(sitting: Sitting) -> Room:
    """Memory for another base: what the one that answers holds is free again before another is loaded."""
    room = Room.here()
    if isinstance(sitting.answerer, Served):
        return room
    held = describe(sitting.services, sitting.base, None, room).chat_bytes
    return Room(min(room.free + held, room.total), room.total)


def _here_or_known(sitting: Sitting, name: str) -> tuple[InstalledBase | None, CatalogEntry | None]:
    """What ``name`` means: one of this machine, else what could be brought."""
    if not name:
        raise UsageError("Write /model pull NAME: /model list shows the names.")
    paths = sitting.services.paths
    try:
        return find_base(paths.models, name), None
    except NotFoundError:
        if is_name(name) and (paths.models / name).is_dir():  # it is here, and the folder that it points to is gone
            raise
        entry = find_entry(sitting.services.plugins, name, paths.config)
    with suppress(NotFoundError):  # the same model, asked for by another name: from another hub, or by its folder
        there = find_base(paths.models, entry.name)
        if there.signature.is_named(entry.lineage):
            return there, None
    return None, entry
