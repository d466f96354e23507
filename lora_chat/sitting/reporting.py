"""Reports: which one is meant, shown again, and as files of the person's own. Owns these; never says what is in one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.adapters.manifest import Manifest, numbered
from lora_chat.adapters.verify import read_manifest_of
from lora_chat.errors import LoraChatError, NotFoundError, did_you_mean
from lora_chat.files import write_new
from lora_chat.paths import Paths
from lora_chat.sitting.training import Progress
from lora_chat.text import clean_line
from lora_chat.training.report import shelf
from lora_chat.training.report.markdown import to_markdown
from lora_chat.training.report.picture import to_svg
from lora_chat.training.report.record import Record, made_of

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting


def report(sitting: Sitting, said: str) -> None:
    """Show a report again: of the adapter and version that ``said`` names, else of the one worn, else the newest."""
    name, _, version = said.partition(" ")
    wears = sitting.wearing.adapter.name if sitting.wearing and not sitting.wearing.mixture else ""
    if not name and wears in shelf.reported(sitting.services.paths.lines):
        name = wears
    record = find_report(name or None, version.strip() or None, sitting.services.paths)
    worn = worn_version(record.adapter, sitting.services.paths) == record.version
    sitting.face.show_report(record, worn=worn)


def find_report(name: str | None, version: str | None, paths: Paths) -> Record:
    """The report that is meant.

    Raises:
        NotFoundError: there is none, saying which there are.
        StoreError: it is damaged.
    """
    there = shelf.reported(paths.lines)
    if not there:
        raise NotFoundError("There is no report yet: each training leaves one, see `lora-chat train --help`.")
    if name is None and version is None:
        if (last := shelf.newest(paths.lines)) is None:
            shelf.report(
                paths.lines / there[0], shelf.reports(paths.lines / there[0])[-1]
            )  # says what is wrong with it
            raise NotFoundError("There is no report any more: each training leaves one.")
        return last
    if name is None:
        newest = shelf.newest(paths.lines)
        name = newest.adapter if newest else there[0]
    if name not in there:
        near = did_you_mean(name, there)
        raise NotFoundError(
            f'There is no report of "{clean_line(name, 64)}"{near}: there are some of {", ".join(there)}.'
        )
    versions = shelf.reports(paths.lines / name)
    wanted = usual_version(name, versions, paths) if version is None else version
    found = shelf.report(paths.lines / name, wanted)
    if found is None:
        named = f'"{clean_line(wanted, 40)}"'
        raise NotFoundError(f"There is no report of version {named} of {name}: there are {', '.join(versions)}.")
    return found


def usual_version(name: str, versions: list[str], paths: Paths) -> str:
    """The version that is meant where none is named: the one that is worn where it has a report, else the last."""
    worn = worn_version(name, paths)
    return worn if worn in versions else versions[-1]


def worn_version(name: str, paths: Paths) -> str:
    """Of the adapter ``name`` the version that is worn; empty where there is no such adapter, or it does not say."""
    folder = paths.adapters / name
    try:
        return (read_manifest_of(folder) or Manifest()).version if folder.is_dir() else ""
    except LoraChatError:
        return ""


def just_made(progress: Progress) -> Record:
    """The report of a training that has ended in an adapter, as far as its window knows it.

    Raises:
        ValueError: it has not.
    """
    if (installed := progress.installed) is None:
        raise ValueError(f"{progress.name} has not ended in an adapter")
    told = {"saw": progress.saw, "losses": progress.losses, "heldout": progress.heldout}
    return made_of(installed, base="", source="", recipe={}, **told)


def save_report(name: str, version: str, paths: Paths, folder: Path | None = None) -> str:
    """Write Markdown and picture next to each other into ``folder``, else where the program was begun; say where.

    Raises:
        NotFoundError: no report of that version is kept.
        RefusedError: nothing can be written there.
        StoreError: the report is damaged.
    """
    kept = shelf.report(paths.lines / name, version)
    if kept is None:
        raise NotFoundError(f"No report of {name} {version} is kept: `lora-chat report` shows those there are.")
    place = (folder or Path()).absolute()
    stem = next(
        each
        for each in numbered(f"{name}-{version}-report")
        if not any(os.path.lexists(place / f"{each}{ending}") for ending in (".md", ".svg"))
    )
    write_new(place / f"{stem}.md", to_markdown(kept).encode("utf-8", "replace"))
    write_new(place / f"{stem}.svg", to_svg(kept).encode("utf-8", "replace"))
    return f"Saved as {place / stem}.md and .svg: your own words, readable by you alone."
