"""How a base wears an adapter. Owns the twin tree and its LoRA layers; never writes to the base or its weights.

PEFT's own loader is not used: it would run a stranger's regular expressions and load whatever a file holds. Here a
config of our own names each module, and the tensors come from the bytes that were checked.
"""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from lora_chat.adapters.reading import shown
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.adapters.weights import LoraLayout, ModuleLora
from lora_chat.errors import RefusedError
from lora_chat.models.tensors import read_tensor


def twin(base: nn.Module) -> Any:
    """A second module tree over the same weights: own modules, hooks, buffers and flags, shared parameter memory.

    Its parameters are frozen views: gradients, ``requires_grad`` and ``.to()`` on them leave the base alone. Only
    an in-place write would reach it, and nothing here makes one. About 30 ms for 30 layers.
    """
    shared: dict[int, Any] = {id(each): nn.Parameter(each.detach(), requires_grad=False) for each in base.parameters()}
    return copy.deepcopy(base, memo=shared)


def wear(base: nn.Module, adapter: VerifiedAdapter, name: str) -> PeftModel:
    """Return a twin of ``base`` that wears ``adapter``, in eval mode and frozen; ``base`` is not touched.

    ``name`` is PEFT's inner name for it: use a hash, as no stranger's text should become an attribute.

    Raises:
        RefusedError: the adapter does not fit this base after all.
    """
    layout = adapter.layout
    model = twin(base)
    # On the meta device new layers get no memory and draw no random numbers. The device context is this thread's
    # own, unlike PEFT's low_cpu_mem_usage, which patches nn.Module for all threads.
    with torch.device("meta"):
        worn = get_peft_model(model, build_config(layout), adapter_name=name)
    _fill(worn, adapter, name)
    worn.eval()
    return worn.requires_grad_(False)


def build_config(layout: LoraLayout) -> LoraConfig:
    """Our own PEFT config for exactly the modules of ``layout``; nothing in it is a stranger's text but their names."""
    rank = Counter(module.rank for module in layout.modules.values()).most_common(1)[0][0]
    alpha = Counter(module.alpha for module in layout.modules.values()).most_common(1)[0][0]
    modules = layout.modules.items()
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        use_rslora=layout.use_rslora,
        target_modules=list(layout.modules),
        rank_pattern={_exactly(name): each.rank for name, each in modules if each.rank != rank},
        alpha_pattern={_exactly(name): each.alpha for name, each in modules if each.alpha != alpha},
        lora_dropout=0.0,
        init_lora_weights=False,
        inference_mode=True,
        task_type="CAUSAL_LM",
    )


def set_scale(worn: PeftModel, scale: float) -> None:
    """Let the adapter count ``scale`` times its own strength; 0 equals the base, 1 is as trained, no drift.

    Raises:
        RefusedError: not a number within ±16.
    """
    check_scale(scale)
    for layer in lora_layers(worn).values():
        for name, alpha in layer.lora_alpha.items():
            rank = layer.r[name]
            own = alpha / math.sqrt(rank) if layer.use_rslora[name] else alpha / rank
            layer.scaling[name] = own * scale


def lora_layers(worn: nn.Module) -> dict[str, LoraLayer]:
    """The adapted modules, by their names in the base."""
    tree = worn.get_base_model() if isinstance(worn, PeftModel) else worn
    return {name: module for name, module in tree.named_modules() if isinstance(module, LoraLayer)}


def count_modules(base: nn.Module) -> int:
    """Linear modules of ``base`` that an adapter could have, the output head left out as PEFT's ``all-linear`` does."""
    head = getattr(base, "get_output_embeddings", lambda: None)()
    kinds = _linear_kinds()
    inner = {id(each) for layer in lora_layers(base).values() for each in layer.modules() if each is not layer}
    return sum(
        1
        for module in base.modules()
        if module is not head and id(module) not in inner and isinstance(module, (*kinds, LoraLayer))
    )


def _linear_kinds() -> tuple[type[nn.Module], ...]:
    from transformers.pytorch_utils import Conv1D

    return (nn.Linear, Conv1D)


def _exactly(name: str) -> str:
    """A pattern that PEFT's ``(.*\\.)?(KEY)$`` matches with this very name alone."""
    return "^" + re.escape(name)


def _fill(worn: PeftModel, adapter: VerifiedAdapter, name: str) -> None:
    layers, wanted = lora_layers(worn), adapter.layout.modules
    if layers.keys() != wanted.keys():
        odd = sorted(layers.keys() ^ wanted.keys())[0]
        raise RefusedError(f'The adapter "{shown(adapter.files.name)}" does not fit the loaded base at "{odd}".')
    for module_name, layer in layers.items():
        _fill_layer(layer, wanted[module_name], adapter.files.weights, name)
    left = [each for each, parameter in worn.named_parameters() if parameter.is_meta]
    if left:
        raise RefusedError(
            f'The adapter "{shown(adapter.files.name)}" leaves "{left[0]}" of the loaded base without numbers.'
        )


def _fill_layer(layer: LoraLayer, module: ModuleLora, data: bytes, name: str) -> None:
    for side, view in ((layer.lora_A[name], module.a), (layer.lora_B[name], module.b)):
        if tuple(side.weight.shape) != view.shape:
            raise RefusedError(f'"{view.name}" has the shape {view.shape} where this base needs {side.weight.shape}.')
        weight = layer.get_base_layer().weight
        side.weight = nn.Parameter(read_tensor(data, view).to(weight.device), requires_grad=False)
    if layer.scaling[name] != module.scaling:
        raise RefusedError(f'"{module.a.name}" would be scaled by {layer.scaling[name]}, not by {module.scaling}.')
