"""The layers below the first that is trained. Owns what known sequences are there; never runs the layers above. [torch]

Nothing in them changes while an adapter of the upper layers learns, so what they make of a sequence is the same at
every step: it is made once, and a step begins where the adapter begins. A sequence's states are always made beside the
same others, so that a training which goes on finds the bits it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from lora_chat.memory import let_go
from lora_chat.training.dataset import together
from lora_chat.training.layout import Ids

KEPT_TOKENS = 40_000
"""Whose states are kept: 92 MB on the default base. What is beyond them is made again at each step."""

Make = Callable[[Sequence[Ids]], list[torch.Tensor]]


class _Reached(Exception):
    """A forward came to the first trained layer, and is not wanted above it."""


class Lower:
    """Those layers of one tree."""

    def __init__(self, layers: Sequence[Any]) -> None:
        """``layers`` are all decoder layers of the tree; the lower ones are this one's from now on."""
        trained = [any(each.requires_grad for each in layer.parameters()) for layer in layers]
        self.count = trained.index(True) if True in trained else 0
        """How many there are."""
        self._groups: dict[Ids, list[Ids]] = {}
        self._kept: dict[Ids, torch.Tensor] = {}
        self._room = KEPT_TOKENS
        self.sparing = False
        """Whether their weights leave the memory before the upper layers' come, which takes some ms."""
        self._given: torch.Tensor | None = None
        self._stops = False
        self._in_tuple = False
        self._all, self._layers = layers, layers[: self.count]
        for index, layer in enumerate(self._layers):
            layer.forward = partial(self._layer, layer.forward, first=index == 0, last=index == self.count - 1)

    @property
    def made_by(self) -> str:
        """How many layers make the states, in which type and where."""
        weight = next((each for layer in self._layers for each in layer.parameters()), torch.empty(0))
        return f"layers={self.count} {weight.dtype} {weight.device.type}"

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
        device = next((each.device for layer in self._layers for each in layer.parameters()), None)
        self._kept |= {ids: each.to(device) for ids, each in states.items() if ids in self._groups}

    def kept(self, sequences: Sequence[Ids]) -> dict[Ids, torch.Tensor]:
        """What is kept of ``sequences``."""
        return {ids: self._kept[ids] for ids in sequences if ids in self._kept}

    def states(self, sequences: Sequence[Ids], make: Make) -> list[torch.Tensor]:
        """What goes into the first trained layer, (len, hidden) for each sequence; ``make`` finds what is not kept."""
        for ids in sequences:
            if ids in self._groups and ids not in self._kept:
                group = self._groups[ids]
                self.let_go()
                self._kept |= zip(group, make(group), strict=True)
                self.let_go()
        others = [ids for ids in sequences if ids not in self._kept]
        found = self._kept | (dict(zip(others, make(others), strict=True)) if others else {})
        return [found[ids] for ids in sequences]

    def reached(self, run: Callable[[], object]) -> torch.Tensor:
        """What comes out of the last of these layers while ``run`` runs the model; nothing above is run."""
        self._stops = True
        try:
            with torch.no_grad():
                run()
        except _Reached as reached:
            states: torch.Tensor = reached.args[0]
            return states
        finally:
            self._stops = False
        raise AssertionError("the model ran without its lower layers")

    @contextmanager
    def given(self, states: torch.Tensor) -> Iterator[None]:
        """Run the model with ``states`` in place of what these layers would make."""
        self._given = states
        try:
            yield
        finally:
            self._given = None

    def let_go(self) -> None:
        """No layer's weights are needed all the time: where they are mapped, only those in use are in memory."""
        weights = [each for layer in self._all for each in layer.parameters() if each.device.type == "cpu"]
        let_go((each.data_ptr(), each.nbytes) for each in weights)

    def _layer(
        self, forward: Callable[..., Any], hidden: torch.Tensor, *more: Any, first: bool, last: bool, **named: Any
    ) -> Any:
        if self._given is not None:
            states = self._given if last else hidden
            return (states,) if self._in_tuple else states
        if first and self.sparing:
            self.let_go()
        made = forward(hidden, *more, **named)
        if last and self.sparing:
            self.let_go()
        self._in_tuple = isinstance(made, tuple)
        if self._stops and last:
            raise _Reached(made[0] if self._in_tuple else made)
        return made
