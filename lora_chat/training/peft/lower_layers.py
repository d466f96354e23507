"""The lower layers of a tree that transformers runs. Owns leaving them out, and running no others. [torch]"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from lora_chat.memory import let_go
from lora_chat.training.lower import Lower


class _Reached(Exception):
    """A forward came to the first trained layer, and is not wanted above it."""


class LowerLayers(Lower):
    """Those layers of one tree."""

    def __init__(self, layers: Sequence[Any]) -> None:
        """``layers`` are all decoder layers of the tree; the lower ones are this one's from now on."""
        trained = [any(each.requires_grad for each in layer.parameters()) for layer in layers]
        count = trained.index(True) if True in trained else 0
        self._all, self._layers = layers, layers[:count]
        weight = next((each for layer in self._layers for each in layer.parameters()), torch.empty(0))
        super().__init__(count, f"layers={count} {weight.dtype} {weight.device.type}", weight.device, self.let_go)
        self.sparing = False
        """Whether their weights leave the memory before the upper layers' come, which takes some ms."""
        self._given: torch.Tensor | None = None
        self._stops = False
        self._in_tuple = False
        for index, layer in enumerate(self._layers):
            layer.forward = partial(self._layer, layer.forward, first=index == 0, last=index == count - 1)

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
