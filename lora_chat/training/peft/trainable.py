"""The tree that is trained. Owns the new layers over the base's shared tensors; never trains them. [torch]"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.models.attach import lora_layers, twin, wear
from lora_chat.models.base_model import BaseModel
from lora_chat.training.recipe import Recipe, target_modules


def trainable_twin(
    base: BaseModel, signature: BaseSignature, recipe: Recipe, start: VerifiedAdapter | None = None
) -> Any:
    """A PEFT model over the base's shared tensors whose LoRA layers alone are trained, in fp32.

    With ``start`` they are its layers and begin as its numbers; else they are the recipe's and change nothing yet. In
    eval mode: a base's own dropout (OPT has some) would draw from the generator that all threads share, and no job
    would make the same bytes twice.

    Raises:
        RefusedError: ``start`` does not fit this base after all.
    """
    if start is not None:
        return _worn(base, start)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=target_modules(signature, recipe),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        # PEFT draws A from the default generator, which every thread shares: seed a copy of it.
        torch.manual_seed(recipe.seed)
        tree = get_peft_model(twin(base.tree), config, autocast_adapter_dtype=True)
    return tree.eval()


def _worn(base: BaseModel, start: VerifiedAdapter) -> Any:
    tree = wear(base.tree, start, "default")
    tree.peft_config["default"].inference_mode = False
    for layer in lora_layers(tree).values():
        for side in (layer.lora_A["default"], layer.lora_B["default"]):
            side.weight = nn.Parameter(side.weight.detach().float(), requires_grad=True)
    return tree
