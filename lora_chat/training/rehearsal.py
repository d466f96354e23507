"""What the base would say anyway. Owns its answers to general questions and how near an adapter stays to them. [torch]

Made once for each base (some 20 s for the default one on two cores) and kept beside it. Of the base's prediction at
each position the 64 likeliest tokens are kept: the KL divergence over those and "any other" is a lower bound of the
whole one, and takes 0.4 MB instead of 200.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import LoraChatError
from lora_chat.files import write_durably
from lora_chat.models.attach import twin
from lora_chat.models.base_model import BaseModel
from lora_chat.models.prompt import Example
from lora_chat.models.watch import Check, watch_layers
from lora_chat.training.dataset import pad
from lora_chat.training.events import Preparing
from lora_chat.training.forward import supervised_logits
from lora_chat.training.general import MEASURED, REHEARSED

LIKELIEST = 64
LONGEST_ANSWER = 32
"""Tokens of each answer: the beginning is where an adapter takes over."""
_TOGETHER = 8
_SCHEMA = "2"


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


def divergence(logits: torch.Tensor, anchor: Anchor) -> torch.Tensor:
    """Mean KL(base ‖ adapted) per position in nats, for ``logits`` (supervised, vocab) of the anchor."""
    tokens, base = anchor.tokens.to(logits.device), anchor.log_probabilities.to(logits.device)
    adapted = logits.float().log_softmax(-1).gather(-1, tokens)
    kept = (base.exp() * (base - adapted)).sum(-1)
    other_base, other_adapted = _rest(base), _rest(adapted)
    return (kept + other_base * (other_base.log() - other_adapted.log())).mean()


def _rest(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Probability of any other token; kept away from 0, where a logarithm has no end."""
    return (1 - log_probabilities.exp().sum(-1)).clamp_min(1e-6)


def prepare(base: BaseModel, weights: str, kept: Path, check: Check) -> Iterator[Preparing | Rehearsal]:
    """Yield progress, then the rehearsal: read from ``kept``, or made and written there.

    ``weights`` is the base's hash: answers kept from other weights are made anew.
    """
    rehearsal = _read(kept, weights)
    if rehearsal is None:
        tree = twin(base.tree)
        watch_layers(tree, check)
        questions = (*REHEARSED, *MEASURED)
        anchors: list[Anchor] = []
        for start in range(0, len(questions), _TOGETHER):
            yield Preparing("the base answers general questions, once", start / len(questions))
            anchors += _answered(base, tree, questions[start : start + _TOGETHER])
        with suppress(OSError, LoraChatError):  # a cache: without room for it, it is made again the next time
            _write(kept, weights, anchors)
        rehearsal = _parted(anchors)
    yield rehearsal


def _answered(base: BaseModel, tree: Any, questions: tuple[str, ...]) -> list[Anchor]:
    """Greedy answers to several questions at once, padded on the left."""
    prompts = [base.prompt.encode_prompt([Turn(Role.USER, question)]) for question in questions]
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in prompts], device=base.device)
    attention = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts], device=base.device)
    with torch.inference_mode():
        written = tree.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=LONGEST_ANSWER,
            do_sample=False,
            pad_token_id=min(base.prompt.end_ids),
        )
    answers = [_until_end(row, base.prompt.end_ids) for row in written[:, longest:].tolist()]
    return [_anchor(base, tree, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]


def _until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    """The answer with the token that ends its turn, where it came to one."""
    return ids[: next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))]


def _anchor(base: BaseModel, tree: Any, prompt: list[int], answer: list[int]) -> Anchor:
    example = Example((*prompt, *answer), (False,) * len(prompt) + (True,) * len(answer))
    with torch.no_grad():
        logits = supervised_logits(tree, pad([example], base.device))
        likeliest = logits.float().log_softmax(-1).topk(min(LIKELIEST, logits.shape[-1]))
    return Anchor(example, likeliest.indices.cpu(), likeliest.values.cpu())


def _parted(anchors: list[Anchor]) -> Rehearsal:
    return Rehearsal(tuple(anchors[: len(REHEARSED)]), tuple(anchors[len(REHEARSED) :]))


def _write(path: Path, weights: str, anchors: list[Anchor]) -> None:
    tensors = {}
    for index, anchor in enumerate(anchors):
        tensors[f"{index}.tokens"] = anchor.tokens.int()
        tensors[f"{index}.log_probabilities"] = anchor.log_probabilities
    examples = [[list(anchor.example.ids), sum(anchor.example.supervised)] for anchor in anchors]
    write_durably(path, save(tensors, _metadata(weights) | {"examples": json.dumps(examples)}))


def _metadata(weights: str) -> dict[str, str]:
    return {"schema": _SCHEMA, "weights": weights, "questions": json.dumps([REHEARSED, MEASURED])}


def _read(path: Path, weights: str) -> Rehearsal | None:
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
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # a cache: whatever is wrong with it, it is made again
    return _parted(anchors)
