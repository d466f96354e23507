"""Any base that transformers loads, with PEFT's layers that learn. Owns what else a training wants of it. [torch]"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import VerifiedAdapter
from lora_chat.models.attach import lora_layers, twin
from lora_chat.models.base_model import BaseModel, cache_keyword
from lora_chat.models.watch import Check, watch_layers
from lora_chat.training.peft.forward import Forward
from lora_chat.training.peft.trainable import trainable_twin
from lora_chat.training.recipe import Recipe
from lora_chat.training.trainee import NewLayer, Reading


class PeftTrainee(Forward):
    """``Trainee`` on transformers and PEFT."""

    made_with = ("torch", "transformers", "peft")

    def __init__(self, base: BaseModel, tree: Any, check: Check) -> None:
        """``tree`` is a twin of the base's, or PEFT's around one, and this one's from now on."""
        watch_layers(tree.get_base_model() if hasattr(tree, "get_base_model") else tree, check)
        super().__init__(tree, check)
        self._base = base

    @classmethod
    def bare(cls, base: BaseModel, check: Check) -> PeftTrainee:
        """The base alone."""
        return cls(base, twin(base.tree), check)

    @classmethod
    def new(
        cls,
        base: BaseModel,
        signature: BaseSignature,
        recipe: Recipe,
        start: VerifiedAdapter | None,
        check: Check,
    ) -> PeftTrainee:
        """As ``trainable_twin``. Raises as that."""
        return cls(base, trainable_twin(base, signature, recipe, start), check)

    @property
    def weights(self) -> list[nn.Parameter]:
        """See ``Trainee.weights``."""
        return [each for each in self.tree.parameters() if each.requires_grad]

    @property
    def layers(self) -> Mapping[str, NewLayer]:
        """See ``Trainee.layers``."""
        found = {}
        for name, layer in lora_layers(self.tree).items():
            a, b = (side["default"].weight.detach() for side in (layer.lora_A, layer.lora_B))
            found[name] = NewLayer(a, b, float(layer.lora_alpha["default"]))
        return found

    @property
    def use_rslora(self) -> bool:
        """See ``Trainee.use_rslora``."""
        return bool(self.tree.peft_config["default"].use_rslora)

    @property
    def parameters(self) -> tuple[int, int]:
        """See ``Trainee.parameters``."""
        trained, total = self.tree.get_nb_trainable_parameters()
        return int(trained), int(total)

    def reading(self) -> PeftReading:
        """See ``Trainee.reading``."""
        return PeftReading(self._base)

    @torch.no_grad()
    def likeliest(self, ids: Sequence[int], reading: Reading, last: int) -> list[int]:
        """See ``Trainee.likeliest``."""
        assert isinstance(reading, PeftReading)
        causal = self.tree.get_base_model() if hasattr(self.tree, "get_base_model") else self.tree
        named = {cache_keyword(type(causal)): reading.cache}
        out = self.tree(input_ids=self._base.tensor(ids), **named, use_cache=True, logits_to_keep=last)
        found: list[int] = out.logits[0].argmax(-1).tolist()
        return found

    def answers(self, prompts: Sequence[Sequence[int]], most: int, ends: frozenset[int]) -> list[list[int]]:
        """See ``Trainee.answers``; padded on the left."""
        longest, device = max(map(len, prompts)), self._base.device
        ids = torch.tensor([[0] * (longest - len(each)) + list(each) for each in prompts], device=device)
        real = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts], device=device)
        with torch.inference_mode():
            written = self.tree.generate(
                input_ids=ids, attention_mask=real, max_new_tokens=most, do_sample=False, pad_token_id=min(ends)
            )
        found: list[list[int]] = written[:, longest:].tolist()
        return found


class PeftReading:
    """What transformers keeps of what was read."""

    def __init__(self, base: BaseModel) -> None:
        self.cache = DynamicCache(config=base.tree.config)

    def cut(self, length: int) -> bool:
        """See ``Reading.cut``: a window that slides has forgotten what it would go back to."""
        if any(type(layer) is not DynamicLayer for layer in self.cache.layers):
            return False
        for layer in self.cache.layers:  # not `crop`, whose argument changed its meaning from one version to the next
            layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]
        return True
