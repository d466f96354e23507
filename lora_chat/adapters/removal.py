"""The way out, and back. Owns how an adapter leaves the person's folder and how that is undone; never what is in it.

A removed adapter is put by one rename into a hidden folder beside the others, ``.trash-…``, and back by another:
nothing is copied, so a removal is as quick, and as whole, for a gigabyte. Its line (its other versions and what it was
taught) goes and comes with it, by a rename of its own. After a day both are deleted for good.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lora_chat.adapters.disk import telling
from lora_chat.adapters.index import Index
from lora_chat.adapters.line_folder import forget_current, recover
from lora_chat.adapters.manifest import numbered
from lora_chat.adapters.reading import shown
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.files import sync_folder
from lora_chat.paths import Paths, make_private

KEPT_HOURS = 24
"""So long a removed adapter can be brought back."""

_INCOMING, _TRASH = ".incoming-", ".trash-"
_LINE = ".line"
"""A line in the trash: hidden, so that it is no adapter that could be brought back."""
_INCOMING_S = 3600


def remove(name: str, paths: Paths) -> None:
    """Take an installed adapter, broken or not, out of every listing; ``restore`` brings it back for a day.

    With it goes its line: its other versions, and what the person said in order to teach it.

    Raises:
        RefusedError: it is a shipped one, or the folder cannot be changed.
        NotFoundError: there is no such adapter.
    """
    target = check_removable(name, paths)
    sweep(paths)
    with telling(f"remove the adapter {target}"):
        forget_current(name, paths)  # or a version of it could be taken for one that a killed change left behind
        trash = _new_trash(paths)
        try:
            os.replace(target, trash / name)
            _move_line(paths.lines / name, trash / _LINE)
        except BaseException:
            with suppress(OSError):
                _move_line(trash / _LINE, paths.lines / name)
            with suppress(OSError):
                os.replace(trash / name, target)
            with suppress(OSError):
                trash.rmdir()
            raise
        sync_folder(paths.adapters)


def restore(name: str, paths: Paths) -> Path:
    """Bring back the adapter of that name that was removed last, without a name the last of all; return its folder.

    Where its name is taken meanwhile it stands beside, as ``name-2``.

    Raises:
        NotFoundError: none was removed within a day, naming those that were.
        RefusedError: the folder cannot be changed.
    """
    found = removed(paths)
    chosen = next((each for each in found if name in ("", each.name)), None)
    if chosen is None:
        others = ", ".join(dict.fromkeys(shown(each.name, 40) for each in found[:10]))
        there = f"what can be brought back is {others}" if found else "nothing was removed within a day"
        what = f'No adapter called "{shown(name)}" can be brought back' if name else "Nothing can be brought back"
        raise NotFoundError(f"{what}: {there}.")
    line = chosen.parent / _LINE
    has_line = os.path.lexists(line)
    target = next(paths.adapters / each for each in numbered(chosen.name) if _is_free(each, paths, has_line))
    with telling(f"bring back the adapter {target}"):
        _move_line(line, paths.lines / target.name)
        try:
            os.replace(chosen, target)
        except OSError:
            if has_line:
                _move_line(paths.lines / target.name, line)
            raise
        sync_folder(paths.adapters)
    with suppress(OSError):
        chosen.parent.rmdir()
    return target


def removed(paths: Paths) -> list[Path]:
    """What can be brought back, the last removed first."""
    with suppress(OSError):
        kept = sorted(_old(paths, _TRASH, 0), key=lambda trash: trash.lstat().st_mtime_ns, reverse=True)
        return [each for trash in kept for each in trash.iterdir() if each.name != _LINE]
    return []


def removed_lines(paths: Paths) -> list[Path]:
    """The lines that would come back with them."""
    with suppress(OSError):
        return [line for trash in _old(paths, _TRASH, 0) if (line := trash / _LINE).is_dir()]
    return []


def put_line_aside(name: str, paths: Paths) -> None:
    """Put a line that has no adapter any more to the adapter it belongs to in the trash, else there by itself.

    Raises:
        OSError: the disk does not let it.
    """
    line = paths.lines / name
    if not os.path.lexists(line) or os.path.lexists(paths.adapters / name):
        return
    same = (each.parent for each in removed(paths) if each.name == name)
    trash = next((each for each in same if not os.path.lexists(each / _LINE)), None) or _new_trash(paths)
    _move_line(line, trash / _LINE)


def check_removable(name: str, paths: Paths) -> Path:
    """Return the folder that ``remove`` would take away. Raises as ``remove``."""
    recover(paths)
    target = paths.adapters / name
    plain = name and not name.startswith(".") and Path(name).name == name and "\\" not in name and "\0" not in name
    if plain and os.path.lexists(target):
        return target
    shipped = Index(paths).catalog().get(name)
    raise RefusedError(
        f'The adapter "{shipped.name}" is shipped with lora-chat and cannot be removed: leave it unworn.'
    )


def sweep(paths: Paths) -> None:
    """Delete what was removed a day ago, and what an install left when it was killed, once that is an hour old.

    A change of version that was killed half-way is put right.
    """
    recover(paths)
    for kind, seconds in ((_INCOMING, _INCOMING_S), (_TRASH, KEPT_HOURS * 3600)):
        with suppress(OSError):
            for entry in _old(paths, kind, seconds):
                if kind == _TRASH or not _is_filled(entry, seconds):
                    shutil.rmtree(entry, ignore_errors=True)


def _new_trash(paths: Paths) -> Path:
    return Path(tempfile.mkdtemp(prefix=_TRASH, dir=make_private(paths.adapters)))


def _move_line(line: Path, target: Path) -> None:
    """Where there is one."""
    if os.path.lexists(line):
        make_private(target.parent)
        os.replace(line, target)
        sync_folder(line.parent)
        sync_folder(target.parent)


def _old(paths: Paths, kind: str, seconds: float) -> list[Path]:
    """Hidden folders of one kind that nothing was put into for so long."""
    here = [each for each in paths.adapters.iterdir() if each.name.startswith(kind) and not each.is_symlink()]
    return [each for each in here if each.is_dir() and time.time() - each.lstat().st_mtime >= seconds]


def _is_filled(incoming: Path, seconds: float) -> bool:
    """Whether something in it was written lately: a download may take longer than an hour."""
    return any(time.time() - each.lstat().st_mtime < seconds for each in incoming.rglob("*"))


def _is_free(name: str, paths: Paths, has_line: bool) -> bool:
    if has_line and os.path.lexists(paths.lines / name):
        return False
    return not os.path.lexists(paths.adapters / name) and not (paths.bundled_adapters / name).is_dir()
