"""A model that somebody else writes, such as a plugin. Owns which of its files become the base; never reads a weight.

They are chosen as from a hub: safetensors weights, configuration, tokenizer and template. Pickles, code and folders
that were written beside them go with the folder that they were written into.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.hub import Listing, Remote
from lora_chat.models.entry import WrittenSource
from lora_chat.models.sources.hub import wanted_of
from lora_chat.models.sources.staging import Progress, require_room
from lora_chat.text import clean_line


def take_written(source: WrittenSource, work: Path, stage: Path, name: str, progress: Progress) -> None:
    """Have the model written into ``work``, which is empty, and move the files that are wanted into ``stage``.

    Raises:
        RefusedError: a link, an adapter, or a weight file, the configuration or the tokenizer is missing; and as the
            source refuses.
        EngineError: more is to come than the disk has room for.
    """
    told = ""

    def tell(what: str, done: float, total: float) -> None:
        nonlocal told
        if total > done:
            require_room(work, name, int(total - done))
        told = what or told or f"Fetching {name}"
        progress(told, done, total)

    tell("", 0, 0)
    source.write(work, tell)
    for remote in wanted_of(_listing(source, work)):
        (work / remote.name).chmod(0o600)
        os.replace(work / remote.name, stage / remote.name)


def _listing(source: WrittenSource, work: Path) -> Listing:
    """What lies at the top of ``work``; folders are passed over."""
    label = clean_line(source.label, 120)
    remotes = []
    with os.scandir(work) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            kind = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(kind.st_mode):
                continue
            if not stat.S_ISREG(kind.st_mode):
                shown = clean_line(entry.name, 60)
                raise RefusedError(f"{label} came with {shown}, which is a link or no file: tell the plugin's author.")
            remotes.append(Remote(entry.name, kind.st_size, None, None))
    if not remotes:
        raise RefusedError(f"{label} brought no files: check the name, or tell the plugin's author.")
    if any(remote.name == "adapter_config.json" for remote in remotes):
        raise RefusedError(f"{label} is an adapter, no base model: choose another name.")
    return Listing(label, "", "", tuple(remotes))
