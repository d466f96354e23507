"""Several processes that train one adapter. Owns what they tell each other; never computes a loss. [torch]

Each has the whole base and the whole adapter, draws the same lessons, and takes its share of a step's micro-batches. A
loss is divided by all that the step supervises, so the sum of all gradients is the one-process gradient but for the
order of its additions; nothing is dropped out, so nothing else differs. ``torchrun`` and ``accelerate
launch`` say in the environment who is who; between CPUs gloo carries it, between GPUs NCCL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from lora_chat.errors import EngineError, LoraChatError, RefusedError, TrainingError
from lora_chat.models.base_model import pick_device
from lora_chat.models.watch import KeepAsked, StopAsked
from lora_chat.text import clean_line
from lora_chat.training.step import Learnt

_PATIENCE = timedelta(hours=1)
"""For a process that answers nothing and yet is not gone: the first may be making the base's general answers."""

_CPU = torch.device("cpu")

Item = TypeVar("Item")
Event = TypeVar("Event")


class RankLost(EngineError):
    """One of the processes is gone."""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together; alone it is the first of one, and every sum is its own."""

    rank: int = 0
    count: int = 1
    here: int = 1
    """How many of them are on this machine."""
    device: torch.device = _CPU
    is_stopped: Callable[[], bool] = lambda: False
    """Whether this process was asked to stop."""

    @property
    def is_first(self) -> bool:
        """Whether it writes checkpoints, adapter and report."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def mine(self, items: Sequence[Item]) -> Sequence[Item]:
        """This one's share."""
        return items[self.rank :: self.count]

    def add(self, numbers: Sequence[float]) -> list[float]:
        """The sums of these numbers over all processes."""
        if self.is_alone:
            return list(numbers)
        row = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        with self._telling():
            distributed.all_reduce(row)
        return [float(each) for each in row.tolist()]

    def together(self, found: Learnt, weights: Sequence[torch.Tensor]) -> Learnt:
        """What all of them found in a step; the gradients of ``weights`` are the sums of everybody's."""
        if self.is_alone:
            return found
        flat = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights])
        with self._telling():
            distributed.all_reduce(flat)
        for weight, gradient in zip(weights, flat.split([each.numel() for each in weights]), strict=True):
            weight.grad = gradient.view_as(weight)
        loss, unlearnt, tokens = self.add([found.loss, not found.learnt, found.tokens])
        return replace(found, loss=loss, learnt=not unlearnt, tokens=round(tokens))

    def begin_alike(self, weights: Sequence[torch.Tensor]) -> None:
        """Everybody's ``weights`` become the first's, whatever machine drew them."""
        if not self.is_alone:
            with torch.no_grad(), self._telling():
                for weight in weights:
                    distributed.broadcast(weight, 0)

    def check(self) -> None:
        """Stop, all of them after the same step, where one was asked to. Raises KeepAsked."""
        if not self.is_alone and self.add([self.is_stopped()])[0]:
            raise KeepAsked

    def of_first(self, make: Generator[Event, None, Item]) -> Generator[Event, None, Item]:
        """What the first one makes, also on the others; what it raises is raised there too."""
        if self.is_alone:
            return (yield from make)
        made: list[Any] = [None, None]
        if self.is_first:
            try:
                made[0] = yield from make
            except (LoraChatError, StopAsked) as error:
                made[1] = error
        with self._telling():
            distributed.broadcast_object_list(made, src=0, device=self.device)
        if made[1] is not None:
            raise made[1]
        item: Item = made[0]
        return item

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # every error of torch.distributed is one
            raise RankLost(
                f"Another of the {self.count} processes of this training ended: its message says why; started again, "
                "the training goes on from its newest checkpoint."
            ) from error


ALONE = Ranks()


def made(make: Callable[[], Item]) -> Generator[Any, None, Item]:
    """``make()`` for ``of_first``, as one that says nothing on its way."""
    yield from ()
    return make()


@contextmanager
def opened_ranks(is_stopped: Callable[[], bool]) -> Iterator[Ranks]:
    """Join the processes that a launcher started with this one; alone where none did.

    Raises:
        TrainingError: they do not find each other.
        RefusedError: there are more of them than GPUs on this machine.
    """
    count = _number("WORLD_SIZE", 1)
    if count < 2:
        yield Ranks(device=pick_device(), is_stopped=is_stopped)
        return
    here = _number("LOCAL_WORLD_SIZE", count)
    device = _own_device(_number("LOCAL_RANK", 0), here)
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        why = clean_line(str(error), 200)
        raise TrainingError(
            f"The {count} processes of this training do not find each other ({why}): start them with torchrun."
        ) from error
    try:
        yield Ranks(distributed.get_rank(), count, here, device, is_stopped)
    finally:
        with suppress(RuntimeError, ValueError):
            distributed.destroy_process_group()


def _own_device(local: int, here: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if here > torch.cuda.device_count():
        raise RefusedError(
            f"{here} processes on this machine want a GPU each and it has {torch.cuda.device_count()}: start as many "
            'as there are, or set CUDA_VISIBLE_DEVICES="" to train on its processors.'
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise
