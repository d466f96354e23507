"""An adapter's versions. Owns which there are and which is worn; never trains one and never judges it.

The worn one lies in ``adapters/<name>`` like any adapter, all others in ``lines/<name>/versions/<number>/``, as plain.
Changing which is worn moves folders and copies nothing; ``line_folder`` says what comes of one that is cut short.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters import line_folder
from lora_chat.adapters.disk import telling
from lora_chat.adapters.index import Index
from lora_chat.adapters.install import Candidate, Taken, holds_same, write
from lora_chat.adapters.manifest import Manifest, checked_name, numbered, version_key
from lora_chat.adapters.reading import refusal, shown
from lora_chat.adapters.registry import Adapter, Origin, read_installed
from lora_chat.adapters.verify import check_hashes, read_manifest_of
from lora_chat.adapters.weights import read_adapter
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.files import sync_folder
from lora_chat.paths import Paths, make_private

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")
_FIRST = (1, 0, 0)
_ODD, _DAMAGED = "unnumbered", "damaged"


@dataclass(frozen=True)
class Version:
    """One version of an adapter."""

    number: str
    """Such as ``1.1.0``: what its ``adapter.toml`` says, and its folder's name where it is kept."""
    path: Path
    current: bool
    """It is the one that is worn."""
    adapter: Adapter
    """Called as the adapter is, wherever it lies."""


def recover(paths: Paths) -> None:
    """Put right each change of version that was killed half-way. See ``line_folder.recover``."""
    line_folder.recover(paths)


def versions(name: str, paths: Paths) -> list[Version]:
    """All versions that can be read, the lowest number first, the worn one among them; broken folders are left out.

    Raises:
        NotFoundError: there is no such adapter, naming the nearest.
        RefusedError: nothing can be called so, or its line is a link.
    """
    recover(paths)
    here, origin = _worn(name, paths)
    own = _own_number(here, name, paths)
    kept = [each for each in _entries(name, paths) if each.name != own and not each.is_symlink()]
    found = [_read(folder, folder.name, name) for folder in kept]
    found.append(_read(here, own, name, origin, current=True))
    return sorted((each for each in found if each is not None), key=lambda each: version_key(each.number))


def next_number(name: str, paths: Paths) -> str:
    """The number that a new version has: 1.1.0 after 1.0.0, and above all that are kept. Raises as ``versions``."""
    recover(paths)
    taken = {_own_number(_worn(name, paths)[0], name, paths), *(each.name for each in _entries(name, paths))}
    major, minor, *_ = (*max(_parts(each) or _FIRST for each in taken), 0, 0)
    return f"{major}.{minor + 1}.0"


def previous(name: str, paths: Paths) -> Version:
    """The version before the one that is worn: of all below it the highest.

    Raises:
        RefusedError: there is none, or as ``versions``.
        NotFoundError: as ``versions``.
    """
    found = versions(name, paths)
    here, origin = _worn(name, paths)
    _check_own(name, origin)
    own = _own_number(here, name, paths)
    below = [each for each in found if not each.current and (not own or version_key(each.number) < version_key(own))]
    if not below:
        later = _list(each for each in found if not each.current)
        raise RefusedError(
            f"{f'{name} {own}'.rstrip()} has no version before it{f'; {later} came later' if later else ''}: "
            f"`lora-chat adapter history {name}` shows what there is."
        )
    return below[-1]


def keep_beside(candidate: Candidate, name: str, number: str, paths: Paths) -> Version:
    """Write a checked adapter as the version ``number`` of ``name``, durably, by one rename; it is not worn.

    The same bytes under that number are left alone.

    Raises:
        RefusedError: another version has that number, it is none, the adapter is a shipped one, or the disk takes
            nothing; nothing is left.
        NotFoundError: there is no such adapter.
    """
    if not _parts(number):
        raise RefusedError(f'"{shown(number, 40)}" cannot be the number of a version: take one such as 1.1.0.')
    known = next((each for each in versions(name, paths) if each.number == number), None)
    _check_own(name, _worn(name, paths)[1])
    if known is not None and holds_same(known.path, candidate.files):
        return known
    target = line_folder.versions_folder(name, paths) / number
    manifest = dataclasses.replace(candidate.manifest, name=name, version=number)
    with telling(f"keep the version {target}"), suppress(Taken):
        if known is None and not os.path.lexists(target):
            write(dataclasses.replace(candidate, manifest=manifest), target)
            return Version(number, target, False, _adapter(target, name))
    raise RefusedError(f"There is another version {number} of {name}: choose the next number.")


