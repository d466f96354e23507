"""Sequences as the input of one forward. Owns where each token of each stands in it; never runs the model. [torch]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from lora_chat.training.dataset import Batch
from lora_chat.training.prefix_tree import PrefixTree

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """What a decoder takes, and where the sequences are in what it gives."""

    inputs: dict[str, torch.Tensor]
    """``input_ids`` (rows, columns), and how they attend."""
    places: tuple[torch.Tensor, ...]
    """Of each sequence's tokens in the flattened rows, (len,)."""

    def of(self, states: torch.Tensor) -> list[torch.Tensor]:
        """Each sequence's own, (len, hidden), in ``states`` (rows, columns, hidden)."""
        flat = states.flatten(0, 1)
        return [flat[places] for places in self.places]

    def put(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The reverse, (rows, columns, hidden): zero where no sequence is, the last one's where several are."""
        rows, columns = self.inputs["input_ids"].shape
        states = parts[0].new_zeros(rows * columns, parts[0].shape[-1])
        for places, part in zip(self.places, parts, strict=True):
            states[places] = part
        return states.view(rows, columns, -1)


def supervised_places(layout: Layout, batch: Batch) -> torch.Tensor:
    """Where the tokens stand from which a supervised one is predicted, (supervised,), row by row of the batch."""
    rows = zip(layout.places, batch.supervised, strict=True)
    return torch.cat([places[:-1][row[: len(places) - 1]] for places, row in rows])


def lay_in_rows(sequences: Sequence[Ids], device: torch.device) -> Layout:
    """One row for each, padded on the right with id 0 under an attention of 0."""
    ids = pad_sequence([torch.tensor(each) for each in sequences], batch_first=True)
    attention = pad_sequence([torch.ones(len(each), dtype=torch.long) for each in sequences], batch_first=True)
    columns = ids.shape[1]
    return _on(
        device,
        {"input_ids": ids, "attention_mask": attention},
        [torch.arange(len(each)) + row * columns for row, each in enumerate(sequences)],
    )


def lay_in_tree(sequences: Sequence[Ids], dtype: torch.dtype, device: torch.device) -> Layout:
    """One row for all, in which what they share at their beginnings stands once; ``dtype`` is the attention's."""
    tree = PrefixTree()
    for ids in sequences:
        tree.add(ids)
    return _on(
        device,
        {"input_ids": tree.ids(), "position_ids": tree.positions(), "attention_mask": tree.attention(dtype)},
        tree.places(),
    )


def padded(layout: Layout, columns: int) -> Layout:
    """One row that is so long: what is added is id 0 and seen by nothing else; under a mask it sees itself alone."""
    inputs = dict(layout.inputs)
    length = inputs["input_ids"].shape[1]
    added = (0, columns - length)
    for name in ("input_ids", "position_ids"):
        inputs[name] = functional.pad(inputs[name], added)
    if (mask := inputs.get("attention_mask")) is not None:
        mask = functional.pad(mask, added * 2, value=torch.finfo(mask.dtype).min)
        mask[..., range(length, columns), range(length, columns)] = 0
        inputs["attention_mask"] = mask
    return Layout(inputs, layout.places)


def _on(device: torch.device, inputs: dict[str, torch.Tensor], places: Sequence[torch.Tensor]) -> Layout:
    return Layout({name: each.to(device) for name, each in inputs.items()}, tuple(each.to(device) for each in places))
