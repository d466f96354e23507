"""An adapter in the plainest form there is. Owns how its tensors and config are written anew; never touches a base.

Plain is what every reader takes for the same thing: PEFT's own tensor names, one rank, one alpha. vLLM reads neither
``rank_pattern`` nor ``alpha_pattern`` and would scale such modules wrongly without a word, so they are folded away:
lower ranks are filled with zeros, and what a module's strength differs by goes into its B.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_chat.adapters.numbers import narrowed
from lora_chat.adapters.tensor_file import PREFIX, Tensor, encode_tensors
from lora_chat.adapters.weights import AdapterFiles, ModuleLora, TensorView

if TYPE_CHECKING:
    from lora_chat.adapters.numbers import Float32


@dataclass(frozen=True)
class Strength:
    """How strongly the whole of an adapter counts, as one config can say it."""

    rank: int
    alpha: float
    use_rslora: bool


def is_uniform(files: AdapterFiles) -> bool:
    """Whether all modules have one rank and one alpha."""
    return len({(module.rank, module.alpha) for module in files.layout.modules.values()}) == 1


def common_alpha(modules: Mapping[str, ModuleLora]) -> float:
    """The alpha that, divided by each module's own rank, is right for most of them; rsLoRA's root is in it."""
    return Counter(_alpha_by_rank(module) for module in modules.values()).most_common(1)[0][0]


def correction(module: ModuleLora, alpha: float) -> float:
    """What B must be multiplied by where a reader scales by ``alpha`` over the module's rank; 1 for most."""
    own = _alpha_by_rank(module)
    return 1.0 if own == alpha else own / alpha


def plain_weights(files: AdapterFiles, dtype: str = "") -> bytes:
    """The weights under PEFT's names, in ``dtype`` or each as it is; modules and their ranks stay.

    Raises:
        RefusedError: a number is larger than ``dtype`` can hold.
    """
    tensors = {}
    for name, module in files.layout.modules.items():
        for side, view in (("A", module.a), ("B", module.b)):
            tensors[f"{PREFIX}{name}.lora_{side}.weight"] = _converted(files, view, dtype)
    return encode_tensors(tensors)


def uniform_weights(files: AdapterFiles, dtype: str = "") -> tuple[bytes, Strength]:
    """The weights with one rank and one alpha, and what these are. Numbers stay as they are where both were one.

    Where they were not, B is multiplied in fp32 and stays fp32 unless ``dtype`` says otherwise. Raises as
    ``plain_weights``.
    """
    modules = files.layout.modules
    if is_uniform(files):
        first = next(iter(modules.values()))
        return plain_weights(files, dtype), Strength(first.rank, first.alpha, files.layout.use_rslora)
    rank = files.layout.rank
    tensors = {}
    for name, module in modules.items():
        a, b = _padded(files, module, rank)
        tensors[f"{PREFIX}{name}.lora_A.weight"] = _written(a, dtype or module.a.dtype, module.a.name)
        tensors[f"{PREFIX}{name}.lora_B.weight"] = _written(b, dtype or "F32", module.b.name)
    return encode_tensors(tensors), Strength(rank, rank, use_rslora=False)


def plain_config(base: str, strength: Strength, targets: Collection[str]) -> bytes:
    """An ``adapter_config.json`` of the fields that every PEFT since 0.7 knows, each at its plainest."""
    alpha = strength.alpha
    settings = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": strength.rank,
        "revision": None,
        "target_modules": sorted(targets),
        "task_type": "CAUSAL_LM",
        "use_rslora": strength.use_rslora,
    }
    return (json.dumps(settings, indent=2) + "\n").encode()


def short_targets(adapted: Collection[str], all_modules: Collection[str]) -> tuple[str, ...]:
    """The last parts of the names, such as ``up_proj``, where those mean the same modules; else the full names."""
    ends = {name.rsplit(".", 1)[-1] for name in adapted}
    meant = {name for name in all_modules if name.rsplit(".", 1)[-1] in ends}
    return tuple(sorted(ends if meant == set(adapted) else adapted))


def _alpha_by_rank(module: ModuleLora) -> float:
    return module.scaling * module.rank


def _padded(files: AdapterFiles, module: ModuleLora, rank: int) -> tuple[Float32, Float32]:
    """A (rank, in) and B (out, rank) that multiply to what the module adds at scaling 1."""
    import numpy as np

    more = rank - module.rank
    a = np.pad(files.numbers(module.a), ((0, more), (0, 0)))
    b = np.pad(files.numbers(module.b) * np.float32(module.scaling), ((0, 0), (0, more)))
    return a, b


def _converted(files: AdapterFiles, view: TensorView, dtype: str) -> Tensor:
    if dtype in ("", view.dtype):
        return Tensor(view.dtype, view.shape, files.weights[view.start : view.stop])
    return _written(files.numbers(view), dtype, view.name)


def _written(array: Any, dtype: str, name: str) -> Tensor:
    return Tensor(dtype, array.shape, narrowed(array, dtype, name))
