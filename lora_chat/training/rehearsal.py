"""What the base would say anyway. Owns its answers to general questions and how near an adapter stays to them. [torch]

Made once for each base (a minute for the default one on two cores) and kept beside it. Of the base's prediction at
each position the 64 likeliest tokens are kept: the KL divergence over those and "any other" is a lower bound of the
whole one, and takes 0.4 MB instead of 200.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn import functional

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.models.prompt import Example
from lora_chat.models.watch import Check
from lora_chat.training.dataset import in_pieces, pad, supervised_targets, together
from lora_chat.training.events import Preparing
from lora_chat.training.general import MEASURED, REHEARSED, TEXT
from lora_chat.training.losses import divergence
from lora_chat.training.opening import Base, bare
from lora_chat.training.proof.share import mean_interval
from lora_chat.training.trainee import Trainee

LIKELIEST = 64
LONGEST_ANSWER = 32
"""Tokens of each answer: the beginning is where an adapter takes over."""
_TOGETHER = 32
"""Questions that are answered at once: each of their tokens reads the weights once for all."""
_PREDICTED = 8
"""Answers whose predictions are made at once: 50 MB of logits on the default base."""
_SCHEMA = "3"


@dataclass(frozen=True)
class Anchor:
    """One general question with the base's answer and predictions."""

    example: Example
    tokens: torch.Tensor
    """Ids of the likeliest next tokens, (supervised, 64)."""
    log_probabilities: torch.Tensor
    """Of those, (supervised, 64), nats."""


@dataclass(frozen=True)
class Rehearsal:
    """All anchors."""

    rehearsed: tuple[Anchor, ...]
    measured: tuple[Anchor, ...]
    text: Example
    """The general text, each token but the first supervised."""
    text_loss: float
    """The base's on it, nats per token."""

    @property
    def sequences(self) -> list[tuple[int, ...]]:
        """The ids of everything that is rehearsed or measured."""
        return [*(anchor.example.ids for anchor in (*self.rehearsed, *self.measured)), self.text.ids]

    @property
    def measured_loss(self) -> float:
        """The base's own loss on ``measured``, nats per token: what was kept of its predictions tells it."""
        kept = [
            torch.where(anchor.tokens == said[:, None], anchor.log_probabilities, -torch.inf).amax(-1)
            for anchor in self.measured
            for said in [torch.tensor(anchor.example.ids[-len(anchor.tokens) :])]
        ]
        return -float(torch.cat(kept).mean())


