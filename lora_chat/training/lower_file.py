"""What the lower layers made, in a file without a name. Owns that file; never says what is kept. [torch]

2.3 kB for each token of the default base, of which a step needs some hundred tokens: the system keeps in memory what it
has room for and takes that back when anybody else wants it.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from lora_chat.training.layout import Ids

HELD_TOKENS = 40_000
"""Whose states are kept in memory at most, where they cannot be in the file: 92 MB on the default base."""
_LEFT_FREE = 500_000_000
"""Bytes of the disk that are left to checkpoints, to the adapter and to everybody else."""


class LowerFile:
    """Float32 tensors by the sequence they belong to; some in memory where there is no room on the disk."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` is where the file is made; None: what is kept is kept in memory."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        if folder is not None:
            with suppress(OSError):
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # see close
        self._written: dict[Ids, tuple[int, torch.Size]] = {}
        """Where each one's bytes begin, and its shape."""
        self._held: dict[Ids, torch.Tensor] = {}
        self._end = 0

    def __contains__(self, ids: Ids) -> bool:
        return ids in self._written or ids in self._held

    def __getitem__(self, ids: Ids) -> torch.Tensor:
        """The states of ``ids``.

        Raises:
            OSError: they cannot be read back; they are no longer in it.
        """
        if ids in self._held:
            return self._held[ids]
        at, shape = self._written.pop(ids)
        found = torch.empty(shape)
        self._read(at, found)
        self._written[ids] = at, shape
        return found

    def keep(self, ids: Ids, states: torch.Tensor) -> None:
        """Keep the ``states`` of ``ids``, if there is room."""
        if ids in self or self._write(ids, states):
            return
        if sum(map(len, self._held)) + len(ids) <= HELD_TOKENS:
            self._held[ids] = states

    def close(self) -> None:
        """Give the disk and the memory back."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._written.clear()
        self._held.clear()

    def _write(self, ids: Ids, states: torch.Tensor) -> bool:
        if self._file is None or self._folder is None or states.device.type != "cpu" or states.dtype != torch.float32:
            return False
        try:
            if shutil.disk_usage(self._folder).free < _LEFT_FREE + states.nbytes:
                return False
            self._file.seek(self._end)
            if self._file.write(states.detach().contiguous().numpy().data) < states.nbytes:
                self._file.truncate(self._end)
                return False
        except OSError:
            return False
        self._written[ids] = self._end, states.shape
        self._end += states.nbytes
        return True

    def _read(self, at: int, into: torch.Tensor) -> None:
        assert self._file is not None
        left = memoryview(into.numpy().data).cast("B")
        self._file.seek(at)
        while left:
            count = self._file.readinto(left)  # type: ignore[attr-defined]
            if not count:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            left = left[count:]
