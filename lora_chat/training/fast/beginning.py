"""New pairs beside a base's matrices. Owns how they begin; never trains them. [torch]"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.models.tensors import read_tensor
from lora_chat.models.watch import Check
from lora_chat.training.fast.base import FastBase, module_name
from lora_chat.training.fast.pair import Pair
from lora_chat.training.fast.trainee import FastTrainee
from lora_chat.training.recipe import Recipe, layer_of, target_modules


def bare(base: FastBase, check: Check) -> FastTrainee:
    """The base alone."""
    return FastTrainee(base, {}, check)


def new(
    base: FastBase, signature: BaseSignature, recipe: Recipe, start: VerifiedAdapter | None, check: Check
) -> FastTrainee:
    """The base with new pairs as ``recipe`` wants them, which change nothing yet; with ``start`` those, as they are."""
    if start is not None:
        layout = start.layout
        kept = {
            name: Pair(
                nn.Parameter(read_tensor(start.files.weights, each.a)),
                nn.Parameter(read_tensor(start.files.weights, each.b)),
                each.alpha,
                each.scaling,
            )
            for name, each in layout.modules.items()
        }
        return FastTrainee(base, _ordered(kept), check, use_rslora=layout.use_rslora)
    found = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        for name in _in_order(target_modules(signature, recipe)):
            a, b = _begun(recipe.rank, *signature.modules[name])
            found[name] = Pair(a, b, recipe.alpha, recipe.alpha / recipe.rank)
    return FastTrainee(base, found, check)


def _begun(rank: int, out: int, into: int) -> tuple[nn.Parameter, nn.Parameter]:
    """A and B as PEFT begins them, to the number: it draws both as torch does, and then A anew and B as zeros."""
    a, b = nn.Linear(into, rank, bias=False).weight, nn.Linear(rank, out, bias=False).weight
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))
    return a, nn.init.zeros_(b)  # type: ignore[return-value]


def _ordered(pairs: dict[str, Pair]) -> dict[str, Pair]:
    return {name: pairs[name] for name in _in_order(pairs)}


def _in_order(names: Iterable[str]) -> list[str]:
    """As text comes by them."""
    places = {module_name(0, matrix): matrix for matrix in range(7)}

    def place(name: str) -> tuple[int, int]:
        layer = layer_of(name)
        return layer, places[name.replace(f".{layer}.", ".0.", 1)]

    return sorted(names, key=place)
