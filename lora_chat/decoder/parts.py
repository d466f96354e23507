"""The parts of a Llama-shaped base. Owns finding each among its tensors; never reads or changes one. [torch]"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch

from lora_chat.decoder.plan import MATRICES
from lora_chat.decoder.shape import Shape, UnknownShape


@dataclass(frozen=True)
class LayerWeights:
    """One layer. Matrices are (out, in), as they are stored; the rest is float32."""

    matrices: tuple[torch.Tensor, ...]
    """In the plan's order."""
    biases: tuple[torch.Tensor | None, ...]
    norm_1: torch.Tensor
    norm_2: torch.Tensor
    norm_q: torch.Tensor | None
    norm_k: torch.Tensor | None


@dataclass(frozen=True)
class Weights:
    """A base as it is stored."""

    embedding: torch.Tensor
    """(vocab, hidden)."""
    head: torch.Tensor
    """(vocab, hidden); the embedding again where they are tied."""
    norm: torch.Tensor
    layers: tuple[LayerWeights, ...]


def arrange(
    tensors: dict[str, torch.Tensor],
    shape: Shape,
    dtypes: Collection[torch.dtype] = (torch.float32, torch.bfloat16),
) -> Weights:
    """Find each part of a base among its ``tensors``, which are of ``dtypes``.

    Raises:
        UnknownShape: one is missing, of another shape, or nobody's.
    """
    left = dict(tensors)

    def take(name: str, *size: int) -> torch.Tensor:
        tensor = left.pop(name, None)
        if tensor is None or tuple(tensor.shape) != size or tensor.dtype not in dtypes:
            raise UnknownShape(f'"{name}" is not there as {size}')
        return tensor if len(size) == 2 else tensor.float()

    hidden, inner = shape.hidden, shape.intermediate
    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes = ((wide, hidden), (narrow, hidden), (narrow, hidden), (hidden, wide), (inner, hidden), (inner, hidden),
             (hidden, inner))  # fmt: skip

    def layer(index: int) -> LayerWeights:
        below = f"model.layers.{index}."
        return LayerWeights(
            tuple(take(f"{below}{name}.weight", *size) for name, size in zip(MATRICES, sizes, strict=True)),
            tuple(
                take(f"{below}{name}.bias", size[0]) if shape.bias and position < 3 else None
                for position, (name, size) in enumerate(zip(MATRICES, sizes, strict=True))
            ),
            take(f"{below}input_layernorm.weight", hidden),
            take(f"{below}post_attention_layernorm.weight", hidden),
            take(f"{below}self_attn.q_norm.weight", shape.head_dim) if shape.head_norms else None,
            take(f"{below}self_attn.k_norm.weight", shape.head_dim) if shape.head_norms else None,
        )

    embedding = take("model.embed_tokens.weight", shape.vocabulary, hidden)
    tied = "lm_head.weight" not in left if shape.tied is None else shape.tied
    if tied:
        left.pop("lm_head.weight", None)
    head = embedding if tied else take("lm_head.weight", shape.vocabulary, hidden)
    found = Weights(embedding, head, take("model.norm.weight", hidden), tuple(map(layer, range(shape.layers))))
    left = {name: tensor for name, tensor in left.items() if not name.endswith("rotary_emb.inv_freq")}
    if left:
        raise UnknownShape(f'"{min(left)}" is a part that is not known')
    return found
