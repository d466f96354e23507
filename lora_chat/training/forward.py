"""One forward and backward for training. Owns that logits are made only where they count, a few at a time. [torch]

The logits of one position of a base with 49,152 tokens take 0.2 MB, and a loss makes four more of their size. So the
positions that are supervised go through the output head 64 at a time, each piece's gradient is kept at the hidden
states, and the layers below are run backward once. What a batch's sequences share at their beginnings goes through the
layers once. Sequences that are longer than what a batch may have keep only what goes into each layer, and make the rest
again on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from lora_chat.models.watch import Check, find_layers
from lora_chat.training.dataset import Batch, first
from lora_chat.training.prefix_tree import PrefixTree
from lora_chat.training.recipe import LONG

HEAD_ROWS = 64
"""Positions whose logits are in memory at once."""


class Forward:
    """A tree whose layers and output head are run apart; as one where the head alone does not make the logits."""

    def __init__(self, tree: Any, check: Check) -> None:
        """``tree`` is transformers' ``…ForCausalLM``, or PEFT's around one, and this one's from now on; ``check`` runs
        before each piece."""
        self.tree = tree
        self._check = check
        self._causal = tree.get_base_model() if hasattr(tree, "get_base_model") else tree
        self._apart: bool | None = None
        self._shares: bool | None = None
        """Whether this base can run sequences as a tree; None until a batch of several was seen."""
        self._again = False
        """Whether layers keep only what goes into them."""
        for layer in find_layers(self._causal):
            layer.forward = partial(self._layer, layer.forward)

    def backward(
        self, batch: Batch, sizes: Sequence[int], loss_of: Callable[[int, torch.Tensor], torch.Tensor]
    ) -> None:
        """Add the gradients of a sum of losses: of ``loss_of(index, logits)`` for pieces of so many positions each."""
        hidden = self.hidden(batch)
        pieces = [piece.detach().requires_grad_() for piece in hidden.split(list(sizes))]
        for index, piece in enumerate(pieces):
            self._check()
            torch.autograd.backward(loss_of(index, self.logits(piece)))
        torch.autograd.backward(hidden, torch.cat([_gradient(piece) for piece in pieces]))

    def look(self, batch: Batch) -> None:
        """Find out what this base can do, if ``batch`` is the first: the first rows of it are run both ways."""
        if self._apart is None:
            self._apart = self._is_apart(first(batch, 1))
        if self._shares is None and self._apart and len(batch.ids) > 1:
            self._shares = self._is_shared(first(batch, 2))

    def hidden(self, batch: Batch) -> torch.Tensor:
        """What goes into the output head where a prediction counts, (supervised, hidden), row by row of the batch."""
        self.look(batch)
        self._again = batch.ids.numel() > LONG
        if not self._apart:
            return supervised_logits(self.tree, batch)
        return self._shared_states(batch) if len(batch.ids) > 1 and self._can_share(batch) else self._states(batch)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of what ``hidden`` gave, (len, vocab), in float32."""
        return (self._causal.get_output_embeddings()(hidden) if self._apart else hidden).float()

    def _states(self, batch: Batch) -> torch.Tensor:
        decoder = self._causal.get_decoder()
        states = decoder(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).last_hidden_state
        found: torch.Tensor = states[:, :-1][batch.supervised]
        return found

    def _shared_states(self, batch: Batch) -> torch.Tensor:
        tree = PrefixTree()
        for ids, attention in zip(batch.ids.tolist(), batch.attention.sum(1).tolist(), strict=True):
            tree.add(ids[:attention])
        self._again = len(tree) > LONG
        states = self._causal.get_decoder()(
            input_ids=tree.ids().to(batch.ids.device),
            position_ids=tree.positions().to(batch.ids.device),
            attention_mask=tree.attention(self._causal.dtype).to(batch.ids.device),
            use_cache=False,
        ).last_hidden_state
        chosen = [row.nonzero().squeeze(1).tolist() for row in batch.supervised]
        found: torch.Tensor = states[0, tree.places(chosen).to(states.device)]
        return found

    def _can_share(self, batch: Batch) -> bool:
        """Whether a tree gives this base's own states: some have no positions to be told, or attend otherwise."""
        window = getattr(self._causal.config, "sliding_window", None)
        return bool(self._shares) and (window or batch.ids.shape[1]) >= batch.ids.shape[1]

    def _is_shared(self, two: Batch) -> bool:
        if "position_ids" not in signature(self._causal.get_decoder().forward).parameters:
            return False
        with torch.no_grad():
            alone, shared = self._states(two), self._shared_states(two)
        return bool(torch.allclose(alone, shared, rtol=1e-4, atol=1e-4 * float(alone.abs().max())))

    def _is_apart(self, batch: Batch) -> bool:
        """Whether the head alone makes the logits: some bases scale or cap them, and only their own code knows."""
        if not (hasattr(self._causal, "get_decoder") and hasattr(self._causal, "get_output_embeddings")):
            return False
        head = self._causal.get_output_embeddings()
        if head is None or self._causal.get_decoder() in (None, self._causal):
            return False
        with torch.no_grad():
            whole = supervised_logits(self.tree, batch).float()
            made = torch.cat([head(piece).float() for piece in self._states(batch).split(HEAD_ROWS)])
        return bool(torch.allclose(whole, made, rtol=1e-4, atol=1e-4 * float(whole.abs().max())))

    def _layer(self, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        if not self._again or not torch.is_grad_enabled():
            return forward(*inputs, **named)
        return checkpoint(forward, *inputs, use_reentrant=False, **named)


def in_pieces(count: int) -> list[int]:
    """``count`` positions in as few pieces of at most ``HEAD_ROWS`` as there can be, all but equal."""
    pieces = -(-count // HEAD_ROWS)
    return [count * (i + 1) // pieces - count * i // pieces for i in range(pieces)]


def supervised_logits(tree: Any, batch: Batch) -> torch.Tensor:
    """Logits of the predictions that count, (supervised, vocab), row by row of the batch, all at once."""
    columns = batch.supervised.any(0).nonzero().squeeze(1)
    out = tree(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False, logits_to_keep=columns)
    logits: torch.Tensor = out.logits[batch.supervised[:, columns]]
    return logits


def supervised_targets(batch: Batch) -> torch.Tensor:
    """The ids that should be predicted there, (supervised,)."""
    return batch.ids[:, 1:][batch.supervised]


def _gradient(piece: torch.Tensor) -> torch.Tensor:
    assert piece.grad is not None
    return piece.grad
