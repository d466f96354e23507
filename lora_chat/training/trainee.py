"""What a training needs of a model: the one contract of both paths. Owns nothing and computes nothing. [torch]

``fast/trainee.py`` runs Llama-shaped bases on the CPU by itself; ``peft/trainee.py`` has transformers and PEFT run any
other, and any other device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from lora_chat.training.dataset import Batch
from lora_chat.training.lower import Lower

LossOf = Callable[[int, torch.Tensor], torch.Tensor]
"""Of the number of a piece and its logits (len, vocab), which it may write over, a loss that autograd can go back
through."""


@dataclass(frozen=True)
class NewLayer:
    """What is trained beside one linear module."""

    a: torch.Tensor
    """(rank, in)"""
    b: torch.Tensor
    """(out, rank)"""
    alpha: float


class Reading(Protocol):
    """What was read of one text, to go on from."""

    def cut(self, length: int) -> bool:
        """Forget all but the first ``length`` tokens; False where this base cannot, and nothing changes."""
        ...


class Trainee(Protocol):
    """A frozen base with layers that learn. Not safe for two threads; a check runs before each layer at least,
    both ways."""

    @property
    def lower(self) -> Lower:
        """The layers that no step changes."""
        ...

    @property
    def weights(self) -> list[nn.Parameter]:
        """What is trained, fp32, always in the same order."""
        ...

    @property
    def layers(self) -> Mapping[str, NewLayer]:
        """The same by the names of the base's modules, as they are now."""
        ...

    @property
    def made_with(self) -> tuple[str, ...]:
        """The packages whose code trains it, this one apart."""
        ...

    @property
    def use_rslora(self) -> bool:
        """Whether alpha is over the root of the rank."""
        ...

    @property
    def parameters(self) -> tuple[int, int]:
        """Trained ones and all, as PEFT's ``print_trainable_parameters`` counts."""
        ...

    def look(self, batch: Batch) -> None:
        """Find out what this base can do, if ``batch`` is the first."""
        ...

    def hidden(self, batch: Batch) -> torch.Tensor:
        """What goes into the output head where a prediction counts, (supervised, hidden), row by row of the batch."""
        ...

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of some of what ``hidden`` gave, (len, vocab), fp32."""
        ...

    def backward(self, batch: Batch, sizes: Sequence[int], loss_of: LossOf) -> None:
        """Add the gradients of a sum of losses: ``loss_of(index, logits)`` of pieces of so many predictions each."""
        ...

    def reading(self) -> Reading:
        """Of nothing yet."""
        ...

    def likeliest(self, ids: Sequence[int], reading: Reading, last: int) -> list[int]:
        """The likeliest next token after each of the ``last`` of ``ids``, which are read after what was read before."""
        ...

    def answers(self, prompts: Sequence[Sequence[int]], most: int, ends: frozenset[int]) -> list[list[int]]:
        """Greedy answers to several prompts, up to ``most`` tokens each; what follows one of ``ends`` is anything."""
        ...
