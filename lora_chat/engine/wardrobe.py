"""What the base can wear right now. Owns the adapters that were read and checked lately; never computes with one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lora_chat.adapters.mixture import mixed
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter, load_verified, verified
from lora_chat.adapters.weights import WEIGHTS_NAME
from lora_chat.engine.protocol import Worn
from lora_chat.errors import NotFoundError

if TYPE_CHECKING:
    from lora_chat.decoder.protocol import Context, Decoder, Outfit

BUDGET = 192 << 20
"""Bytes that adapters which were worn lately may take; on the default base one takes 3 to 40 MB."""


@dataclass(frozen=True)
class Dressed:
    """One adapter, or one mixture, ready to be worn."""

    identity: tuple[Any, ...]
    """Of the very files it was read from, and of a mixture's shares."""
    outfit: Outfit
    """What the decoder made of it."""
    scale: float
    """At which a context begins: that of the request, and 1 of a mixture, whose shares are in its weights."""
    hashes: tuple[str, str]
    """sha256 of its weights and of its config, in hex."""
    modules: int
    """Of the base that it changes."""

    def begin(self, decoder: Decoder) -> Context:
        """An empty context that wears it."""
        return decoder.begin(self.outfit, self.scale)


class Wardrobe:
    """The adapters of one base. Not safe for two threads at once: who calls has the floor."""

    def __init__(
        self,
        decoder: Decoder,
        signature: BaseSignature,
        let_go: Callable[[tuple[Any, ...]], object] = lambda identity: None,
        budget: int = BUDGET,
    ) -> None:
        """``budget`` is the memory, in bytes, that adapters may take; the last one worn always stays.

        ``let_go`` is told the identity of each that made room.
        """
        self._decoder = decoder
        self._let_go = let_go
        self._signature = signature
        self._budget = budget
        self._dressed: OrderedDict[tuple[Any, ...], Dressed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._dressed)

    def dress(self, adapter: Worn) -> Dressed:
        """``adapter`` ready to be worn, read and checked anew whenever its files changed.

        Raises:
            NotFoundError: the folder of one of them is gone.
            RefusedError: one is damaged, was edited, or does not fit.
        """
        identity = _identity(adapter)
        dressed = self._dressed.pop(identity, None) or self._read(adapter, identity)
        self._dressed[identity] = dressed
        while len(self._dressed) > 1 and sum(each.outfit.bytes for each in self._dressed.values()) > self._budget:
            gone, _ = self._dressed.popitem(last=False)
            self._let_go(gone)
        return dressed if adapter.beside else replace(dressed, scale=adapter.scale)

    def _read(self, adapter: Worn, identity: tuple[Any, ...]) -> Dressed:
        checked = self._load(adapter) if not adapter.beside else self._mix(adapter)
        hashes = (checked.sha256, checked.files.config_sha256)
        return Dressed(identity, self._decoder.dress(checked), 1.0, hashes, len(checked.layout.modules))

    def _load(self, adapter: Worn) -> VerifiedAdapter:
        return load_verified(adapter.folder, self._signature, adapter.sha256)

    def _mix(self, adapter: Worn) -> VerifiedAdapter:
        """The sum of all that are worn together: each is checked as if it were worn alone."""
        for each in adapter.all:
            check_scale(each.scale)
        return verified(
            mixed([(self._load(each).files, each.scale) for each in adapter.all], "a mixture"), self._signature
        )


def _identity(adapter: Worn) -> tuple[Any, ...]:
    """Changes whenever the files or a mixture's shares do, so that an edited adapter is read, and refused, anew."""
    if adapter.beside:
        return tuple((_files(each), each.scale) for each in adapter.all)
    return _files(adapter)


def _files(adapter: Worn) -> tuple[Any, ...]:
    try:
        files = [(adapter.folder / name).stat() for name in (WEIGHTS_NAME, "adapter_config.json")]
    except OSError as error:
        raise NotFoundError(
            f'The adapter "{adapter.name}" is gone from {adapter.folder}: take it off or install it again.'
        ) from error
    return (adapter.folder, adapter.sha256, *((each.st_ino, each.st_mtime_ns, each.st_size) for each in files))
