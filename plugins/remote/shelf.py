"""Adapters on this machine, held against the base. Owns reading and checking them; never sends one."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lora_chat.plugins.engine_api import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    AdapterFiles,
    BaseSignature,
    NotFoundError,
    Worn,
    check_hashes,
    check_scale,
    clean_line,
    is_uniform,
    load_verified,
    read_adapter,
    read_manifest_of,
)

_KEPT = 256


@dataclass(frozen=True)
class Checked:
    """What is known of an adapter whose files passed every check."""

    sha256: str
    config_sha256: str
    plain: bool
    """Whether every reader takes its files for the same thing: one rank, one alpha."""
    changes_nothing: bool
    modules: int
    modules_total: int


class Shelf:
    """Reads adapters anew whenever their files changed; safe from several threads."""

    def __init__(self) -> None:
        self.signature: BaseSignature | None = None
        """Without one only the adapter itself is checked, and whether it fits is the server's to say."""
        self._known: OrderedDict[tuple[Any, ...], Checked] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, worn: Worn) -> Checked:
        """One adapter as it lies there now, without those beside it.

        Raises:
            NotFoundError: its folder is gone.
            RefusedError: its scale is none, it is damaged, was edited, or does not fit.
        """
        check_scale(worn.scale)
        identity = _identity(worn)
        with self._lock:
            if known := self._known.get(identity):
                self._known.move_to_end(identity)
                return known
        files, total = self._read(worn)
        layout = files.layout
        checked = Checked(
            files.sha256, files.config_sha256, is_uniform(files), files.changes_nothing, len(layout.modules), total
        )
        with self._lock:
            self._known[identity] = checked
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return checked

    def files(self, worn: Worn) -> AdapterFiles:
        """Its bytes. Raises as ``check``."""
        return self._read(worn)[0]

    def _read(self, worn: Worn) -> tuple[AdapterFiles, int]:
        if self.signature is not None:
            verified = load_verified(worn.folder, self.signature, worn.sha256)
            return verified.files, verified.verdict.modules_total
        files = read_adapter(worn.folder)
        check_hashes(files, read_manifest_of(worn.folder), worn.sha256)
        return files, len(files.layout.modules)


def digest(parts: Sequence[tuple[Worn, Checked]]) -> str:
    """Twelve hex digits of all that decides how they answer: weights, config and scale of each."""
    told = sorted(f"{each.sha256} {each.config_sha256} {float(worn.scale)!r}" for worn, each in parts)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _identity(worn: Worn) -> tuple[Any, ...]:
    try:
        files = [(worn.folder / name).stat() for name in (WEIGHTS_NAME, CONFIG_NAME)]
    except OSError as error:
        raise NotFoundError(
            f'The adapter "{clean_line(worn.name, 60)}" is gone from {clean_line(str(worn.folder), 200)}: take it off '
            "or install it again."
        ) from error
    return (worn.folder, worn.sha256, *((each.st_ino, each.st_mtime_ns, each.st_size) for each in files))
