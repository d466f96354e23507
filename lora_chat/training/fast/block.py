"""One decoder layer, forward and back. Owns the arithmetic of a Llama block beside its pairs. [torch]

The base's matrices are frozen, so a way back needs of what went through them only what bends: what came into the layer
and into its MLP, query, key and value, gate and up. That is a tenth of what autograd would keep; the norms, the turns,
the attention and the activation are made again, which costs a twentieth of the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from lora_chat.decoder.parts import LayerWeights
from lora_chat.decoder.shape import Shape
from lora_chat.models.watch import Check
from lora_chat.training.fast.attention import Attention, Heads, normed, normed_back
from lora_chat.training.fast.pair import Pair
from lora_chat.training.fast.stored import Matrices
from lora_chat.training.fast.tape import Kept

Q, K, V, O, GATE, UP, DOWN = range(7)  # noqa: E741
"""Places of the matrices, as in ``decoder.plan.MATRICES``."""


class Block:
    """One layer of one base, and the pairs beside its ``matrices``, which are in the plan's order.

    Products are made in the type of the matrices, and so is what bends between them; norms and what goes around the
    layer are float32.
    """

    def __init__(self, shape: Shape, weights: LayerWeights, pairs: Mapping[int, Pair], check: Check) -> None:
        """``pairs`` by the place of the matrix; ``check`` runs before each product, which takes some ms."""
        self._epsilon, self._check = shape.epsilon, check
        self._weights, self._pairs = weights, pairs

    def forward(
        self, x: torch.Tensor, matrices: Matrices, attend: Callable[[Heads], torch.Tensor], kept: Kept | None = None
    ) -> torch.Tensor:
        """What the layer makes of ``x`` (tokens, hidden), float32; it attends by ``attend``.

        What its way back needs is written into ``kept``, where that is wanted.
        """
        kind = matrices.kind
        n = normed(x, self._weights.norm_1, self._epsilon).to(kind)
        query = self._times(matrices, Q, n, kept and kept.query)
        key, value = self._times(matrices, K, n, kept and kept.key), self._times(matrices, V, n, kept and kept.value)
        middle = x + self._times(matrices, O, attend((query, key, value)))
        n = normed(middle, self._weights.norm_2, self._epsilon).to(kind)
        gate, up = self._times(matrices, GATE, n, kept and kept.gate), self._times(matrices, UP, n, kept and kept.up)
        made = middle + self._times(matrices, DOWN, functional.silu(gate).mul_(up))
        if kept:
            kept.x.copy_(x)
            kept.middle.copy_(middle)
        return made

    def backward(
        self, grad: torch.Tensor, kept: Kept, matrices: Matrices, attention: Attention, *, lowest: bool
    ) -> torch.Tensor | None:
        """The gradient of what came in, where ``grad`` (tokens, hidden), float32, came back for what went out.

        The pairs' gradients are added up. In the ``lowest`` layer nobody wants the gradient of what came in: None.
        """
        weights, reached = self._weights, any(place < GATE for place in self._pairs)
        kind = matrices.kind
        grad = self._mlp_back(grad, kept, matrices, wanted=reached or not lowest)
        if lowest and not reached:
            return None
        came = kept.query, kept.key, kept.value
        attended = attention.attend(came) if O in self._pairs else None
        heads = attention.back(came, self._times_back(matrices, O, grad.to(kind), attended))
        x = kept.x.float()
        n = normed(x, weights.norm_1, self._epsilon).to(kind) if self._pairs.keys() & {Q, K, V} else None
        back = self._times_back(matrices, Q, heads[0], n)
        self._add_back(matrices, K, heads[1], n, back)
        self._add_back(matrices, V, heads[2], n, back)
        return None if lowest else grad + normed_back(back.float(), x, weights.norm_1, self._epsilon)

    def _mlp_back(self, grad: torch.Tensor, kept: Kept, matrices: Matrices, *, wanted: bool) -> torch.Tensor:
        """The gradient of what came into the MLP and what goes around it, where it is ``wanted``; else anything."""
        pairs, kind, sigmoid = self._pairs, matrices.kind, kept.gate.sigmoid()
        silu = kept.gate * sigmoid
        inner = self._times_back(matrices, DOWN, grad.to(kind), silu * kept.up if DOWN in pairs else None)
        adapted = bool(pairs.keys() & {GATE, UP})
        if not (wanted or adapted):
            return grad
        middle = kept.middle.float()
        n = normed(middle, self._weights.norm_2, self._epsilon).to(kind) if adapted else None
        up_grad = inner * silu
        # d silu(g) / dg = sigmoid(g) + silu(g) * (1 - sigmoid(g))
        gate_grad = inner.mul_(kept.up).mul_(sigmoid.addcmul_(silu, 1 - sigmoid))
        if not wanted:
            for place, each in ((GATE, gate_grad), (UP, up_grad)):
                if n is not None and place in pairs:
                    pairs[place].backward(each, n, None)
            return grad
        back = self._times_back(matrices, GATE, gate_grad, n)
        self._add_back(matrices, UP, up_grad, n, back)
        return grad + normed_back(back.float(), middle, self._weights.norm_2, self._epsilon)

    def _times(self, matrices: Matrices, place: int, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """One matrix, its bias and its pair times ``x``, in ``out`` where that is said."""
        self._check()
        bias, matrix = self._weights.biases[place], matrices[place].t()
        made = torch.mm(x, matrix, out=out) if bias is None else torch.addmm(bias.to(x.dtype), x, matrix, out=out)
        return self._pairs[place].add_to(made, x) if place in self._pairs else made

    def _times_back(self, matrices: Matrices, place: int, grad: torch.Tensor, x: torch.Tensor | None) -> torch.Tensor:
        """The gradient of ``x``; where the place has a pair ``x`` is there, and the pair's gradients are added up."""
        self._check()
        back = grad @ matrices[place]
        if x is not None and place in self._pairs:
            self._pairs[place].backward(grad, x, back)
        return back

    def _add_back(
        self, matrices: Matrices, place: int, grad: torch.Tensor, x: torch.Tensor | None, into: torch.Tensor
    ) -> None:
        """The same, added to ``into``."""
        self._check()
        into.addmm_(grad, matrices[place])
        if x is not None and place in self._pairs:
            self._pairs[place].backward(grad, x, into)
