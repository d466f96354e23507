"""The engine in this process, on transformers and PEFT. Owns the loaded base and the decoding loop; never saves.

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
from typing import Any

import torch
from transformers import DynamicCache

from lora_chat.chat.conversation import Turn
from lora_chat.engine.background import run_in_background
from lora_chat.engine.decode import choose
from lora_chat.engine.floor import Floor
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
from lora_chat.engine.wardrobe import Wardrobe
from lora_chat.errors import EngineError, LoraChatError, TrainingError
from lora_chat.models.attach import count_modules, lora_layers
from lora_chat.models.base_model import BaseModel, cache_keyword, check_length, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import StopAsked
from lora_chat.text import clean_line
from lora_chat.training.events import TrainingEvent
from lora_chat.training.pauses import Pauses
from lora_chat.training.trainer import train

PREFILL_CHUNK = 512
"""Prompt tokens per forward: bounds the memory of a long prompt and how long one layer of it takes."""

PROBE = "The quick brown fox jumps over the lazy dog."


class LocalEngine:
    """``Engine`` on one base model, in this process."""

    def __init__(self, base: InstalledBase, general_answers: Path, device: torch.device | None = None) -> None:
        """``general_answers`` is the file that keeps the base's own answers, which trainings rehearse."""
        self._installed = base
        self._general_answers = general_answers
        self._device = device
        self._loading = threading.Lock()
        self._loaded: tuple[BaseModel, Wardrobe] | None = None
        self._floor = Floor()
        self._training = threading.Lock()
        self._closed = threading.Event()

    def load(self) -> BaseInfo:
        """See ``Engine.load``."""
        base, _ = self._load()
        return BaseInfo(
            name=base.name,
            architecture=type(base.tree).__name__,
            parameters=base.parameters,
            context_window=base.context_window,
            device=str(base.device),
            dtype=str(base.tree.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            load_seconds=base.load_seconds,
        )

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        began = time.perf_counter()
        check_sampling(request.sampling)
        base, wardrobe = self._load()
        ids = base.prompt.encode_prompt(request.messages)
        check_length(base, len(ids), request.messages)
        reply = _Reply(base, request, ids, began)
        try:
            with self._floor.take(cancel):
                yield from reply.decode(wardrobe.tree(request.adapter))
        except StopAsked:
            reply.reason = "cancelled"
        except LoraChatError:
            raise
        except Exception as error:
            raise EngineError(
                f"The engine failed ({type(error).__name__}: {clean_line(str(error), 300)}): try again."
            ) from error
        yield from reply.finish()

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``."""
        base, wardrobe = self._load()
        ids = base.tensor(base.prompt.tokenizer.encode(PROBE, add_special_tokens=False).ids)
        with self._floor.take(None), torch.inference_mode():
            bare = wardrobe.tree(None)(input_ids=ids).logits.float()
            worn = wardrobe.tree(adapter)
            dressed = worn(input_ids=ids).logits.float()
        return Probe(
            effect=float((dressed - bare).abs().max()),
            finite=bool(dressed.isfinite().all()),
            modules_matched=len(lora_layers(worn)),
            modules_total=count_modules(base.tree),
        )

    def count_tokens(self, messages: tuple[Turn, ...]) -> int:
        """See ``Engine.count_tokens``."""
        return len(self._load()[0].prompt.encode_prompt(messages))

    def train(
        self, job: Path, cancel: threading.Event | None = None, *, pause: threading.Event | None = None
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""
        base, _ = self._load()
        stop = cancel or threading.Event()
        pauses = Pauses(pause)

        def check() -> None:
            pauses.wait(lambda: stop.is_set() or self._closed.is_set())
            if self._closed.is_set():
                raise StopAsked
            self._floor.check_training(stop)

        def run() -> Iterator[TrainingEvent]:
            return train(base, self._installed.signature, job, self._general_answers, check, pauses.now)

        with self._one_training():
            try:
                yield from run_in_background(run, stop, "training")
            except LoraChatError:
                raise
            except Exception as error:  # no memory, no disk, a defect: the chat goes on
                what = f"{type(error).__name__}: {clean_line(str(error), 300)}"
                raise TrainingError(f"The training failed ({what}); nothing was installed.") from error

    def close(self) -> None:
        """See ``Engine.close``."""
        self._closed.set()
        with self._loading:
            self._loaded = None

    def checksum(self) -> str:
        """sha256 of the base's weights as they are now."""
        return self._load()[0].checksum()

    def _load(self) -> tuple[BaseModel, Wardrobe]:
        if self._closed.is_set():
            raise EngineError("The engine was closed: start lora-chat again.")
        with self._loading:
            if self._loaded is None:
                base = load_base_model(self._installed.name, self._installed.folder, self._device)
                self._loaded = base, Wardrobe(base, self._installed.signature, self._check_reply)
            return self._loaded

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

    def __init__(self, base: BaseModel, request: Request, ids: list[int], began: float) -> None:
        self._base = base
        self._request = request
        self._ids = ids
        self._began = began
        self._seed = secrets.randbits(32) if request.sampling.seed is None else request.sampling.seed
        self._generator = torch.Generator().manual_seed(self._seed)
        self._text = ReplyText(base.prompt, (*base.prompt.stop, *request.sampling.stop))
        self._generated: list[int] = []
        self._first_at: float | None = None
        self._last_at = began
        self.reason: FinishReason = "length"

    def decode(self, tree: Any) -> Iterator[Chunk]:
        """Run ``tree`` token by token, yielding text; ``reason`` then says why it ended.

        Raises:
            StopAsked: by the tree's own check, inside a forward.
        """
        cache = DynamicCache(config=tree.config)
        limit = min(self._request.sampling.max_tokens, self._base.context_window - len(self._ids))
        logits = self._prefill(tree, cache)
        while True:
            seen = torch.tensor(self._ids + self._generated)
            token = choose(logits, seen, self._request.sampling, self._generator)
            self._count(token)
            if token in self._base.prompt.end_ids:
                self.reason = "stop"
                return
            if piece := self._text.add(token):
                yield TextChunk(piece)
            if self._text.stopped:
                self.reason = "stop"
                return
            if len(self._generated) >= limit:
                return
            logits = self._forward(tree, cache, [token])

    def finish(self) -> Iterator[Chunk]:
        """The text held back, then the figures."""
        if tail := self._text.finish():
            yield TextChunk(tail)
        first, count = self._first_at, len(self._generated)
        yield Finished(
            reason=self.reason,
            prompt_tokens=len(self._ids),
            cached_tokens=0,
            generated_tokens=count,
            first_token_ms=None if first is None else (first - self._began) * 1000,
            tokens_per_second=None if first is None or count < 2 else (count - 1) / max(self._last_at - first, 1e-9),
            seed=self._seed,
        )

    def _count(self, token: int) -> None:
        self._generated.append(token)
        self._last_at = time.perf_counter()
        self._first_at = self._first_at or self._last_at

    def _prefill(self, tree: Any, cache: DynamicCache) -> torch.Tensor:
        logits = torch.empty(0)
        for start in range(0, len(self._ids), PREFILL_CHUNK):
            logits = self._forward(tree, cache, self._ids[start : start + PREFILL_CHUNK])
        return logits

    def _forward(self, tree: Any, cache: DynamicCache, ids: list[int]) -> torch.Tensor:
        """Logits of the token after ``ids``, (vocab,)."""
        with torch.inference_mode():
            named = {cache_keyword(type(tree)): cache}
            out = tree(input_ids=self._base.tensor(ids), **named, use_cache=True, logits_to_keep=1)
            logits: torch.Tensor = out.logits[0, -1]
        return logits
