"""What the base can wear right now. Owns the adapters that were read and checked lately; never computes with one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import load_verified
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.engine.protocol import Worn
from lora_chat.errors import NotFoundError

if TYPE_CHECKING:
    from lora_chat.decoder.protocol import Decoder

RESIDENT = 8
"""Adapters kept that were worn lately; each costs its LoRA weights in fp32, 6 to 20 MB on the default base."""


@dataclass(frozen=True)
class Dressed:
    """One adapter ready to be worn."""

    identity: tuple[Any, ...]
    """Of the very files it was read from."""
    outfit: Any
    """What the decoder made of it."""
    hashes: tuple[str, str]
    """sha256 of its weights and of its config, in hex."""
    modules: int
    """Of the base that it changes."""


class Wardrobe:
    """The adapters of one base. Not safe for two threads at once: who calls has the floor."""

    def __init__(self, decoder: Decoder, signature: BaseSignature) -> None:
        self._decoder = decoder
        self._signature = signature
        self._dressed: OrderedDict[tuple[Any, ...], Dressed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._dressed)

    def dress(self, adapter: Worn) -> Dressed:
        """``adapter`` ready to be worn, read and checked anew whenever its files changed.

        Raises:
            NotFoundError: the adapter's folder is gone.
            RefusedError: it is damaged, was edited, or does not fit.
        """
        key = _identity(adapter)
        dressed = self._dressed.pop(key, None) or self._read(adapter, key)
        self._dressed[key] = dressed
        while len(self._dressed) > RESIDENT:
            self._dressed.popitem(last=False)
        return dressed

    def _read(self, adapter: Worn, identity: tuple[Any, ...]) -> Dressed:
        checked = load_verified(adapter.folder, self._signature, adapter.sha256)
        hashes = (checked.sha256, checked.files.config_sha256)
        return Dressed(identity, self._decoder.dress(checked), hashes, len(checked.layout.modules))


def _identity(adapter: Worn) -> tuple[Any, ...]:
    """Changes whenever the files do, so that an edited adapter is read, and refused, anew."""
    try:
        files = [(adapter.folder / name).stat() for name in (WEIGHTS_NAME, "adapter_config.json")]
    except OSError as error:
        raise NotFoundError(
            f'The adapter "{adapter.name}" is gone from {adapter.folder}: take it off or install it again.'
        ) from error
    return (adapter.folder, adapter.sha256, *((each.st_ino, each.st_mtime_ns, each.st_size) for each in files))
