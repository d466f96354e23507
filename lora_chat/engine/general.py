"""The general way of decoding: any base that transformers loads. Owns the module trees that reply; never writes to the
base. [torch]

A worn adapter is a tree of its own over the shared weights, not a mode of one tree: taking it off is running another
tree, so the base comes back bit for bit and two conversations cannot mix. (While one thread called PEFT's
``set_adapter``, 56 of 122 forwards in another matched neither adapter.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.decoder.protocol import Context
from lora_chat.models.attach import set_scale, twin, wear
from lora_chat.models.base_model import BaseModel, cache_keyword
from lora_chat.models.watch import Check, watch_layers


@dataclass(frozen=True)
class Tree:
    """``Outfit`` of a ``GeneralDecoder``: a module tree of its own over the base's weights."""

    worn: Any
    bytes: int
    """Of its factors, in float32."""


class GeneralDecoder:
    """``Decoder`` on transformers and PEFT."""

    def __init__(self, base: BaseModel, why: str) -> None:
        """``why`` says what keeps this base from the fast path."""
        self.path = f"general path ({why})"
        self.base = base
        self._check: Check | None = None
        self._bare = twin(base.tree)
        watch_layers(self._bare, self._checked)

    def dress(self, adapter: VerifiedAdapter) -> Tree:
        """See ``Decoder.dress``."""
        worn = wear(self.base.tree, adapter, f"a{adapter.sha256[:16]}")
        watch_layers(worn.get_base_model(), self._checked)
        return Tree(worn, 4 * adapter.layout.parameters)

    def begin(self, outfit: Any, scale: float) -> Context:
        """See ``Decoder.begin``."""
        check_scale(scale)
        return GeneralContext(self, outfit, scale)

    def read(
        self, ids: Sequence[int], outfit: Any, scale: float, cache: Any, check: Check, *, every: bool
    ) -> torch.Tensor:
        """Logits after ``ids``."""
        tree = self._bare
        if outfit is not None:
            set_scale(outfit.worn, scale)
            tree = outfit.worn.get_base_model()
        named = {cache_keyword(type(tree)): cache}
        self._check = check
        try:
            with torch.inference_mode():
                out = tree(input_ids=self.base.tensor(ids), **named, use_cache=True, logits_to_keep=0 if every else 1)
        finally:
            self._check = None
        logits: torch.Tensor = out.logits[0]
        return logits if every else logits[-1]

    def checksum(self) -> str:
        """See ``Decoder.checksum``."""
        return self.base.checksum()

    def close(self) -> None:
        """See ``Decoder.close``."""

    def _checked(self) -> None:
        if self._check is not None:
            self._check()


class GeneralContext:
    """``Context`` of a ``GeneralDecoder``."""

    def __init__(self, decoder: GeneralDecoder, outfit: Any, scale: float) -> None:
        self.ids: list[int] = []
        self._decoder = decoder
        self._outfit = outfit
        self._scale = scale
        self._cache = DynamicCache(config=decoder.base.tree.config)

    @property
    def bytes(self) -> int:
        """See ``Context.bytes``."""
        layers = [layer for layer in self._cache.layers if getattr(layer, "keys", None) is not None]
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)

    def extend(self, ids: Sequence[int], check: Check, *, every: bool = False) -> torch.Tensor:
        """See ``Context.extend``."""
        try:
            logits = self._decoder.read(ids, self._outfit, self._scale, self._cache, check, every=every)
        except BaseException:  # some layers have read them, others not
            self._trim(len(self.ids))
            raise
        self.ids += ids
        return logits

    def can_cut(self, length: int) -> bool:
        """See ``Context.can_cut``: a cache that looks back a limited way or keeps a state cannot be cut."""
        return length == len(self.ids) or self._plain

    def cut(self, length: int) -> None:
        """See ``Context.cut``."""
        if length < len(self.ids):
            self._trim(length)

    def copy(self, length: int) -> GeneralContext:
        """See ``Context.copy``."""
        other = GeneralContext(self._decoder, self._outfit, self._scale)
        other._cache = copy.deepcopy(self._cache)
        other.ids = list(self.ids)
        other.cut(length)
        return other

    @property
    def _plain(self) -> bool:
        """Whether every layer keeps every position."""
        return all(type(layer) is DynamicLayer for layer in self._cache.layers)

    def _trim(self, length: int) -> None:
        if not self._plain:  # what it looked back on is gone
            self._cache, length = DynamicCache(config=self._decoder.base.tree.config), 0
        for layer in self._cache.layers:
            if layer.get_seq_length() > length:
                layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]
        del self.ids[length:]
