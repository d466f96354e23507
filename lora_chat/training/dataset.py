"""Lessons as token sequences and batches. Owns tokenising and padding; never runs the model. [torch]"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from lora_chat.errors import RefusedError
from lora_chat.models.prompt import Example, PromptFormat
from lora_chat.training.prefix_tree import PrefixTree
from lora_chat.training.selection import Lesson
from lora_chat.training.variant import variants

HEAD_ROWS = 32
"""Predictions whose logits a loss is made of at once: each takes four times their memory."""


@dataclass(frozen=True)
class Batch:
    """Padded sequences of similar length."""

    ids: torch.Tensor
    """(batch, seq)"""
    attention: torch.Tensor
    """(batch, seq), 1 where there is a token."""
    supervised: torch.Tensor
    """(batch, seq - 1), whether the prediction at this position counts."""

    @property
    def tokens(self) -> int:
        """Without padding."""
        return int(self.attention.sum())

    @property
    def sequences(self) -> list[tuple[int, ...]]:
        """Its rows without padding."""
        lengths = self.attention.sum(1).tolist()
        return [tuple(ids[:length]) for ids, length in zip(self.ids.tolist(), lengths, strict=True)]


def tokenise(lessons: Sequence[Lesson], prompt: PromptFormat) -> list[Example]:
    """All sequences of ``lessons``, in order.

    Raises:
        RefusedError: a lesson cannot be masked, naming its source.
    """
    return [example for lesson in lessons for example in _examples(lesson, prompt)]


def variants_of(lessons: Sequence[Lesson], prompt: PromptFormat, most: int, seed: int) -> list[tuple[Example, ...]]:
    """For each row of ``tokenise``, in order, what it is with its questions written otherwise: up to ``most``."""
    found: list[tuple[Example, ...]] = []
    for lesson in lessons:
        rows = len(_examples(lesson, prompt))
        written = list[list[Example]]()
        for each in variants(lesson, most, seed):
            with suppress(RefusedError):  # the other words were too much for the context
                written.append(_examples(each, prompt))
        found += [tuple(each[row] for each in written if len(each) == rows) for row in range(rows)]
    return found


def microbatches(
    examples: Sequence[Example],
    most_tokens: int,
    device: torch.device,
    mine: Callable[[list[list[int]]], Sequence[list[int]]] = lambda groups: groups,
) -> Iterator[Batch]:
    """Cut ``examples`` into batches: see ``together``; ``mine`` says which of them are wanted."""
    for group in mine(together([example.ids for example in examples], most_tokens)):
        yield pad([examples[i] for i in group], device)


def together(sequences: Sequence[tuple[int, ...]], most_tokens: int) -> list[list[int]]:
    """The indices of each batch's sequences, ascending: similar lengths, at most ``most_tokens`` (or one sequence).

    As few batches as that takes, as even as so few can be: a small one waits for the weights. Tokens of a beginning
    that sequences of a batch share count once.
    """
    found = _filled(sequences, most_tokens)
    low, high = 1, most_tokens
    while low < high:
        middle = (low + high) // 2
        even = _filled(sequences, middle)
        if len(even) == len(found):
            found, high = even, middle
        else:
            low = middle + 1
    return found


def _filled(sequences: Sequence[tuple[int, ...]], most_tokens: int) -> list[list[int]]:
    groups: list[list[int]] = []
    tree = PrefixTree()
    for index in sorted(range(len(sequences)), key=lambda each: len(sequences[each])):
        if not groups or tree.grown_by(sequences[index]) > most_tokens:
            groups.append([])
            tree = PrefixTree()
        groups[-1].append(index)
        tree.add(sequences[index])
    return [sorted(group) for group in groups]


def pad(examples: Sequence[Example], device: torch.device) -> Batch:
    """Pad on the right to the longest. Padding is id 0 under an attention of 0: what it predicts never counts."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    attention = torch.zeros(len(examples), longest, dtype=torch.long)
    supervised = torch.zeros(len(examples), longest, dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        attention[row, :length] = 1
        supervised[row, :length] = torch.tensor(example.supervised)
    return Batch(ids.to(device), attention.to(device), supervised[:, 1:].to(device))


def beginning(batch: Batch, rows: int, columns: int) -> Batch:
    """The beginnings of the first rows of a batch, every prediction in them counted."""
    ids, attention = batch.ids[:rows, :columns], batch.attention[:rows, :columns]
    longest = int(attention.sum(1).max())
    return Batch(ids[:, :longest], attention[:, :longest], attention[:, 1:longest].bool())


def in_pieces(count: int) -> list[int]:
    """``count`` positions in as few pieces of at most ``HEAD_ROWS`` as there can be, all but equal."""
    pieces = -(-count // HEAD_ROWS)
    return [count * (i + 1) // pieces - count * i // pieces for i in range(pieces)]


def supervised_targets(batch: Batch) -> torch.Tensor:
    """The ids that should be predicted there, (supervised,)."""
    return batch.ids[:, 1:][batch.supervised]


def _examples(lesson: Lesson, prompt: PromptFormat) -> list[Example]:
    try:
        return prompt.examples(lesson.messages, lesson.learn)
    except RefusedError as error:
        raise RefusedError(f"{error} ({lesson.source})") from error
