"""What a training goes on from. Owns the checkpoints of a job folder, whole or not there; never decides when. [torch]

A checkpoint is a folder, ``checkpoint-000012``, of ``tensors.safetensors`` and ``state.json``, which appears by one
rename. Its digest covers every byte of both, so that one which was torn or changed is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from lora_chat.errors import RefusedError
from lora_chat.files import staged_folder
from lora_chat.training.adamw import AdamW
from lora_chat.training.job import digest
from lora_chat.training.state import CHECKPOINT

_KEPT = 2
_SCHEMA = 1
_TENSORS, _STATE = "tensors.safetensors", "state.json"


@dataclass(frozen=True)
class Position:
    """Where a training is, between two steps; all of it but the tensors."""

    step: int
    tokens: int
    loss: float
    losses: tuple[float, ...]
    """One each step."""
    evaluations: tuple[tuple[int, float], ...]
    """(step, held-out loss)."""
    before: tuple[float | None, float]
    """Held-out and general loss before the first step."""
    judged: bool | None
    """Whether the last step's lessons were all learnt, until the rule was asked about it; None from then on."""
    rule: dict[str, int | None]
    """What the stopping rule counts."""
    stopped_because: str
    unseen: tuple[int, ...]
    """The rest of the deck of lessons."""
    unrehearsed: tuple[int, ...]
    random: tuple[Any, ...]
    """Of Python's generator, which shuffles both decks."""
    threads: int
    """Other sums come of another number of them."""
    processes: int = 1
    """That trained together."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the steps after it depend on."""

    position: Position
    seconds: tuple[float, float]
    """That were spent until it was written: in all, and on the steps."""
    best_loss: float | None
    tensors: Mapping[str, torch.Tensor]
    """The trained weights, AdamW's moments and steps, and the best weights."""


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is of; with another one no step after it would be the same."""

    data: str
    """Of the job's lessons and recipe."""
    base: str
    """Of the base's weights."""
    program: str
    """The versions of what computes, and the path."""

    @classmethod
    def of(cls, job: Path, base: str, path: str) -> Identity:
        """Of the job in that folder, as it is now, on a base of these weights, trained by ``path``."""
        names = ("lora-chat", "torch", "transformers", "peft")
        return cls(digest(job), base, ", ".join([*(f"{name} {version(name)}" for name in names), path]))


class Keeper:
    """Writes the checkpoints of one run when it is time."""

    def __init__(
        self,
        make: Callable[[float], Checkpoint | None],
        job: Path,
        identity: Identity,
        clock: Callable[[], float],
        began: float,
        every: float,
    ) -> None:
        """``make(seconds)`` gives what there is to keep so long after the beginning; None where nothing was learnt."""
        self._make, self._job, self._identity = make, job, identity
        self._clock, self._began, self._every = clock, began, every
        self._last = clock()
        self._step = 0

    def look(self) -> None:
        """Write one if the last is long enough ago."""
        if self._clock() - self._last >= self._every:
            self.keep()

    def keep(self) -> int:
        """Write one now; the step that the newest one was made at, which on a full disk is the one before."""
        self._last = self._clock()
        if (checkpoint := self._make(self._last - self._began)) is not None:
            with suppress(OSError):
                keep(self._job, checkpoint, self._identity)
                self._step = checkpoint.position.step
        return self._step


