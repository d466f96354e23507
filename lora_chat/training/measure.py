"""The loss of sequences as the adapter is now. Owns that mean; never takes a gradient. [torch]"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from lora_chat.models.prompt import Example
from lora_chat.training.dataset import in_pieces, microbatches, supervised_targets
from lora_chat.training.ranks import ALONE, Ranks
from lora_chat.training.trainee import Trainee


def mean_loss(
    trainee: Trainee, examples: Sequence[Example], most_tokens: int, device: torch.device, ranks: Ranks = ALONE
) -> float:
    """Of the supervised tokens, nats; several processes share the work and all of them get the same number."""
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in microbatches(examples, most_tokens, device, ranks.mine):
            targets = supervised_targets(batch)
            sizes = in_pieces(len(targets))
            for piece, wanted in zip(trainee.hidden(batch).split(sizes), targets.split(sizes), strict=True):
                total += float(functional.cross_entropy(trainee.logits(piece), wanted, reduction="sum"))
            count += len(targets)
    total, of = ranks.add([total, count])
    return total / of
