"""One forward pass for training. Owns getting logits only where they count; never sees a loss. [torch]

The output head of a small base is a fifth of a step's work, and most positions are prompt: transformers'
``logits_to_keep`` takes the positions at which any sequence of the batch is supervised.
"""

from __future__ import annotations

from typing import Any

import torch

from lora_chat.training.dataset import Batch


def supervised_logits(tree: Any, batch: Batch) -> torch.Tensor:
    """Logits of the predictions that count, (supervised, vocab), row by row of the batch."""
    columns = batch.supervised.any(0).nonzero().squeeze(1)
    out = tree(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False, logits_to_keep=columns)
    logits: torch.Tensor = out.logits[batch.supervised[:, columns]]
    return logits


def supervised_targets(batch: Batch) -> torch.Tensor:
    """The ids that should be predicted there, (supervised,)."""
    return batch.ids[:, 1:][batch.supervised]
