"""A scripted engine. Owns replies without any model, for tests and for trying the program; never imports torch.

It keeps every promise of ``Engine``: it wears adapters (their name opens the reply), samples from its own generator,
stops when told and trains real, if tiny, adapter folders.
"""

from __future__ import annotations

import random
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lora_chat.adapters.manifest import BaseClaim, Manifest, to_toml
from lora_chat.adapters.verify import VerifiedAdapter, load_verified
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.background import run_in_background
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
from lora_chat.errors import EngineError, RefusedError, TrainingError
from lora_chat.models.installed import InstalledBase
from lora_chat.training.events import (
    Cancelled,
    DatasetReady,
    Report,
    Resumed,
    StepDone,
    Stopped,
    Trained,
    TrainingEvent,
)
from lora_chat.training.job import RESULT, Job, read_job
from lora_chat.training.pauses import Pauses

STEPS = 3
_CHECKPOINT = "checkpoint-"
_POLL_S = 0.02


class EchoEngine:
    """``Engine`` that answers what it is told to, else with the person's own words."""

    def __init__(self, base: InstalledBase, script: Mapping[str, str] | None = None, delay: float = 0.0) -> None:
        """``script`` maps a last message to its answer; ``delay`` is the time of one token in seconds."""
        self._base = base
        self._script = dict(script or {})
        self._delay = delay
        self._floor = threading.Lock()
        self._training = threading.Lock()
        self._pauses = Pauses(None)
        """Of the one training that has the lock."""
        self._closed = threading.Event()

    @property
    def is_running(self) -> bool:
        """See ``Engine.is_running``."""
        return not self._closed.is_set()

    def load(self) -> BaseInfo:
        """See ``Engine.load``."""
        self._check_open()
        return BaseInfo(self._base.name, "Echo", 0, self._base.window, "none", "text", 1, 0.0)

    def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
        """See ``Engine.generate``."""
        self._check_open()
        began = time.perf_counter()
        sampling = request.sampling
        check_sampling(sampling)
        prompt = self.count_tokens(request.messages)
        if prompt >= self._base.window:
            raise RefusedError(f"The conversation has {prompt:,} tokens and the base takes {self._base.window:,}.")
        seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
        count = 0
        first: float | None = None
        reason: FinishReason = "stop"
        said = StopHeld(sampling.stop)
        if not self._take_floor(cancel):
            yield _finished("cancelled", prompt, 0, began, None, seed)
            return
        try:
            for word in self._words(request, seed):
                if self._told_to_stop(cancel):
                    reason = "cancelled"
                    break
                first = first or time.perf_counter()
                count += 1
                if piece := said.add(word):
                    yield TextChunk(piece)
                if said.stopped:
                    break
                if count >= sampling.max_tokens:
                    reason = "length"
                    break
            if rest := said.finish():
                yield TextChunk(rest)
        finally:
            self._floor.release()
        yield _finished(reason, prompt, count, began, first, seed)

    def prepare(
        self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
    ) -> int:
        """See ``Engine.prepare``: here there is nothing to read but the adapter's files."""
        tokens = self.count_tokens(messages)
        if adapter is not None and tokens < self._base.window:
            self._read(adapter)
        return tokens

    def probe(self, adapter: Worn) -> Probe:
        """See ``Engine.probe``."""
        self._check_open()
        checked, *_ = self._read(adapter)
        effect = 0.0 if checked.files.changes_nothing else abs(adapter.scale)
        return Probe(effect, True, checked.verdict.modules_matched, checked.verdict.modules_total)

    def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
        """See ``Engine.count_tokens``: here a token is a word."""
        self._check_open()
        return sum(len(turn.content.split()) + 1 for turn in messages)

    def train(
        self,
        job: Path,
        cancel: threading.Event | None = None,
        *,
        pause: threading.Event | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""
        self._check_open()
        cancelled, kept, left = cancel or threading.Event(), stop or threading.Event(), threading.Event()
        if not self._training.acquire(blocking=False):
            raise TrainingError("Another training is running: wait for it or cancel it, then start this one.")
        self._pauses = Pauses(pause)
        try:
            yield from run_in_background(
                lambda: self._train(read_job(job), job, cancelled, kept, left), left, "training"
            )
        finally:
            self._training.release()

    def close(self) -> None:
        """See ``Engine.close``."""
        self._closed.set()

    def _take_floor(self, cancel: threading.Event | None) -> bool:
        """Wait for the reply before this one; False when this one is no longer wanted."""
        while not self._floor.acquire(timeout=_POLL_S):
            if self._closed.is_set() or (cancel is not None and cancel.is_set()):
                return False
        return True

    def _told_to_stop(self, cancel: threading.Event | None) -> bool:
        """Spend the time of one token; whether it is no longer wanted."""
        told = (cancel or self._closed).wait(self._delay)
        return told or self._closed.is_set()

    def _stopped_in_pause(self, *ends: threading.Event) -> bool:
        """Wait as long as the training is paused; whether it is no longer wanted then."""

        def ended() -> bool:
            return any(each.is_set() for each in (*ends, self._closed))

        self._pauses.wait(ended)
        return ended()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise EngineError("The engine was closed: start lora-chat again.")

    def _read(self, adapter: Worn) -> list[VerifiedAdapter]:
        return [load_verified(worn.folder, self._base.signature, worn.sha256) for worn in adapter.all]

    def _words(self, request: Request, seed: int) -> list[str]:
        asked = next((turn.content for turn in reversed(request.messages) if turn.role is Role.USER), "")
        words = self._script.get(asked, asked).split()
        if request.sampling.temperature > 0:
            random.Random(seed).shuffle(words)
        if request.adapter is not None:
            self._read(request.adapter)
            words[:0] = [f"({worn.name} {worn.scale:g})" for worn in request.adapter.all if worn.scale != 0]
        pieces = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
        return _rest(pieces, request.messages[-1]) if request.continues else pieces

    def _train(
        self, job: Job, folder: Path, cancel: threading.Event, *stops: threading.Event
    ) -> Iterator[TrainingEvent]:
        began = self._pauses.now()
        answers = [turn.content for lesson in job.train for turn in lesson.messages if turn.role is Role.ASSISTANT]
        words = sum(len(answer.split()) for answer in answers)
        tokens = sum(self.count_tokens(lesson.messages) for lesson in job.train)
        yield DatasetReady(
            len(job.train), len(answers), job.dropped, tokens, words, job.redacted, job.private, job.kept
        )
        if made := _kept_step(folder):
            yield Resumed(made, tuple(1 / step for step in range(1, made + 1)))
        for step in range(made + 1, STEPS + 1):
            if self._told_to_stop(cancel) or self._stopped_in_pause(cancel, *stops):
                if not cancel.is_set():
                    (folder / f"{_CHECKPOINT}{step - 1:06}").mkdir(exist_ok=True)
                yield Cancelled(step - 1) if cancel.is_set() else Stopped(step - 1)
                return
            yield StepDone(step, STEPS, 1 / step, 100.0, (STEPS - step) * self._delay)
        parameters = _write_adapter(folder / RESULT, self._base, job.name)
        total = self._base.parameters + parameters
        yield Trained(
            str(folder / RESULT),
            Report(
                seconds=self._pauses.now() - began,
                steps=STEPS,
                tokens=tokens * STEPS,
                tokens_per_second=100.0,
                trainable_parameters=parameters,
                total_parameters=total,
                trainable_percent=100 * parameters / total,
                heldout_loss_before=None,
                heldout_loss_after=None,
                general_loss_before=None,
                general_loss_after=None,
                train_loss_after=1 / STEPS,
                stopped_because=f"a scripted training takes {STEPS} steps",
            ),
        )


def _rest(pieces: list[str], answer: Turn) -> list[str]:
    """What of a reply comes after ``answer``, which is its beginning or has as many words as that."""
    if answer.role is not Role.ASSISTANT:
        raise RefusedError("There is no answer to go on with: the last message is no answer.")
    text = "".join(pieces)
    if text.startswith(answer.content):
        return re.findall(r"\s*\S+", text[len(answer.content) :])
    return [f" {word}" for word in text.split()[len(answer.content.split()) :]]


def _kept_step(folder: Path) -> int:
    """Of a scripted training a step's number is all that its checkpoint holds."""
    return max((int(each.name.removeprefix(_CHECKPOINT)) for each in folder.glob(f"{_CHECKPOINT}*")), default=0)


def _finished(reason: FinishReason, prompt: int, count: int, began: float, first: float | None, seed: int) -> Finished:
    elapsed = max(time.perf_counter() - (first or began), 1e-9)
    return Finished(
        reason=reason,
        prompt_tokens=prompt,
        cached_tokens=0,
        generated_tokens=count,
        first_token_ms=None if first is None else (first - began) * 1000,
        tokens_per_second=(count - 1) / elapsed if count > 1 else None,
        seed=seed,
    )


def _write_adapter(folder: Path, base: InstalledBase, called: str) -> int:
    """A real rank-1 adapter on the base's first module; returns its parameter count."""
    import json

    import numpy as np
    from safetensors.numpy import save_file

    name, (out, into) = next(iter(base.signature.modules.items()))
    shutil.rmtree(folder, ignore_errors=True)  # of a program that was killed before it was installed
    folder.mkdir(mode=0o700)
    prefix = f"base_model.model.{name}"
    tensors = {
        f"{prefix}.lora_A.weight": np.full((1, into), 0.01, dtype=np.float32),
        f"{prefix}.lora_B.weight": np.full((out, 1), 0.01, dtype=np.float32),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.signature.lineage,
        "r": 1,
        "lora_alpha": 1,
        "target_modules": [name],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    manifest = Manifest(name=called, private=True, base=BaseClaim(base.signature.lineage))
    (folder / "adapter.toml").write_text(to_toml(manifest), encoding="utf-8")
    return out + into
