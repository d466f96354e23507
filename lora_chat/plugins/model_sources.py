"""The places that plugins fetch base models from. Owns what ``nas:NAME`` means, and the fetch by its plugin's process.

What comes is looked over below, by the door that every base comes through (``models/sources``).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.hub import split_hub
from lora_chat.models import own
from lora_chat.models.catalog import CATALOG, CatalogEntry, WrittenSource, as_name
from lora_chat.models.sources.staging import Progress
from lora_chat.plugins import limits
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.offers import Offer
from lora_chat.plugins.plain import NO_SPACE, progress_of_plain
from lora_chat.text import clean_line

HOOK = "model_sources"
LONGEST_NAME = 200
"""Characters of what stands behind the colon."""
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{1,31}")  # one letter is a drive's


def find_entry(plugins: Plugins, text: str, config: Path, *, around: bool = True) -> CatalogEntry:
    """What ``text`` means, as ``own.find_entry`` says; ``nas:NAME`` is of the enabled plugin that has ``nas``.

    What the catalog, the settings, or another program on this machine calls exactly so comes first.

    Raises as ``own.find_entry``, and:

    Raises:
        RefusedError: its plugin does not run, saying why; or nothing stands behind the colon.
    """
    prefix, name = _split(text)
    for plugin, offer in plugins.offered(HOOK) if prefix else ():
        if offer.name == prefix and not _is_known(text, config, around=around):
            return _entry(plugins, plugin, offer, name)
    try:
        return own.find_entry(text, config, around=around)
    except NotFoundError as missing:
        if prefix and (hint := _off(plugins, prefix)):
            raise NotFoundError(f"{missing} {hint}") from missing
        raise


def _split(text: str) -> tuple[str, str]:
    """The prefix that a plugin could have, and what stands behind it; empty where there is none."""
    before, colon, rest = text.partition(":")
    prefix = before.casefold()
    return (prefix, rest) if colon and _PREFIX.fullmatch(prefix) and split_hub(text)[0] is None else ("", text)


def _is_known(text: str, config: Path, *, around: bool) -> bool:
    mine = own.read_own(config)
    found = own.found_here(config, mine).entries if around else ()
    names = (name for each in (*CATALOG, *mine.entries, *found) for name in (each.name, each.lineage, *each.aliases))
    return text.casefold() in {name.casefold() for name in names}


def _off(plugins: Plugins, prefix: str) -> str:
    """A sentence on those plugins that had the prefix, or might have it; empty where there are none."""
    off = [each for each in plugins.shelf().plugins if each.state != "on" and HOOK in each.plugin.content.hooks]
    had = [each for each in off if any(offer.name == prefix for offer in each.offers.model_sources)]
    might = [each for each in off if not each.offers.told]
    if had and plugins.safe:
        return f"This is the safe mode, which runs no plugin: start without it to have {prefix}: of {had[0].name}."
    if had:
        states = {"changed": "was changed", "switched off": f"is switched off ({had[0].why})"}
        state, name = states.get(had[0].state, "is off"), had[0].name
        return f"The plugin {name}, which has {prefix}:, {state}: `lora-chat plugin enable {name}` has it run."
    for each in plugins.absent(HOOK):
        if any(offer.name == prefix for offer in each.offers):
            why, name, do = each.why.rstrip("."), each.name, "mend it"
            if each.state == "gone":
                do = f"put them back, or `lora-chat plugin disable {name}` has it forgotten"
            return f"The plugin {name}, which had {prefix}:, cannot run ({why}): {do}."
    if might and not plugins.safe:
        return (
            f"Perhaps the plugin {might[0].name} has {prefix}:, which is off: `lora-chat plugin info {might[0].name}`."
        )
    return ""


def _entry(plugins: Plugins, plugin: Plugin, offer: Offer, name: str) -> CatalogEntry:
    lineage = clean_line(name, LONGEST_NAME).strip()
    if not lineage or lineage != name.strip() or len(name) > LONGEST_NAME:
        raise RefusedError(f"Write a model's name of up to {LONGEST_NAME} characters behind {offer.name}:, such as "
                           f"{offer.name}:some-model.")  # fmt: skip

    def write(into: Path, progress: Progress) -> None:
        _fetch(plugins, plugin, offer, lineage, into, progress)

    told = f"{offer.help or offer.name}, by the plugin {plugin.name}"
    source = WrittenSource(f"{offer.name}:{lineage}", f"plugin:{offer.name}", told, write)
    return CatalogEntry(name=as_name(lineage), lineage=lineage, source=source)


def _fetch(plugins: Plugins, plugin: Plugin, offer: Offer, name: str, into: Path, progress: Progress) -> None:
    """Have the plugin write the model into ``into``; its process has ended when this returns, however it does.

    Raises:
        RefusedError: it says no, or it broke and is switched off.
        OSError: the disk is full.
    """
    where = (offer.name, name, str(into.absolute()))
    call = plugins.call(plugin, "fetch", *where, limit_s=limits.FETCH_S, lives=lambda: _size(into))
    try:
        for value in call:
            try:
                said = progress_of_plain(value)
            except ValueError as error:
                call.close()
                raise RefusedError(plugins.break_off(plugin, str(error))) from error
            progress(said.what, said.done, said.total)
    except RefusedError as no:
        if str(no) == NO_SPACE:
            raise OSError(errno.ENOSPC, NO_SPACE) from no
        raise
    finally:
        call.close()
        plugins.rest(plugin.name)  # nothing is looked over that somebody still writes


def _size(folder: Path) -> tuple[int, float]:
    """Bytes of all files below, and when one was written last."""
    found = list(_stats(folder))
    return sum(each.st_size for each in found), max((each.st_mtime for each in found), default=0)


def _stats(folder: Path) -> Iterator[os.stat_result]:
    for root, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                yield os.lstat(Path(root, file))
