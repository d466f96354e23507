"""The engine in this process. Owns the loaded base and the loop of a reply; never saves.

Replies wait for each other. A training runs beside them on its thread; before its next layer it waits while one runs,
and while it is paused.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lora_chat.chat.conversation import Turn
from lora_chat.config import Precision
from lora_chat.decoder.protocol import Context
from lora_chat.engine.background import run_in_background
from lora_chat.engine.decode import choose, without
from lora_chat.engine.effects import Effects
from lora_chat.engine.floor import Floor
from lora_chat.engine.kept import Kept
from lora_chat.engine.loaded import Loaded
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
from lora_chat.engine.reply_text import ReplyText
from lora_chat.engine.speed import Speed
from lora_chat.errors import EngineError, LoraChatError, TrainingError
from lora_chat.models.base_model import check_length
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import Check, KeepAsked, StopAsked
from lora_chat.text import clean_line
from lora_chat.training.events import TrainingEvent
from lora_chat.training.pauses import Pauses

PREFILL_CHUNK = 512
"""Prompt tokens per forward: bounds the memory of a long prompt and how long one layer of it takes."""

AHEAD_CHUNK = 128
"""The same for what is read ahead: at most so much of it is lost when a reply wants the floor."""

PROBE = "The quick brown fox jumps over the lazy dog."


class LocalEngine:
    """``Engine`` on one base model, in this process."""

    def __init__(
        self, base: InstalledBase, kept: Kept, precision: Precision = "auto", device: torch.device | None = None
    ) -> None:
        self._installed = base
        self._kept = kept
        self._precision: Precision = precision
        self._device = device
        self._loading = threading.Lock()
        self._loaded: Loaded | None = None
        self._floor = Floor()
        self._training = threading.Lock()
        self._closed = threading.Event()
        self._measured: Speed | None = None

    @property
    def is_running(self) -> bool:
        """See ``Engine.is_running``."""
        return not self._closed.is_set()

    def load(self) -> BaseInfo:
        """See ``Engine.load``."""
        loaded = self._load()
        return BaseInfo(
            name=self._installed.name,
            architecture=self._installed.signature.architecture,
            parameters=self._installed.parameters,
            context_window=loaded.context_window,
            device=str(loaded.device),
            decoding=loaded.decoder.path,
            threads=torch.get_num_threads(),
            load_seconds=loaded.load_seconds,
        )

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        began = time.perf_counter()
        check_sampling(request.sampling)
        loaded = self._load()
        ids = loaded.encode(request.messages, request.continues)
        check_length(self._installed.name, loaded.context_window, len(ids), len(request.messages))
        reply = _Reply(loaded, request, ids, began, self._check_reply)
        try:
            with self._floor.take(cancel):
                yield from reply.make()
        except StopAsked:
            reply.reason = "cancelled"
        except LoraChatError:
            raise
        except Exception as error:
            raise _failure(error) from error
        if not self._training.locked():
            self._speed(loaded).reply(reply.generated, reply.tokens_per_second)
        yield from reply.finish()

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """See ``Engine.prepare``."""
        loaded = self._load()
        ids = loaded.prompt.encode_beginning(messages)
        if len(ids) >= loaded.context_window:
            return len(ids)
        try:
            with self._floor.take(cancel, gives_way=True):
                self._check_reply()  # before an adapter is read for nobody
                with loaded.context(adapter, ids) as context:
                    read(context, ids, self._check_reply, AHEAD_CHUNK)
        except StopAsked:
            pass  # what was read stays read
        except LoraChatError:
            raise
        except Exception as error:
            raise _failure(error) from error
        return len(ids)

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``."""
        loaded = self._load()
        ids = loaded.prompt.tokenizer.encode(PROBE, add_special_tokens=False).ids
        with self._floor.take(None):
            dressed = loaded.wardrobe.dress(adapter)
            bare = loaded.decoder.begin(None, 1.0).extend(ids, self._check_reply, every=True).float()
            worn = dressed.begin(loaded.decoder).extend(ids, self._check_reply, every=True).float()
        effect = float((worn - bare).abs().max())
        if adapter.scale == 1 and not adapter.beside:
            Effects(self._kept.effects, self._installed.signature.weights).put(*dressed.hashes, effect)
        return Probe(
            effect=effect,
            finite=bool(worn.isfinite().all()),
            modules_matched=dressed.modules,
            modules_total=max(len(self._installed.signature.text_modules), dressed.modules),
        )

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """See ``Engine.count_tokens``."""
        return len(self._load().encode(messages, continues))

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""
        loaded = self._load()
        cancelled, kept, pauses = cancel or threading.Event(), stop or threading.Event(), Pauses(pause)
        left = threading.Event()  # its own: whoever stops by theirs may have another training to run
        ends = (cancelled, kept, left, self._closed)

        def check() -> None:
            pauses.wait(lambda: any(each.is_set() for each in ends))
            try:
                self._floor.check_training(*ends)
            except StopAsked:
                raise (StopAsked if cancelled.is_set() else KeepAsked) from None

        def run() -> Iterator[TrainingEvent]:
            from lora_chat.training.trainer import train

            base, kept = loaded.training_base(), self._kept.general_answers
            return train(base, self._installed.signature, job, kept, check, pauses.now)

        with self._one_training():
            try:
                yield from run_in_background(run, left, "training")
            except LoraChatError:
                raise
            except Exception as error:  # no memory, no disk, a defect: the chat goes on
                what = f"{type(error).__name__}: {clean_line(str(error), 300)}"
                raise TrainingError(f"The training failed ({what}); nothing was installed.") from error
            finally:
                loaded.forget_base_model()

    def close(self) -> None:
        """See ``Engine.close``."""
        self._closed.set()
        with self._loading:
            if self._loaded is not None:
                self._loaded.close()
            self._loaded = None

    def checksum(self) -> str:
        """sha256 of the weights that replies are made with, as they are now."""
        return self._load().decoder.checksum()

    def _load(self) -> Loaded:
        if self._closed.is_set():
            raise EngineError("The engine was closed: start lora-chat again.")
        with self._loading:
            if self._loaded is None:
                self._loaded = Loaded(self._installed, self._kept, self._precision, self._device)
            return self._loaded

    def _speed(self, loaded: Loaded) -> Speed:
        if self._measured is None:
            self._measured = Speed(self._kept.speed, self._installed.signature.weights, loaded.decoder.path)
        return self._measured

    def _check_reply(self) -> None:
        if self._closed.is_set():
            raise StopAsked
        self._floor.check_reply()

    @contextmanager
    def _one_training(self) -> Iterator[None]:
        if not self._training.acquire(blocking=False):
            raise TrainingError("Another training is running: wait for it or cancel it, then start this one.")
        try:
            yield
        finally:
            self._training.release()


