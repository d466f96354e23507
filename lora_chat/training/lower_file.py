"""What the lower layers made, in a file without a name. Owns that file; never says what is kept. [torch]

It is there for as long as one training: 2.3 kB for each token of the default base, of which a step needs some hundred.
The system keeps in memory what it has room for and takes that back when anybody else wants it.
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from lora_chat.training.layout import Ids


class LowerFile:
    """Float32 tensors by the sequence they belong to; in memory where there is no room on the disk."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` is where the file is made; None: all is kept in memory."""
        self._file: IO[bytes] | None = None
        if folder is not None:
            with suppress(OSError):
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # closed with this
        self._written: dict[Ids, tuple[int, torch.Size]] = {}
        """Where each one's bytes begin, and its shape."""
        self._held: dict[Ids, torch.Tensor] = {}
        self._end = 0

    def __contains__(self, ids: Ids) -> bool:
        return ids in self._written or ids in self._held

    def __setitem__(self, ids: Ids, states: torch.Tensor) -> None:
        if self._file is None or states.device.type != "cpu" or states.dtype != torch.float32:
            self._held[ids] = states
            return
        written = 0
        with suppress(OSError):
            self._file.seek(self._end)
            written = self._file.write(states.detach().contiguous().numpy().data)
        if written < states.nbytes:  # the disk is full
            self._held[ids] = states
            return
        self._held.pop(ids, None)
        self._written[ids] = self._end, states.shape
        self._end += written

    def __getitem__(self, ids: Ids) -> torch.Tensor:
        if ids in self._held:
            return self._held[ids]
        assert self._file is not None
        at, shape = self._written[ids]
        found = torch.empty(shape)
        self._file.seek(at)
        if self._file.readinto(found.numpy()) != found.nbytes:  # type: ignore[attr-defined]
            raise OSError(errno.EIO, "what was kept of the lower layers cannot be read back")
        return found
