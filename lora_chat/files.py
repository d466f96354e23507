"""Durable, private files. Owns how bytes reach the disk whole or not at all; never decides what is in them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.paths import make_private

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What Rust (safetensors, tokenizers), pip and Windows print instead of an errno.
_FULL_WORDS = ("No space left on device", "os error 28", "os error 112", "Disk quota exceeded", "not enough space")


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: written beside it, flushed to the disk, then renamed over it."""
    with staged_file(path, mode) as stage:
        stage.write_bytes(data)


def write_new(path: Path, data: bytes) -> None:
    """Make ``path``, a file of the person's own in a folder of their own: never over another, readable by them alone.

    Raises:
        RefusedError: something is there already, or nothing can be written there.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise RefusedError(f"{path} is there already: name a file that is not.") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RefusedError(f"Cannot write {path} ({why}): choose another place.") from error


@contextmanager
def staged_file(target: Path, mode: int = 0o600) -> Iterator[Path]:
    """Give an empty hidden file beside ``target``; on a clean exit it replaces ``target``, else it is gone."""
    make_private(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        sync_file(Path(name))
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(target.parent)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Give an empty hidden folder beside ``target``; on a clean exit it becomes ``target``, else it is gone.

    The rename is the only moment at which ``target`` appears, so nothing half-made is ever visible. Staging folders
    begin with ``.incoming-``, which every listing skips.
    """
    make_private(target.parent)
    stage = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
    try:
        yield stage
        for file in stage.rglob("*"):
            if file.is_file():
                sync_file(file)
        sync_folder(stage)
        os.replace(stage, target)
        try:
            sync_folder(target.parent)
        except OSError:  # who is told that it failed must not find it there
            os.replace(target, stage)
            raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Flush one file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_disk_full(error: BaseException) -> bool:
    """Whether ``error``, or what caused it, is a full disk or quota."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, OSError) and link.errno in _FULL:
            return True
        if any(words in str(link) for words in _FULL_WORDS):
            return True
        link = link.__cause__ or link.__context__
    return False


def says_disk_full(text: str) -> bool:
    """Whether a program's output complains of a full disk."""
    return any(words in text for words in _FULL_WORDS)
