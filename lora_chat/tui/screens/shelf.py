"""What the screens that show adapters share. Owns being told of changes while one is open; never draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Catalog
    from lora_chat.sitting.standing import Standing

EMPTY = (
    "No adapter is installed yet. /train from-history makes one from the answers you corrected or rated good; "
    "/adapter install SOURCE takes one that somebody shared."
)
NO_MATCH = "No adapter is called so, or says so of itself."


class ShelfScreen:
    """A screen with a list of adapters."""

    def show(self, catalog: Catalog, standings: Mapping[str, Standing]) -> None:
        """What is installed now, and how it stands."""
        raise NotImplementedError

    def wear(self, worn: str) -> None:
        """The conversation wears that one now, or nothing."""
        raise NotImplementedError
