"""Where an adapter comes from: a folder, an archive, or a hub. Owns telling them apart and bringing each into the form
of a folder; never checks what is in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.disk import telling
from lora_chat.adapters.incoming.archive import unpack
from lora_chat.adapters.incoming.contents import LIMITS, TEXTS, listed
from lora_chat.adapters.incoming.quarantine import quarantine
from lora_chat.adapters.incoming.remote import HubAdapter, Tell, fetch_adapter
from lora_chat.adapters.reading import shown
from lora_chat.errors import NotFoundError
from lora_chat.paths import Paths

_LOOKED_AT = 1000
_ORDINARY = re.compile(r"[A-Za-z0-9._ ()+-]{1,64}")
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|txz|gz|xz|bz2|zst|rar|7z)", re.IGNORECASE)


@dataclass(frozen=True)
class Opened:
    """An adapter's folder, as long as its source is open."""

    folder: Path
    """Its name is the adapter's, unless the adapter or the person says otherwise."""
    left_out: tuple[str, ...]
    """Names of what is there and is not installed."""


@contextmanager
def opened(source: str, paths: Paths, tell: Tell | None = None) -> Iterator[Opened]:
    """Open what ``source`` means: a path, which comes first, or a hub id ``org/name[@revision]``.

    What comes from an archive or a hub lies in quarantine beside the person's adapters until this is left.

    Raises:
        NotFoundError: neither a path nor a hub id; no such repository.
        RefusedError: an archive or a repository that holds no adapter, or a hostile or damaged one.
        EngineError: the hub cannot be reached.
    """
    path = existing(source)
    if path is None:
        with _fetched(_hub_adapter(source), paths, tell or _silent) as found:
            yield found
    else:
        with opened_path(path, paths) as found:
            yield found


@contextmanager
def opened_path(path: Path, paths: Paths) -> Iterator[Opened]:
    """The same for what can only be a folder or an archive: never goes online."""
    if existing(str(path)) is None:
        raise NotFoundError(f"There is no {shown(str(path), 200)}: give the path of an adapter's folder or archive.")
    if path.is_dir():
        yield folder_at(path)
    else:
        with _unpacked(path, paths) as found:
            yield found


def folder_at(path: Path) -> Opened:
    """A folder as it lies there."""
    with os.scandir(path) as entries:
        names = [entry.name for _, entry in zip(range(_LOOKED_AT), entries, strict=False)]
    return Opened(path, listed(name for name in names if name not in LIMITS or _is_no_text(path / name)))


def name_from(folder: Path) -> str:
    """What an adapter in ``folder`` is called unless it says otherwise: that of ``My Bot (1)`` is ``my-bot-1``.

    A name that is odder than that stays as it is, to be refused.
    """
    name = folder.resolve().name
    return _as_name(name) if _ORDINARY.fullmatch(name) else name


@contextmanager
def _unpacked(path: Path, paths: Paths) -> Iterator[Opened]:
    called = shown(str(path), 200)
    with quarantine(paths, called) as place:
        with telling(f"unpack {called} beside the adapters"):
            folder = place / _as_name(_ARCHIVE.split(path.name)[0])
            folder.mkdir(mode=0o700)
            left_out = unpack(path, folder)
        yield Opened(folder, left_out)


@contextmanager
def _fetched(wanted: HubAdapter, paths: Paths, tell: Tell) -> Iterator[Opened]:
    with quarantine(paths, wanted.repo) as place:
        with telling(f"fetch {wanted.repo}"):
            folder = place / _as_name(wanted.name)
            folder.mkdir(mode=0o700)
            left_out = fetch_adapter(wanted, folder, tell)
        yield Opened(folder, left_out)


def existing(source: str) -> Path | None:
    """The path that ``source`` is, if there is something."""
    try:
        path = Path(source).expanduser()
        return path if source and os.path.lexists(path) else None
    except (ValueError, RuntimeError):  # NUL in the name; an unknown ~user
        return None


def _hub_adapter(source: str) -> HubAdapter:
    """The hub id that ``source`` is. A mistyped path must not go online: see the two conditions."""
    found = HubAdapter.parse(source)
    folder = source.partition("/")[0]
    beside_here = found is not None and found.revision is None and Path(folder).is_dir()
    if found is None or _ARCHIVE.search(found.name) or beside_here:
        hint = f" ({source}@main means the hub's)" if beside_here else ""
        raise NotFoundError(
            f"There is no {shown(source, 200)}{hint}: give the path of an adapter's folder or archive, or a hub id "
            "like org/name."
        )
    return found


def _as_name(stem: str) -> str:
    """A file's name as an adapter's: ``My Bot (1)`` becomes ``my-bot-1``."""
    return re.sub(r"[^a-z0-9._-]+", "-", stem.casefold()).strip("._-")[:64].rstrip("._-") or "adapter"


def _is_no_text(path: Path) -> bool:
    return path.name in TEXTS and (path.is_symlink() or not path.is_file())


def _silent(what: str, done: float, total: float) -> None:
    """Nobody watches."""
