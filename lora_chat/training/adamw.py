"""AdamW on a few small tensors. Owns their moments; never decides the rate. [torch]

torch's own does the same sums, and with its first instance brings 70 MB of its compiler into memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
"""torch's defaults."""


class AdamW:
    """Loshchilov and Hutter's: Adam with decay beside the gradient (https://arxiv.org/abs/1711.05101)."""

    def __init__(self, weights: Sequence[nn.Parameter], weight_decay: float) -> None:
        self._weights, self._decay = weights, weight_decay
        self._steps = [0] * len(weights)
        self._first = [torch.zeros_like(each, requires_grad=False) for each in weights]
        self._second = [torch.zeros_like(each, requires_grad=False) for each in weights]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move each weight by its ``.grad``, which is None afterwards; those without one stay."""
        for i, weight in enumerate(self._weights):
            if (gradient := weight.grad) is None:
                continue
            self._steps[i] += 1
            first, second, steps = self._first[i], self._second[i], self._steps[i]
            weight.mul_(1 - rate * self._decay)
            first.lerp_(gradient, 1 - _BETAS[0])
            second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            spread = (second.sqrt() / math.sqrt(1 - _BETAS[1] ** steps)).add_(_EPSILON)
            weight.addcdiv_(first, spread, value=-rate / (1 - _BETAS[0] ** steps))
            weight.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on, by the number of the weight; as torch names them."""
        found: dict[str, torch.Tensor] = {}
        for i, steps in enumerate(self._steps):
            if steps:
                found |= {f"step.{i}": torch.tensor(float(steps)), f"exp_avg.{i}": self._first[i]}
                found[f"exp_avg_sq.{i}"] = self._second[i]
        return found

    def put_back(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Be as ``tensors`` tell. Raises KeyError where some of one weight's are missing."""
        for i in range(len(self._weights)):
            if f"step.{i}" in tensors:
                self._steps[i] = int(tensors[f"step.{i}"])
                self._first[i].copy_(tensors[f"exp_avg.{i}"])
                self._second[i].copy_(tensors[f"exp_avg_sq.{i}"])