def gather(weights: Sequence[torch.Tensor], optimiser: AdamW, best: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, as they are now."""
    tensors = {f"weight.{i}": weight.detach() for i, weight in enumerate(weights)} | optimiser.tensors()
    return tensors | {f"best.{i}": weight for i, weight in enumerate(best)}


def put_back(
    tensors: Mapping[str, torch.Tensor], weights: Sequence[torch.Tensor], optimiser: AdamW
) -> list[torch.Tensor]:
    """Let the weights and AdamW be what they were; returns the best weights, where there were any."""
    best = []
    optimiser.put_back(tensors)
    for i, weight in enumerate(weights):
        with torch.no_grad():
            weight.copy_(tensors[f"weight.{i}"])
        if f"best.{i}" in tensors:
            best.append(torch.empty_like(weight).copy_(tensors[f"best.{i}"]))
    return best


def keep(job: Path, checkpoint: Checkpoint, identity: Identity) -> None:
    """Write ``checkpoint`` into the folder ``job``, durably; it and the one before it are kept.

    One of the same step is there already where it went on from that: it says the same and stays.

    Raises:
        OSError: the disk refuses; the earlier ones are as they were.
    """
    tensors = save({name: tensor.contiguous().cpu() for name, tensor in checkpoint.tensors.items()})
    body = asdict(checkpoint.position) | {"seconds": checkpoint.seconds, "best_loss": checkpoint.best_loss}
    state = {"schema": _SCHEMA, "identity": asdict(identity), **body}
    target = job / f"{CHECKPOINT}{checkpoint.position.step:06}"
    earlier = _folders(job)
    if target in earlier:  # stopped again at the step it went on from
        return
    with staged_folder(target) as stage:
        (stage / _TENSORS).write_bytes(tensors)
        (stage / _STATE).write_text(json.dumps({"digest": _digest(state, tensors), **state}), encoding="utf-8")
    for old in earlier[_KEPT - 1 :]:
        _discard(old)


_OTHERWISE = "other versions or another processor compute now"


def newest(job: Path, identity: Identity) -> tuple[Checkpoint | None, str]:
    """The newest whole checkpoint in the folder ``job``, and in words why it has to begin anew where it does.

    What cannot be gone on from is deleted. Other versions of what computes make other sums, and so does a processor
    that multiplies otherwise: that begins anew.

    Raises:
        RefusedError: the job's lessons, its recipe or the base are no longer what the checkpoint was made of.
    """
    for torn in job.glob(".incoming-*"):  # in whose writing a program was killed
        _discard(torn)
    found = _folders(job)
    for at, folder in enumerate(found):
        read = _read(folder)
        if read is not None:
            checkpoint, made_of = read
            _check_same(job, made_of, identity)
            doomed, why = (found, _OTHERWISE) if made_of != identity else (found[:at], "")
            for each in doomed:
                _discard(each)
            return (None if why else checkpoint), why
    for each in found:
        _discard(each)
    return None, "no checkpoint of it is whole" if found else ""


def _check_same(job: Path, made_of: Identity, identity: Identity) -> None:
    if made_of.data != identity.data:
        raise RefusedError(
            f"What {job.name} learns was changed since its checkpoint: start that training again from its source."
        )
    if made_of.base != identity.base:
        raise RefusedError(
            f"The base of {job.name} has other weights than at its checkpoint: bring those back, or start that "
            "training again."
        )


def _folders(job: Path) -> list[Path]:
    """The checkpoints, the newest first."""
    return sorted((each for each in job.glob(f"{CHECKPOINT}*") if each.is_dir()), reverse=True)


def _read(folder: Path) -> tuple[Checkpoint, Identity] | None:
    """None where it is not whole."""
    try:
        tensors = (folder / _TENSORS).read_bytes()
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state.pop("digest") != _digest(state, tensors) or state.pop("schema") != _SCHEMA:
            return None
        identity = Identity(**state.pop("identity"))
        in_all, on_steps = state.pop("seconds")
        best = state.pop("best_loss")
        return Checkpoint(_position(state), (in_all, on_steps), best, load(tensors)), identity
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, RecursionError):
        return None


def _position(state: dict[str, Any]) -> Position:
    """JSON has no tuples."""
    state["losses"], state["before"] = tuple(state["losses"]), tuple(state["before"])
    state["evaluations"] = tuple((step, loss) for step, loss in state["evaluations"])
    state["unseen"], state["unrehearsed"] = tuple(state["unseen"]), tuple(state["unrehearsed"])
    version_, numbers, gauss = state["random"]
    return Position(**(state | {"random": (version_, tuple(numbers), gauss)}))


def _digest(state: Mapping[str, Any], tensors: bytes) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode() + b"\n" + tensors).hexdigest()


def _discard(folder: Path) -> None:
    with suppress(OSError):  # it is passed over all the same
        shutil.rmtree(folder)
