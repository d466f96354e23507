"""What an engine promises. Owns the request, the chunks and the errors that cross this seam; never imports torch.

An engine holds one base model. A request says what to wear; nothing about an adapter is a mode of the engine. All
calls are safe from several threads: replies wait for each other, a training runs beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lora_chat.chat.conversation import Turn
from lora_chat.errors import RefusedError
from lora_chat.training.events import TrainingEvent

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Worn:
    """The adapter that a reply wears."""

    name: str
    folder: Path
    sha256: str
    """Of ``adapter_model.safetensors``; an engine refuses a folder whose bytes changed."""
    scale: float = 1.0
    """Multiplies the adapter's own strength; 0 equals the base."""
    beside: tuple[Worn, ...] = ()
    """Others worn at the same time, each at its own scale: what all of them change is added up."""

    @property
    def all(self) -> tuple[Worn, ...]:
        """Itself and those beside it."""
        return (self, *self.beside)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Out-of-range values are refused with ``RefusedError``."""

    temperature: float = 0.2
    """0 is greedy."""
    top_p: float = 0.9
    top_k: int = 0
    """0 keeps all."""
    repetition_penalty: float = 1.0
    max_tokens: int = 512
    seed: int | None = None
    """None draws one; the reply's ``Finished`` names it."""
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these strings; they are not part of it."""


_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 10**6),
    "repetition_penalty": (0.1, 10.0),
    "max_tokens": (1, 10**6),
}


def check_sampling(sampling: Sampling) -> None:
    """Every engine's first step.

    Raises:
        RefusedError: naming the first value that is out of its range.
    """
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if not low <= value <= high:  # nor is NaN
            least, most, found = (f"{number:,}".removesuffix(".0") for number in (low, high, value))
            raise RefusedError(f"{name} must lie between {least} and {most}, not {found}.")
    if sampling.seed is not None and not 0 <= sampling.seed < 2**63:
        raise RefusedError(f"seed must lie between 0 and 2^63 - 1, not {sampling.seed}.")


def check_wishes(wishes: dict[str, Any]) -> None:
    """Refuse what an engine would refuse, before a model is loaded and anything is saved.

    Raises:
        RefusedError: naming the first value that is out of its range, and the range.
    """
    check_sampling(Sampling(**{name: value for name, value in wishes.items() if value is not None}))


@dataclass(frozen=True)
class Request:
    """One reply to be made."""

    messages: tuple[Turn, ...]
    adapter: Worn | None = None
    sampling: Sampling = Sampling()
    continues: bool = False
    """The last message is an answer that goes on where it ends; only what is added to it is yielded."""
    past_end: bool = False
    """That answer had ended by itself: the first token that is added to it is no end of turn."""


@dataclass(frozen=True)
class TextChunk:
    """A piece of the reply, in order; whole characters only."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The last thing of every reply, also of a cancelled one."""

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens that were not computed again."""
    generated_tokens: int
    first_token_ms: float | None
    """From the call to the first token; None when there was none."""
    tokens_per_second: float | None
    """Over all tokens but the first; None under two tokens."""
    seed: int


Chunk = TextChunk | Finished


@dataclass(frozen=True)
class BaseInfo:
    """What an engine says about its base once it is loaded."""

    name: str
    architecture: str
    parameters: int
    context_window: int
    """In tokens."""
    device: str
    decoding: str
    """Which path replies take and in what precision, in a few words."""
    threads: int
    load_seconds: float
    aliases: tuple[str, ...] = ()
    """Other names of the same base, as adapters may declare it."""


@dataclass(frozen=True)
class Probe:
    """What wearing an adapter does to a fixed prompt."""

    effect: float
    """Largest absolute change of a logit; 0 means the adapter changes nothing."""
    finite: bool
    modules_matched: int
    modules_total: int
    """Linear modules of the base an adapter could have."""


class Engine(Protocol):
    """A loaded (or loadable) base model."""

    @property
    def is_running(self) -> bool:
        """Whether it answers without having to be started."""

    def load(self) -> BaseInfo:
        """Load the base now rather than at the first request; again, it only answers.

        Raises:
            EngineError: the base cannot be loaded, naming it and why.
        """

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """Make one reply: text chunks, then one ``Finished``.

        Setting ``cancel`` ends it within one token (inside the prefill within 250 ms) with reason ``cancelled``.

        Raises:
            RefusedError: bad sampling, a prompt longer than the context window, an adapter that does not fit, or there
                is no answer to be continued.
            NotFoundError: the adapter's folder is gone.
            EngineError: the engine failed; what was yielded stays valid.
        """

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """Read ahead what the next prompt of a conversation of ``messages`` begins with; returns its tokens.

        The next reply then reads only what is new. It gives way: once a reply waits, or ``cancel`` is set, it ends
        within 250 ms, and what was read stays read. A conversation that fills the window is only counted.

        Raises:
            RefusedError: an adapter that does not fit.
            NotFoundError: the adapter's folder is gone.
            EngineError: the engine failed, or does not run and would have to be started for this.
        """

    def probe(self, adapter: Worn) -> Probe:
        """Run one short prompt with and without ``adapter``. Raises as ``generate``."""

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """Tokens of the prompt that ``messages`` make; ``continues`` as in ``Request``."""

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """Run the training job in folder ``job`` on a background thread, yielding its events as they come.

        Replies go on meanwhile. Setting ``cancel`` ends it within 250 ms with a ``Cancelled`` event. Setting ``stop``
        ends it as soon, once a checkpoint is written, with ``Stopped``, and so does leaving it before its end; called
        again for that job, it goes on from there. While ``pause`` is set it waits, from 250 ms after that, with its
        memory and without the CPU; that time counts in no figure.

        Raises:
            TrainingError: the job cannot start or failed; nothing is left but the job's folder.
        """

    def close(self) -> None:
        """Stop everything and free the base; calls after it raise ``EngineError``."""