def make_current(name: str, number: str, paths: Paths) -> Version:
    """Wear the kept version ``number`` from now on; the one that was worn is kept in its place, under its own number.

    Raises:
        NotFoundError: there is no such adapter; or no such version, naming those there are.
        RefusedError: it is a shipped one, has one version only, or its bytes are not those that were kept; or the disk
            cannot be changed. What was worn is worn on.
    """
    found = versions(name, paths)
    here, origin = _worn(name, paths)
    _check_own(name, origin)
    chosen = next((each for each in found if each.number == number), None)
    if chosen is None:
        if found and all(each.current for each in found):
            raise RefusedError(
                f"{name} has one version, {found[0].number}: others come of training it again, and are kept then."
            )
        there = f"there are {_list(found)}" if found else "none can be read"
        raise NotFoundError(f"There is no version {shown(number, 40)} of {name}: {there}.")
    if chosen.current:
        return chosen
    if here.is_symlink():
        raise refusal(here, "it is a link, whose versions are not ours to move; put the folder itself in its place")
    check_hashes(read_adapter(chosen.path), read_manifest_of(chosen.path))
    kept = _free_place(here, name, paths)
    with telling(f"wear {chosen.path} as {here}"):
        line_folder.say_current(name, number, paths)
        try:
            _switch(here, kept, chosen.path)
        except OSError:
            line_folder.forget_current(name, paths)
            raise
    return Version(number, here, True, _adapter(here, name))


def _switch(here: Path, kept: Path, chosen: Path) -> None:
    """The two renames, back to back: killed between them, ``recover`` does the second."""
    make_private(kept.parent)
    os.replace(here, kept)
    try:
        os.replace(chosen, here)
    except OSError:
        if not os.path.lexists(here):  # else another program recovered it in between
            os.replace(kept, here)
            raise
    sync_folder(here.parent)
    sync_folder(kept.parent)


def _free_place(here: Path, name: str, paths: Paths) -> Path:
    """Where the worn version goes. Raises RefusedError: something lies there already."""
    folder, own = line_folder.versions_folder(name, paths), _own_number(here, name, paths)
    if not own:  # so damaged that it does not say: it is kept all the same
        return next(folder / each for each in numbered(_DAMAGED) if not os.path.lexists(folder / each))
    if os.path.lexists(folder / own):
        raise refusal(folder / own, f"{name} {own} is worn and would be kept there too; put it elsewhere")
    return folder / own


def _worn(name: str, paths: Paths) -> tuple[Path, Origin]:
    """Where the version of ``name`` lies that is worn, and whose it is; broken or not. Raises as ``versions``."""
    checked_name(name)
    if os.path.lexists(paths.adapters / name):
        return paths.adapters / name, "user"
    shipped = Index(paths).catalog().get(name)
    return shipped.path, shipped.origin


def _check_own(name: str, origin: Origin) -> None:
    if origin == "bundled":
        raise RefusedError(
            f"{name} is shipped with lora-chat and has one version: train an adapter of your own, which has several."
        )


def _entries(name: str, paths: Paths) -> list[Path]:
    """What lies beside the worn version. Raises as ``versions_folder``."""
    folder = line_folder.versions_folder(name, paths)
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _read(folder: Path, number: str, name: str, origin: Origin = "user", *, current: bool = False) -> Version | None:
    """The version in ``folder``; None where it cannot be read or is another than ``number``."""
    with suppress(LoraChatError):
        adapter = _adapter(folder, name, origin)
        if _as_number(adapter.version) == number:
            return Version(number, folder, current, adapter)
    return None


def _adapter(folder: Path, name: str, origin: Origin = "user") -> Adapter:
    return dataclasses.replace(read_installed(folder, origin), name=name)


def _own_number(folder: Path, name: str, paths: Paths) -> str:
    """Of the version that is worn; where that is too damaged to say, as it was written down, or empty."""
    try:
        return _as_number((read_manifest_of(folder) or Manifest()).version)
    except LoraChatError:
        return line_folder.said_current(name, paths)


def _as_number(version: str) -> str:
    """What an ``adapter.toml`` calls its version, as a folder can be called; anything may stand there."""
    with suppress(LoraChatError):
        return checked_name(re.sub(r"[^a-z0-9._-]+", "-", version.lower()))
    return _ODD


def _parts(number: str) -> tuple[int, ...]:
    """The numbers between the dots; empty where there is something else."""
    return tuple(map(int, number.split("."))) if _NUMBER.fullmatch(number) else ()


def _list(found: Iterable[Version]) -> str:
    return ", ".join(each.number for each in found)
