"""The layers below the first that is trained. Owns what known sequences are there; never runs a layer. [torch]

Nothing in them changes while an adapter of the upper layers learns, so what they make of a sequence is the same at
every step: it is made once, and a step begins where the adapter begins. A sequence's states are always made beside the
same others, so that a training which goes on finds the bits it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from lora_chat.training.dataset import together
from lora_chat.training.layout import Ids
from lora_chat.training.lower_file import HELD_TOKENS, LowerFile

KEPT_TOKENS = 100_000
"""Whose states are kept on the disk: 230 MB on the default base. What is beyond them is made again at each step."""

Make = Callable[[Sequence[Ids]], list[torch.Tensor]]


class Lower:
    """What they made."""

    def __init__(
        self,
        count: int,
        made_by: str,
        device: torch.device | None = None,
        let_go: Callable[[], object] = lambda: None,
    ) -> None:
        """``count`` is how many there are; ``made_by`` says what makes the states, in which type and where.

        ``let_go`` is called before and after these layers run, whose weights are not needed all the time.
        """
        self.count, self.made_by, self._device, self._let_go = count, made_by, device, let_go
        self._groups: dict[Ids, list[Ids]] = {}
        self._kept = LowerFile()
        self._room = HELD_TOKENS

    def keep_in(self, folder: Path) -> None:
        """Keep on the disk what is made from now on, in ``folder``: to be said first, and once."""
        on_disk = self._device is None or self._device.type == "cpu"
        self._kept = LowerFile(folder if on_disk else None)
        self._room = KEPT_TOKENS if on_disk else HELD_TOKENS

    def close(self) -> None:
        """Keep nothing any more."""
        self._kept.close()

    def know(self, sequences: Iterable[Ids], most_tokens: int) -> None:
        """Keep these once they were made, in groups of ``most_tokens``: as many of them as there is room for."""
        known = []
        for ids in dict.fromkeys(sequences):
            self._room -= len(ids)
            if self._room >= 0 and ids not in self._groups:
                known.append(ids)
        for group in together(known, most_tokens):
            found = [known[i] for i in group]
            self._groups |= dict.fromkeys(found, found)

    def fill(self, states: Mapping[Ids, torch.Tensor]) -> None:
        """These were made by the same layers before, (len, hidden) each."""
        for ids, each in states.items():
            if ids in self._groups:
                self._kept.keep(ids, each.to(self._device))

    def count_kept(self, sequences: Iterable[Ids]) -> int:
        """How many of ``sequences`` are kept."""
        return sum(ids in self._kept for ids in sequences)

    def kept(self, sequences: Sequence[Ids]) -> dict[Ids, torch.Tensor]:
        """What is kept of ``sequences``.

        Raises:
            OSError: it cannot be read back.
        """
        return {ids: self._kept[ids] for ids in sequences if ids in self._kept}

    def states(self, sequences: Sequence[Ids], make: Make) -> list[torch.Tensor]:
        """What goes into the first trained layer, (len, hidden) for each sequence; ``make`` finds what is not kept."""
        found: dict[Ids, torch.Tensor] = {}
        for ids in sequences:
            if ids not in found and ids in self._groups:
                found |= self._known(ids, make)
        others = [ids for ids in sequences if ids not in found]
        found |= zip(others, make(others), strict=True) if others else ()
        return [found[ids] for ids in sequences]

    def _known(self, ids: Ids, make: Make) -> dict[Ids, torch.Tensor]:
        """The states of ``ids``, or of all that they are made beside."""
        if ids in self._kept:
            with suppress(OSError):  # made again, to the same bits
                return {ids: self._kept[ids]}
        group = self._groups[ids]
        self._let_go()
        made = dict(zip(group, make(group), strict=True))
        self._let_go()
        for each, states in made.items():
            self._kept.keep(each, states)
        return made
