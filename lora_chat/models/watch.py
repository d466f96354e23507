"""How a long forward or backward can be interrupted. Owns the hooks; never decides when.

A check runs before each layer, forward and backward: one layer of 30 takes a few ms to some 30 ms, so a check that
raises ends a prefill or a training step well within 250 ms, and one that waits makes a training step polite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lora_chat.adapters.signature import goes_text_through

Check = Callable[[], None]


class StopAsked(Exception):
    """Raised by a check inside a forward or backward that is no longer wanted; whoever set the check catches it."""


class KeepAsked(StopAsked):
    """The same of a training that shall go on later."""


def watch_layers(tree: torch.nn.Module, check: Check) -> None:
    """Call ``check`` before every decoder layer of ``tree``, in forward and, where gradients flow, in backward."""

    def before_forward(_module: torch.nn.Module, _inputs: Any) -> None:
        check()

    def after_forward(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(hidden, torch.Tensor) and hidden.requires_grad:
            hidden.register_hook(lambda _gradient: check())

    for layer in find_layers(tree):
        layer.register_forward_pre_hook(before_forward)
        layer.register_forward_hook(after_forward)


def find_layers(tree: torch.nn.Module) -> list[torch.nn.Module]:
    """The decoder layers: the longest ``ModuleList`` that text goes through; ``tree`` itself where there is none."""
    lists = [
        list(module)
        for name, module in tree.named_modules()
        if isinstance(module, torch.nn.ModuleList) and goes_text_through(name)
    ]
    return max(lists, key=len, default=[]) or [tree]