class _Reply:
    """One reply in the making."""

    def __init__(self, loaded: Loaded, request: Request, ids: list[int], began: float, check: Check) -> None:
        self._loaded = loaded
        self._request = request
        self._ids = ids
        self._began = began
        self._check = check
        self._seed = secrets.randbits(32) if request.sampling.seed is None else request.sampling.seed
        self._generator = torch.Generator().manual_seed(self._seed)
        self._text = ReplyText(loaded.prompt, (*loaded.prompt.stop, *request.sampling.stop))
        if request.continues:
            self._text.go_on(request.messages[-1].content, ids)
        self._seen = list(ids)
        self._generated = 0
        self._cached = 0
        self._first_at: float | None = None
        self._last_at = began
        self.reason: FinishReason = "length"

    @property
    def generated(self) -> int:
        """Tokens so far."""
        return self._generated

    @property
    def tokens_per_second(self) -> float | None:
        """From the first token on; None before the second."""
        if self._first_at is None or self._generated < 2:
            return None
        return (self._generated - 1) / max(self._last_at - self._first_at, 1e-9)

    def make(self) -> Iterator[Chunk]:
        """Read the prompt as far as it is new and generate, yielding text; ``reason`` then says why it ended.

        Raises:
            StopAsked: by the check, before a layer of the prompt or before a token.
        """
        with self._loaded.context(self._request.adapter, self._ids) as context:
            self._cached = len(context.ids)
            yield from self._decode(context)

    def finish(self) -> Iterator[Chunk]:
        """The text held back, then the figures."""
        if tail := self._text.finish():
            yield TextChunk(tail)
        first, count = self._first_at, self._generated
        yield Finished(
            reason=self.reason,
            prompt_tokens=len(self._ids),
            cached_tokens=self._cached,
            generated_tokens=count,
            first_token_ms=None if first is None else (first - self._began) * 1000,
            tokens_per_second=self.tokens_per_second,
            seed=self._seed,
        )

    def _decode(self, context: Context) -> Iterator[Chunk]:
        limit = min(self._request.sampling.max_tokens, self._loaded.context_window - len(self._ids))
        logits = read(context, self._ids, self._check, PREFILL_CHUNK)
        if self._request.past_end:
            logits = without(logits, self._loaded.prompt.end_ids)
        while True:
            token = choose(logits, self._seen, self._request.sampling, self._generator)
            self._count(token)
            if token in self._loaded.prompt.end_ids:
                self.reason = "stop"
                return
            if piece := self._text.add(token):
                yield TextChunk(piece)
            if self._text.stopped:
                self.reason = "stop"
                return
            if self._generated >= limit:
                return
            logits = context.extend([token], self._check)

    def _count(self, token: int) -> None:
        self._generated += 1
        self._seen.append(token)
        self._last_at = time.perf_counter()
        self._first_at = self._first_at or self._last_at


def read(context: Context, ids: list[int], check: Check, most: int) -> torch.Tensor:
    """Extend ``context``, which holds a beginning of ``ids``, by the rest, ``most`` at a time; logits after the last.

    Raises:
        StopAsked: by the check; the parts before stay read.
    """
    logits = torch.empty(0)
    for start in range(len(context.ids), len(ids), most):
        logits = context.extend(ids[start : start + most], check)
    return logits


def _failure(error: Exception) -> EngineError:
    return EngineError(f"The engine failed ({type(error).__name__}: {clean_line(str(error), 300)}): try again.")