def predictions(anchors: Sequence[Anchor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """``tokens`` and ``log_probabilities`` of the anchors, one after the other, (supervised, 64) each."""
    if not anchors:
        return torch.empty(0, LIKELIEST, dtype=torch.long), torch.empty(0, LIKELIEST)
    tokens = torch.cat([anchor.tokens for anchor in anchors])
    return tokens.to(device), torch.cat([anchor.log_probabilities for anchor in anchors]).to(device)


@dataclass(frozen=True)
class Moved:
    """How far from the base, on its answers that are never rehearsed."""

    loss: float
    """Mean over their tokens, nats."""
    kl: float
    """Mean divergence over their tokens, nats."""
    interval: tuple[float, float]
    """The 95 % interval of ``kl``."""
    answers: int
    tokens: int


def moved(trainee: Trainee, rehearsal: Rehearsal, most_tokens: int, device: torch.device) -> Moved:
    """Measure it."""
    loss, anchors = 0.0, rehearsal.measured
    drifts, counts = list[float](), list[int]()
    with torch.no_grad():
        for group in together([anchor.example.ids for anchor in anchors], most_tokens):
            batch = pad([anchors[i].example for i in group], device)
            targets = supervised_targets(batch)
            sizes = in_pieces(len(targets))
            rows = trainee.hidden(batch), targets, *predictions([anchors[i] for i in group], device)
            found = list[torch.Tensor]()
            for piece, wanted, *kept in zip(*(each.split(sizes) for each in rows), strict=True):
                logits = trainee.logits(piece)
                loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
                found.append(divergence(logits, *kept))
            lengths = [len(anchors[i].tokens) for i in group]
            drifts += [float(each.sum()) for each in torch.cat(found).split(lengths)]
            counts += lengths
    tokens = sum(counts)
    return Moved(loss / tokens, sum(drifts) / tokens, mean_interval(drifts, counts), len(counts), tokens)


def prepare(base: Base, weights: str, kept: Path, check: Check) -> Generator[Preparing, None, Rehearsal]:
    """Yield progress and return the rehearsal: read from ``kept``, or made and written there.

    ``weights`` is the base's hash: answers kept from other weights are made anew.
    """
    rehearsal = _read(kept, weights, base)
    if rehearsal is None:
        alone = bare(base, check)
        questions = (*REHEARSED, *MEASURED)
        anchors: list[Anchor] = []
        for start in range(0, len(questions), _TOGETHER):
            yield Preparing("the base answers general questions, once", start / len(questions))
            anchors += _anchors(base, alone, _answered(base, alone, questions[start : start + _TOGETHER]))
        text_loss = _text_loss(base, alone)
        with suppress(OSError, LoraChatError):  # a cache: without room for it, it is made again the next time
            _write(kept, weights, anchors, text_loss)
        rehearsal = _parted(anchors, base, text_loss)
    return rehearsal


def _answered(base: Base, alone: Trainee, questions: Sequence[str]) -> list[Example]:
    """Greedy answers to several questions at once."""
    ends = base.prompt.end_ids
    prompts = [base.prompt.encode_prompt([Turn(Role.USER, question)]) for question in questions]
    answers = [until_end(each, ends) for each in alone.answers(prompts, LONGEST_ANSWER, ends)]
    return [
        Example((*prompt, *answer), (False,) * len(prompt) + (True,) * len(answer))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    """The answer with the token that ends its turn, where it came to one."""
    return ids[: next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))]


def _anchors(base: Base, alone: Trainee, examples: list[Example]) -> list[Anchor]:
    """What the base predicts along each of them."""
    anchors: list[Anchor] = []
    for first in range(0, len(examples), _PREDICTED):
        few = examples[first : first + _PREDICTED]
        found = list[torch.Tensor](), list[torch.Tensor]()
        with torch.no_grad():
            hidden = alone.hidden(pad(few, base.device))
            for piece in hidden.split(in_pieces(len(hidden))):
                logits = alone.logits(piece)
                likeliest = logits.log_softmax(-1).topk(min(LIKELIEST, logits.shape[-1]))
                found[0].append(likeliest.indices.cpu())
                found[1].append(likeliest.values.cpu())
        lengths = [sum(each.supervised) for each in few]
        tokens, values = (torch.cat(each).split(lengths) for each in found)
        anchors += [Anchor(*each) for each in zip(few, tokens, values, strict=True)]
    return anchors


def _text(base: Base) -> Example:
    ids = base.prompt.tokenizer.encode(TEXT, add_special_tokens=True).ids[: base.context_window]
    return Example(tuple(ids), (False,) + (True,) * (len(ids) - 1))


def _text_loss(base: Base, alone: Trainee) -> float:
    batch, total = pad([_text(base)], base.device), 0.0
    targets = supervised_targets(batch)
    sizes = in_pieces(len(targets))
    with torch.no_grad():
        for piece, wanted in zip(alone.hidden(batch).split(sizes), targets.split(sizes), strict=True):
            total += float(functional.cross_entropy(alone.logits(piece), wanted, reduction="sum"))
    return total / len(targets)


def _parted(anchors: list[Anchor], base: Base, text_loss: float) -> Rehearsal:
    rehearsed, measured = anchors[: len(REHEARSED)], anchors[len(REHEARSED) :]
    return Rehearsal(tuple(rehearsed), tuple(measured), _text(base), text_loss)


def _write(path: Path, weights: str, anchors: list[Anchor], text_loss: float) -> None:
    tensors = {}
    for index, anchor in enumerate(anchors):
        tensors[f"{index}.tokens"] = anchor.tokens.int()
        tensors[f"{index}.log_probabilities"] = anchor.log_probabilities
    examples = [[list(anchor.example.ids), sum(anchor.example.supervised)] for anchor in anchors]
    made = {"examples": json.dumps(examples), "text_loss": repr(text_loss)}
    write_durably(path, save(tensors, _metadata(weights) | made))


def _metadata(weights: str) -> dict[str, str]:
    return {"schema": _SCHEMA, "weights": weights, "questions": json.dumps([REHEARSED, MEASURED, TEXT])}


def _read(path: Path, weights: str, base: Base) -> Rehearsal | None:
    """What was kept for these very weights and questions; None where there is nothing, or nothing usable."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if any(metadata.get(key) != value for key, value in _metadata(weights).items()):
                return None
            anchors = [
                Anchor(
                    Example(tuple(ids), tuple(i >= len(ids) - answer for i in range(len(ids)))),
                    file.get_tensor(f"{index}.tokens").long(),
                    file.get_tensor(f"{index}.log_probabilities"),
                )
                for index, (ids, answer) in enumerate(json.loads(metadata["examples"]))
            ]
            return _parted(anchors, base, float(metadata["text_loss"]))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # a cache: whatever is wrong with it, it is made again
