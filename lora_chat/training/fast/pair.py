"""The two thin matrices beside one of the base's. Owns their product and its gradients. [torch]

What PEFT's ``Linear`` adds without dropout: ``scaling * B @ A``, fp32. Gradients are added up in ``.grad``, as autograd
does, so that whoever steps, clips or averages them need not know who made them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Pair:
    """The adapter's share of one matrix."""

    a: nn.Parameter
    """(rank, in)"""
    b: nn.Parameter
    """(out, rank)"""
    alpha: float
    scaling: float
    """alpha / rank, or alpha / sqrt(rank) with rsLoRA."""

    def add_to(self, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``out`` (tokens, out) with what the pair makes of ``x`` (tokens, in) added, in place, in the type of both."""
        return out.addmm_(x @ self.a.t().to(x.dtype), self.b.t().to(x.dtype), alpha=self.scaling)

    def backward(self, grad: torch.Tensor, x: torch.Tensor, into: torch.Tensor | None) -> None:
        """Add the gradients of A and B where ``grad`` (tokens, out) came back for what ``x`` (tokens, in) made.

        ``into`` (tokens, in), the gradient of ``x``, gets its share, in place; None where nobody wants it. All three
        are of one type; the gradients of A and B are float32.
        """
        a, b = self.a.to(x.dtype), self.b.to(x.dtype)
        thin = grad @ b  # (tokens, rank)
        _add(self.b, ((x @ a.t()).t() @ grad).t(), self.scaling)
        _add(self.a, thin.t() @ x, self.scaling)
        if into is not None:
            into.addmm_(thin, a, alpha=self.scaling)


def _add(weight: nn.Parameter, gradient: torch.Tensor, scaling: float) -> None:
    if weight.grad is None:
        weight.grad = (gradient.float() * scaling).contiguous()
    else:
        weight.grad.add_(gradient, alpha=scaling)
