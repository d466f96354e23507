"""What a base model is made of. Owns its linear modules and parameters, told by a few sizes; never opens a model.

The sizes are those of its ``config.json``, so that what it will need is known before it is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass

_POSITIONS = 2050
"""Rows of OPT's embedding of positions: 2,048 and the two that it leaves out."""


@dataclass(frozen=True)
class Sizes:
    """The layers of one base, as transformers builds them."""

    family: str
    """transformers' ``model_type``: ``llama``, ``qwen3``, ``gemma3_text``, ``phi3`` or ``opt``."""
    layers: int
    hidden: int
    wide: int
    """Of the MLP, inside."""
    heads: int
    kv_heads: int
    head: int
    """Of one head."""
    vocabulary: int
    tied: bool = True
    """Whether the output head is the embedding."""
    beside: int = 0
    """Parameters that are no part of the text model, such as a vision tower's."""

    def modules(self) -> dict[str, tuple[int, int]]:
        """Each linear module's full name to (out, in), the output head left out."""
        place = "model.decoder.layers" if self.family == "opt" else "model.layers"
        each = self._layer()
        return {f"{place}.{layer}.{name}": shape for layer in range(self.layers) for name, shape in each.items()}

    def parameters(self) -> int:
        """All of them, tied ones counted once."""
        modules = sum(out * into for out, into in self.modules().values())
        embedding = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return modules + embedding + self.layers * self._small_of_layer() + self._small() + self.beside

    def _layer(self) -> dict[str, tuple[int, int]]:
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        out = {"self_attn.o_proj": (self.hidden, queries)}
        down = {"mlp.down_proj": (self.hidden, self.wide)}
        if self.family == "phi3":
            fused = {"self_attn.qkv_proj": (queries + 2 * keys, self.hidden)}
            return fused | out | {"mlp.gate_up_proj": (2 * self.wide, self.hidden)} | down
        split = {"self_attn.q_proj": (queries, self.hidden)}
        split |= {f"self_attn.{name}_proj": (keys, self.hidden) for name in "kv"}
        if self.family == "opt":
            ends = {"self_attn.out_proj": (self.hidden, queries)}
            return split | ends | {"fc1": (self.wide, self.hidden), "fc2": (self.hidden, self.wide)}
        return split | out | {f"mlp.{name}_proj": (self.wide, self.hidden) for name in ("gate", "up")} | down

    def _small_of_layer(self) -> int:
        """Norms and biases of one layer."""
        match self.family:
            case "opt":
                return 4 * self.hidden + sum(out for out, _ in self._layer().values())
            case "gemma3_text":
                return 4 * self.hidden + 2 * self.head
            case "qwen3":
                return 2 * self.hidden + 2 * self.head
        return 2 * self.hidden

    def _small(self) -> int:
        """The last norm; OPT has positions too."""
        return (2 + _POSITIONS) * self.hidden if self.family == "opt" else self.hidden
