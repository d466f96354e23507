"""What a base model needs of this machine. Owns the memory to chat with one and to train one; never opens it.

Told of its sizes alone, so before it is downloaded. Weights that are kept in two bytes are widened to four when
transformers loads them, which it does with every base that the fast path does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_chat.adapters.signature import BaseSignature
from lora_chat.training.estimate import tokens_in_all
from lora_chat.training.events import DatasetReady
from lora_chat.training.peak import FLOAT, PACKED, PROCESS, Read, added_bytes, peak_bytes
from lora_chat.training.recipe import choose_recipe

EXAMPLES = 100
"""Conversations of the training that bases are compared by."""
TOKENS = 64
"""Of each of them: the general questions with their answers have as many on average."""

_COUNTED = DatasetReady(EXAMPLES, EXAMPLES, {}, EXAMPLES * TOKENS, EXAMPLES * TOKENS // 2, 0)


@dataclass(frozen=True)
class Build:
    """What decides how much one base needs."""

    parameters: int
    modules: Mapping[str, tuple[int, int]]
    """Its linear modules, to (out, in)."""
    fast: bool
    """Whether the fast path decodes and trains it: packed, and without widening all of its weights."""
    wide: bool
    """Whether its weights are kept in four bytes, as those are that were quantised before."""

    @property
    def chat_bytes(self) -> int:
        """Of the engine process while it answers."""
        return round(PROCESS + self.parameters * (PACKED if self.fast else FLOAT))

    @property
    def train_bytes(self) -> int:
        """Of the engine process at a training's peak, the chat included."""
        recipe = choose_recipe(EXAMPLES, self.parameters)
        if not self.fast:  # the weights that chat with it are those that are trained on
            return round(PROCESS + self.parameters * FLOAT) + added_bytes(_COUNTED, recipe, self._signature)
        read: Read = "unpacked" if self.wide else "layerwise"
        return max(peak_bytes(_COUNTED, recipe, self.parameters, self._signature, read), self.chat_bytes)

    def training_tokens(self, *, prepared: bool) -> float:
        """Tokens of a training with ``EXAMPLES`` conversations; ``prepared`` as in ``estimate``."""
        return tokens_in_all(_COUNTED, choose_recipe(EXAMPLES, self.parameters), prepared=prepared)

    @property
    def _signature(self) -> BaseSignature:
        return BaseSignature("", "", self.modules, "", "", "")
