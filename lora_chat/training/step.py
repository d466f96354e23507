"""What one step adds up. Owns the loss of lessons and of what is held to the base; never draws, never updates. [torch]

Lessons and rehearsed answers go through the layers together: they begin with the same system prompt, which is half of a
short one, and the more tokens a forward has, the less it waits for the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lora_chat.models.prompt import Example
from lora_chat.training.dataset import in_pieces, pad, supervised_targets, together
from lora_chat.training.losses import cross_entropy, divergence
from lora_chat.training.recipe import Recipe
from lora_chat.training.rehearsal import Anchor, predictions
from lora_chat.training.trainee import Trainee


@dataclass(frozen=True)
class Learnt:
    """What a step found."""

    loss: float
    """Of the lessons, nats per supervised token."""
    learnt: bool
    """Whether each of their supervised tokens was the likeliest already, with the recipe's probability."""
    tokens: int
    """Of lessons and rehearsed answers, without padding."""


def add_gradients(
    trainee: Trainee,
    lessons: Sequence[Example],
    anchors: Sequence[Anchor],
    recipe: Recipe,
    device: torch.device,
    mine: Callable[[list[list[int]]], Sequence[list[int]]] = lambda groups: groups,
) -> Learnt:
    """Add the gradients of the lessons' mean cross-entropy and, weighted, of the mean divergence at the anchors.

    ``mine`` says which of the step's micro-batches are run in this process; the means are over all of them.
    """
    examples = [*lessons, *(anchor.example for anchor in anchors)]
    supervised = sum(sum(each.supervised[1:]) for each in lessons)
    weight = recipe.rehearsal_weight / max(1, sum(len(anchor.tokens) for anchor in anchors))
    total, learnt, tokens = 0.0, True, 0
    for group in mine(together([each.ids for each in examples], recipe.microbatch_tokens)):
        batch = pad([examples[i] for i in group], device)
        base = predictions([anchors[i - len(lessons)] for i in group if i >= len(lessons)], device)
        targets = supervised_targets(batch)
        targets = targets[: len(targets) - len(base[0])]
        said, held = in_pieces(len(targets)), in_pieces(len(base[0]))
        wanted = targets.split(said)
        kept = list(zip(*(each.split(held) for each in base), strict=True))

        def loss_of(
            index: int,
            logits: torch.Tensor,
            wanted: Sequence[torch.Tensor] = wanted,
            kept: Sequence[tuple[torch.Tensor, ...]] = kept,
        ) -> torch.Tensor:
            nonlocal total, learnt
            if index >= len(wanted):
                return divergence(logits, *kept[index - len(wanted)]).sum() * weight
            losses, likeliest = cross_entropy(logits, wanted[index])
            likely = (-losses.detach()).exp() >= recipe.learnt_probability
            learnt = learnt and bool((likely & likeliest).all())
            loss = losses.sum() / supervised
            total += float(loss.detach())
            return loss

        trainee.backward(batch, said + held, loss_of)
        tokens += batch.tokens
    return Learnt(total, learnt, tokens)
