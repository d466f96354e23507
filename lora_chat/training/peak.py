"""How much memory a training takes at its peak. Owns that estimate; never imports torch, never measures."""

from __future__ import annotations

from typing import Literal

from lora_chat.adapters.signature import BaseSignature
from lora_chat.decoder.shape import UnknownShape, read_shape
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import DatasetReady
from lora_chat.training.recipe import LONG, Recipe, target_modules

Read = Literal["unpacked", "layerwise", "mapped", "widened"]
"""How a training has the frozen weights. The fast path: unpacked, a matrix at a time, from what replies are made with,
where the base was quantised like that before; else widened, a matrix at a time, from the pages of its file, of which
the trained layers' stay in memory. Transformers: as they are mapped, or whole where they are kept in two bytes."""

_FAST = ("unpacked", "layerwise")

# Measured with the default base (134.5 M parameters) on an x86 server.
PROCESS = 680_000_000
"""Bytes of the engine process without weights: Python, its libraries, a short chat, the logits of one piece."""
_FAST_PROCESS = 450_000_000
"""The same without transformers and PEFT. With all the rest: 604 MB for one lesson, 650 for six, 635 for sixteen, 701
for one of 640 tokens, and 764 to 779 for 48 conversations with sixteen short chats remembered beside."""
PACKED = 0.6
"""Bytes of each parameter of the base as it is packed for replies."""
_KEPT_IN = 2
"""Of each in the file of a base that was not quantised before."""
FLOAT = 4
"""Of each that a training reads, which are the layers that are adapted, or those below, and what is no layer."""
ANCHOR_TOKENS = 64
"""Of a rehearsed general question with its answer: 64.0 on average, 76 at most."""
_BYTES_PER_FEATURE = 4
"""Of activations, for each token and each feature that goes into or out of a linear module of an adapted layer. With
all the others, 192 tokens in a forward: 1,190 MB for one lesson, 1,236 for sixteen and 1,248 for one of 856 tokens."""
_BYTES_PER_OUTPUT = 4.5
"""Of what the fast path keeps for its way back, for each token and each feature that comes out of one. Where that is
bfloat16 it is half, and torch keeps some 50 MB of what it compiled."""
_MADE_AGAIN = 1 / 8
"""The part of them that is kept of a long sequence: what goes into each layer, and two layers' whole."""
_PADDED = 1.1
"""Cells of a batch for each token in it."""
_BYTES_PER_WEIGHT = 20
"""Of the adapter: itself, its gradient, AdamW's two moments, and the best so far, in fp32."""


def read_of(base: InstalledBase) -> Read:
    """How a training on the CPU has the weights of ``base``: what is kept in four bytes was mostly quantised before."""
    try:
        read_shape(base.folder)
    except UnknownShape:
        return "mapped" if base.is_wide else "widened"
    return "unpacked" if base.is_wide else "layerwise"


def peak_bytes(
    counted: DatasetReady, recipe: Recipe, parameters: int, signature: BaseSignature, read: Read = "mapped"
) -> int:
    """Of the engine process at its peak: itself, a base of so many ``parameters``, and what training adds.

    Measured with the default base in bfloat16 and "widened": 1,527 MB, of which up to 270 MB are its file, where this
    says 1.4 GB.
    """
    added = added_bytes(counted, recipe, signature, read)
    layers = sum(out * into for out, into in signature.text_modules.values())
    if read in _FAST:
        pages = 0 if read == "unpacked" else recipe.upper * parameters * _KEPT_IN
        return round(_FAST_PROCESS + parameters * PACKED + FLOAT * _largest(signature) + pages) + added
    read_parameters = parameters - layers + layers * max(recipe.upper, 1 - recipe.upper)
    return round(PROCESS + parameters * PACKED + (parameters if read == "widened" else read_parameters) * FLOAT) + added


def added_bytes(counted: DatasetReady, recipe: Recipe, signature: BaseSignature, read: Read = "mapped") -> int:
    """The activations of the largest forward, and the adapter with all that trains it."""
    together = _PADDED * sum(tokens_a_step(counted, recipe))
    alone = tokens_a_lesson(counted)  # a lesson longer than the limit is a forward of its own
    rows = max(alone * _MADE_AGAIN if alone > LONG else alone, min(recipe.microbatch_tokens, together))
    modules = signature.text_modules
    adapter = sum(recipe.rank * sum(modules[name]) for name in target_modules(signature, recipe))
    if read not in _FAST:
        features = recipe.upper * sum(out + into for out, into in modules.values())
        return round(rows * features * _BYTES_PER_FEATURE + adapter * _BYTES_PER_WEIGHT)
    outputs = recipe.upper * sum(out for out, _ in modules.values())
    return round(rows * outputs * _BYTES_PER_OUTPUT + adapter * _BYTES_PER_WEIGHT)


def _largest(signature: BaseSignature) -> int:
    """Numbers in the largest matrix of a layer."""
    return max((out * into for out, into in signature.text_modules.values()), default=0)


def tokens_a_step(counted: DatasetReady, recipe: Recipe) -> tuple[float, float]:
    """Of the lessons and of the rehearsed answers."""
    drawn = min(recipe.batch, lessons_of(counted, recipe))
    return drawn * tokens_a_lesson(counted), recipe.rehearsed * ANCHOR_TOKENS


def lessons_of(counted: DatasetReady, recipe: Recipe) -> int:
    """Conversations that are trained on; ``counted`` has the held-out ones too."""
    return max(1, counted.conversations - recipe.heldout)


def tokens_a_lesson(counted: DatasetReady) -> float:
    """On average."""
    return counted.tokens / max(1, counted.conversations)
