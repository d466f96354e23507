"""The least an engine of a plugin needs. Owns all that can be said without knowing how words are made there."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lora_chat.chat.conversation import Turn
from lora_chat.engine.protocol import (
    BaseInfo,
    Chunk,
    Finished,
    FinishReason,
    Probe,
    Request,
    TextChunk,
    Worn,
    check_sampling,
)
from lora_chat.engine.reply_text import StopHeld
from lora_chat.errors import RefusedError, TrainingError
from lora_chat.models.answering import UNTOLD_WINDOW
from lora_chat.plugins.registrars import EngineSettings
from lora_chat.training.events import TrainingEvent

_BYTES = 3
_AROUND = 8


class SimpleEngine:
    """``Engine`` that has ``reply`` alone: it wears nothing, trains nothing, and guesses how many tokens there are."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    def reply(self, request: Request, cancel: threading.Event) -> Iterator[str]:
        """Yield the answer's text; a piece counts as a token. Once ``cancel`` is set nothing more is wanted."""
        raise NotImplementedError

    @property
    def is_running(self) -> bool:
        """See ``Engine.is_running``."""
        return True

    def load(self) -> BaseInfo:
        """See ``Engine.load``."""
        base = self.settings.base
        return BaseInfo(
            name=base.name if base is not None else self.settings.name or "a plugin",
            architecture=base.signature.architecture if base is not None else "",
            parameters=base.parameters if base is not None else 0,
            context_window=base.window if base is not None else UNTOLD_WINDOW,
            device="a plugin",
            decoding="as it likes",
            threads=0,
            load_seconds=0.0,
        )

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        check_sampling(request.sampling)
        if request.adapter is not None and any(each.scale for each in request.adapter.all):
            raise RefusedError("This engine wears no adapter: take it off.")
        if request.continues:
            raise RefusedError("This engine begins each answer anew: retry it instead of going on.")
        cancel, held, began = cancel or threading.Event(), StopHeld(request.sampling.stop), time.perf_counter()
        pieces = 0
        first: float | None = None
        reason: FinishReason = "stop"
        for piece in self.reply(request, cancel):
            if cancel.is_set():
                reason = "cancelled"
                break
            pieces, first = pieces + 1, first or time.perf_counter()
            if text := held.add(piece):
                yield TextChunk(text)
            if held.stopped:
                break
            if pieces == request.sampling.max_tokens:
                reason = "length"
                break
        if text := held.finish():
            yield TextChunk(text)
        seconds = time.perf_counter() - (first or began)
        yield Finished(
            reason=reason,
            prompt_tokens=self.count_tokens(request.messages),
            cached_tokens=0,
            generated_tokens=pieces,
            first_token_ms=None if first is None else (first - began) * 1000,
            tokens_per_second=(pieces - 1) / seconds if pieces > 1 and seconds else None,
            seed=secrets.randbits(31) if request.sampling.seed is None else request.sampling.seed,
        )

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """See ``Engine.prepare``: nothing is read ahead."""
        return self.count_tokens(messages)

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``: not here."""
        raise RefusedError("This engine wears no adapter: try it with the engine of this machine.")

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """See ``Engine.count_tokens``: rather too many, three bytes are one and each message brings eight."""
        return sum(_AROUND + -(-len(each.content.encode("utf-8", "replace")) // _BYTES) for each in messages)

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``: not here."""
        raise TrainingError("This engine trains nothing: train with the engine of this machine.")
        yield  # a generator, as every engine's

    def close(self) -> None:
        """See ``Engine.close``."""
