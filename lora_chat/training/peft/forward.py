"""One forward and backward for training. Owns that nothing is made that does not count, or twice. [torch]

The logits of one position of a base with 49,152 tokens take 0.2 MB, and a loss makes four more of their size. So the
positions that are supervised go through the output head 32 at a time, each piece's gradient is kept at the hidden
states, and the layers below are run backward once. What a batch's sequences share at their beginnings goes through the
layers once. What the layers below the first trained one make is remembered (``lower``). Sequences that are longer than
what a batch may have keep only what goes into each layer, and make the rest again on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from lora_chat.models.watch import Check, StopAsked, find_layers
from lora_chat.training.dataset import HEAD_ROWS, Batch, beginning
from lora_chat.training.layout import Ids, Layout, lay_in_rows, lay_in_tree, supervised_places
from lora_chat.training.peft.lower_layers import LowerLayers
from lora_chat.training.recipe import LONG

_LOOKED_AT = 64
"""Tokens of a sequence that are run both ways to find out what a base can do."""


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
        self._remembers: bool | None = None
        """Whether this base's lower layers can be left out when what they make is known."""
        self._again = False
        """Whether layers keep only what goes into them."""
        layers = find_layers(self._causal)
        self.lower = LowerLayers(layers)
        """The layers that no step changes."""
        for layer in layers[self.lower.count :]:
            layer.forward = partial(self._layer, layer.forward)

    def backward(
        self, batch: Batch, sizes: Sequence[int], loss_of: Callable[[int, torch.Tensor], torch.Tensor]
    ) -> None:
        """Add the gradients of a sum of losses: of ``loss_of(index, logits)`` for pieces of so many positions each."""
        hidden = self.hidden(batch)
        pieces = [piece.detach().requires_grad_() for piece in hidden.split(list(sizes))]
        for index, piece in enumerate(pieces):
            self._check()
            logits = self.logits(piece)
            if not self._apart:  # they are the states' own memory, and a loss writes over them
                logits = logits.clone()
            torch.autograd.backward(loss_of(index, logits))
        torch.autograd.backward(hidden, torch.cat([_gradient(piece) for piece in pieces]))

    def look(self, batch: Batch) -> None:
        """Find out what this base can do, if ``batch`` is the first: a little of it is run both ways."""
        if self._remembers is not None or self._apart is False:
            self._look_at_two(batch)
            return
        self.lower.sparing = True
        try:
            self._apart = self._is_apart(beginning(batch, 1, _LOOKED_AT // 4))  # logits take room
            self._look_at_two(batch)
            self._remembers = (
                self._apart and self.lower.count > 0 and self._is_remembered(beginning(batch, 1, _LOOKED_AT))
            )
        finally:
            self.lower.sparing = False
            self.lower.let_go()

    def _look_at_two(self, batch: Batch) -> None:
        if self._shares is None and self._apart and len(batch.ids) > 1:
            self._shares = self._is_shared(beginning(batch, 2, _LOOKED_AT))

    def hidden(self, batch: Batch) -> torch.Tensor:
        """What goes into the output head where a prediction counts, (supervised, hidden), row by row of the batch."""
        self.look(batch)
        if not self._apart:
            self._again = batch.ids.numel() > LONG
            return supervised_logits(self.tree, batch)
        layout = self._layout(batch.sequences)
        self._again = layout.inputs["input_ids"].numel() > LONG
        return _supervised(layout, self._states(layout, batch.sequences if self._remembers else None), batch)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of what ``hidden`` gave, (len, vocab), in float32."""
        return (self._causal.get_output_embeddings()(hidden) if self._apart else hidden).float()

    def _layout(self, sequences: Sequence[Ids]) -> Layout:
        """A tree where it gives this base's own states: some have no positions to be told, or attend otherwise."""
        longest = max(map(len, sequences))
        window = getattr(self._causal.config.get_text_config(), "sliding_window", None) or longest
        if len(sequences) == 1 or not self._shares or window < longest:
            return lay_in_rows(sequences, self._causal.device)
        return lay_in_tree(sequences, self._causal.dtype, self._causal.device)

    def _states(self, layout: Layout, sequences: Sequence[Ids] | None = None) -> torch.Tensor:
        """What the layers make, (rows, columns, hidden); the lower ones are only run for ``sequences`` not known."""
        below = layout.put(self.lower.states(sequences, self._below)) if sequences else None
        with nullcontext() if below is None else self.lower.given(below):
            states: torch.Tensor = self._causal.get_decoder()(**layout.inputs, use_cache=False).last_hidden_state
        return states

    def _below(self, sequences: Sequence[Ids]) -> list[torch.Tensor]:
        """What the lower layers make of ``sequences``, (len, hidden) each."""
        layout = self._layout(sequences)
        return layout.of(self.lower.reached(lambda: self._states(layout)))

    def _is_shared(self, two: Batch) -> bool:
        if "position_ids" not in signature(self._causal.get_decoder().forward).parameters:
            return False
        device = self._causal.device
        both = lay_in_rows(two.sequences, device), lay_in_tree(two.sequences, self._causal.dtype, device)
        with torch.no_grad():
            return _are_close(*(_supervised(each, self._states(each), two) for each in both))

    def _is_remembered(self, one: Batch) -> bool:
        """Whether the upper layers need nothing of the lower ones but what comes out of the last."""
        layout = self._layout(one.sequences)
        try:
            with torch.no_grad():
                return _are_close(self._states(layout), self._states(layout, one.sequences))
        except StopAsked:
            raise
        except Exception:  # its own code does not find what they would have handed on
            return False

    def _is_apart(self, batch: Batch) -> bool:
        """Whether the head alone makes the logits: some bases scale or cap them, and only their own code knows."""
        if not (hasattr(self._causal, "get_decoder") and hasattr(self._causal, "get_output_embeddings")):
            return False
        head = self._causal.get_output_embeddings()
        if head is None or self._causal.get_decoder() in (None, self._causal):
            return False
        with torch.no_grad():
            whole = supervised_logits(self.tree, batch).float()
            layout = lay_in_rows(batch.sequences, batch.ids.device)
            states = _supervised(layout, self._states(layout), batch)
            return _are_close(whole, torch.cat([head(piece).float() for piece in states.split(HEAD_ROWS)]))

    def _layer(self, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        if not self._again or not torch.is_grad_enabled():
            return forward(*inputs, **named)
        return checkpoint(forward, *inputs, use_reentrant=False, **named)


def supervised_logits(tree: Any, batch: Batch) -> torch.Tensor:
    """Logits of the predictions that count, (supervised, vocab), row by row of the batch, all at once."""
    columns = batch.supervised.any(0).nonzero().squeeze(1)
    out = tree(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False, logits_to_keep=columns)
    logits: torch.Tensor = out.logits[batch.supervised[:, columns]]
    return logits


def _supervised(layout: Layout, states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Of ``states`` those from which a supervised token is predicted, (supervised, hidden), row by row of the batch."""
    return states.flatten(0, 1)[supervised_places(layout, batch)]


def _are_close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(one.abs().max())))


def _gradient(piece: torch.Tensor) -> torch.Tensor:
    assert piece.grad is not None
    return piece.grad
