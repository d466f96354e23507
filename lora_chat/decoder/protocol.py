"""What a way of decoding promises. Owns the seam between the engine and the two paths; computes nothing. [torch]

The engine asks for contexts and extends them; which path does it, it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.models.watch import Check


class Context(Protocol):
    """The keys and values of one run of tokens, as one adapter at one scale made them."""

    ids: list[int]
    """What it holds, in order."""

    @property
    def bytes(self) -> int:
        """Memory it takes."""

    def extend(self, ids: Sequence[int], check: Check, *, every: bool = False) -> torch.Tensor:
        """Append ``ids`` and return the logits of what comes next, (vocab,); with ``every`` after each, (len, vocab).

        ``check`` is called every 100 ms or so; what it raises leaves the context as it was.
        """

    def can_cut(self, length: int) -> bool:
        """Whether its first ``length`` tokens can be had without the rest."""

    def cut(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""

    def copy(self, length: int) -> Context:
        """A context of its own that holds the first ``length`` tokens."""


class Outfit(Protocol):
    """An adapter ready to be worn; what else it is, only the decoder that made it knows."""

    @property
    def bytes(self) -> int:
        """Memory it takes, at the scales it was worn at lately."""


class Decoder(Protocol):
    """One base, loaded for decoding."""

    path: str
    """What it is called in ``doctor``, in a few words."""

    def dress(self, adapter: VerifiedAdapter) -> Outfit:
        """Make ``adapter`` ready to be worn, by this decoder alone.

        Raises:
            RefusedError: it does not fit after all.
        """

    def begin(self, outfit: Any, scale: float) -> Context:
        """An empty context that wears ``outfit`` (None: the bare base) at ``scale``.

        Raises:
            RefusedError: ``scale`` is not one.
        """

    def checksum(self) -> str:
        """sha256 over every weight replies are made with: the proof that nothing ever wrote to them."""

    def close(self) -> None:
        """Let its threads end."""
