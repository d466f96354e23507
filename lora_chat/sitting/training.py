"""A training beside the chat. Owns its plan, its thread and how far it is; never prints and never draws."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_chat.engine.asking import answering
from lora_chat.engine.protocol import Engine
from lora_chat.errors import EngineError, LoraChatError, RefusedError, TrainingError
from lora_chat.models.installed import InstalledBase
from lora_chat.services import Services
from lora_chat.sitting.plan import Plan
from lora_chat.training.events import (
    Cancelled,
    DatasetReady,
    Evaluated,
    Failed,
    Installed,
    Preparing,
    Resumed,
    Sampled,
    StepDone,
    Stopped,
    TrainingEvent,
)
from lora_chat.training.job import create_job
from lora_chat.training.jobs import run_job
from lora_chat.training.shelf import check_room

HISTORY = "from-history"

State = Literal["starting", "preparing", "training", "paused", "stopped", "finished", "cancelled", "failed"]

OVER: tuple[State, ...] = ("stopped", "finished", "cancelled", "failed")
"""It neither goes on nor is paused."""


@dataclass(frozen=True)
class Progress:
    """How far a training is, at one moment: what a screen shows of it."""

    name: str
    state: State
    status: str
    """In one sentence."""
    what: str = ""
    """What is prepared before the first step, and how much of it is done, in [0, 1]."""
    done: float = 0.0
    step: int = 0
    steps: int = 0
    """Most it may take."""
    losses: tuple[float, ...] = ()
    """One each step."""
    heldout: tuple[tuple[int, float], ...] = ()
    """(step, loss) of each evaluation of held-out conversations; empty for a handful."""
    eta_s: float | None = None
    tokens_per_second: float | None = None
    memory: int = 0
    """Bytes of the engine process; 0 where nobody knows."""
    samples: tuple[Sampled, ...] = ()
    """The newest answer to a taught question and to a general one."""
    installed: Installed | None = None
    saw: DatasetReady | None = None
    """What it was given."""

    @property
    def running(self) -> bool:
        """Whether it goes on or is paused."""
        return self.state not in OVER


class Training:
    """One training that runs while the chat goes on."""

    def __init__(
        self, name: str, job: Path, base: InstalledBase, services: Services, engine: Engine, tell: Tell
    ) -> None:
        """``job`` is its folder; ``tell`` is called from the training's own thread after every event."""
        self.name = name
        self.job = job
        self.state: State = "starting"
        self.what = ""
        """What is prepared."""
        self.done = 0.0
        """Of the preparation, in [0, 1]."""
        self.step: StepDone | None = None
        """The newest."""
        self.losses: list[float] = []
        """One each step, those before it was resumed included."""
        self.heldout: list[tuple[int, float]] = []
        self.kept_step = 0
        """From which it can go on, once it is stopped."""
        self.samples: dict[bool, Sampled] = {}
        """The newest, by whether it was taught."""
        self.installed: Installed | None = None
        self.saw: DatasetReady | None = None
        self.failure: LoraChatError | None = None
        self._tell = tell
        self._cancel, self._pause, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._hush = threading.Event()
        """Cuts short what it is answering, where it is to end however."""
        self._ended: Callable[[], None] = lambda: None
        engine = services.own_engine_beside(engine, base)
        self._events = run_job(
            job,
            engine.train,
            base.signature,
            services.paths,
            self._cancel,
            pause=self._pause,
            stop=self._stop,
            answers=answering(engine, self._hush),
        )
        self._thread = threading.Thread(target=self._follow, name="follow-training", daemon=True)

    @classmethod
    def of(cls, plan: Plan, services: Services, engine: Engine, tell: Tell) -> Training:
        """What ``plan`` says; its job is written.

        Raises:
            RefusedError: the plan teaches nothing, or the disk has no room for it.
        """
        if not plan.selection.lessons:
            raise RefusedError("Everything is left out, so there is nothing to learn: include an answer.")
        check_room(plan.recipe, plan.base.signature, services.paths)
        what = (plan.name, plan.base.name, HISTORY, plan.selection, plan.recipe)
        job = create_job(services.paths.training, *what, start=plan.start)
        return cls(plan.name, job, plan.base, services, engine, tell)

    def start(self, ended: Callable[[], None] = lambda: None) -> None:
        """Begin; returns at once. Its first look is told here, so that whoever looks has seen it run when it ends.

        ``ended`` is called from its own thread, the last thing of all.
        """
        self._ended = ended
        self._tell(self)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on, or is paused."""
        return self._thread.is_alive()

    @property
    def paused(self) -> bool:
        """Whether the person made it wait."""
        return self._pause.is_set() and self.state not in OVER

    @property
    def status(self) -> str:
        """How far it is, in one sentence."""
        name, step = self.name, self.step
        if self.state == "failed" and isinstance(self.failure, EngineError) and self.losses:
            return f"The training of {name} is kept, /train resume goes on with it: {self.failure}"
        if self.state == "failed":
            return f"The training of {name} failed: {self.failure}"
        if self.state == "cancelled":
            return f"The training of {name} was stopped after {step.step if step else 0} steps; nothing changed."
        if self.installed is not None and self.installed.kept:
            return self._kept(self.installed)
        if self.installed is not None and self.installed.report.forgot:
            name, forgot = self.installed.adapter, self.installed.report.forgot
            return f"{name} is trained and not worn: {forgot} /adapter use {name} wears it all the same."
        if self.state == "stopped":
            return f"The training of {name} is kept at step {self.kept_step}: /train resume goes on from there."
        if self.installed is not None:
            name, checks = self.installed.adapter, self.installed.checks
            ready = f"{name} is ready: /adapter use {name}"
            return f"{ready} {checks.sentence}" if checks else ready
        waits = "paused at " if self.paused else ""
        if step is not None and self.state != "preparing":
            left = f"{step.eta_s:.0f} s left at most"
            return f"{name}: {waits}step {step.step}/{step.steps}, loss {step.loss:.3f}, {left}."
        return f"{name}: {waits}{self.what}, {self.done:.0%}." if self.what else f"{name} is starting."

    @staticmethod
    def _kept(installed: Installed) -> str:
        name, version = installed.adapter, installed.version
        return (
            f"{name} {version} is trained, kept and not worn: {installed.kept} "
            f"/adapter rollback {name} {version} wears it all the same."
        )

    @property
    def progress(self) -> Progress:
        """A picture of it now."""
        last = self.step
        return Progress(
            name=self.name,
            state="paused" if self.paused else self.state,
            status=self.status,
            what=self.what,
            done=self.done,
            step=last.step if last else len(self.losses),
            steps=last.steps if last else 0,
            losses=tuple(self.losses),
            heldout=tuple(self.heldout),
            eta_s=last.eta_s if last else None,
            tokens_per_second=last.tokens_per_second if last else None,
            memory=last.memory if last else 0,
            samples=tuple(self.samples[taught] for taught in (True, False) if taught in self.samples),
            installed=self.installed,
            saw=self.saw,
        )

    def pause(self) -> None:
        """Let it wait where it is; its memory is kept."""
        self._pause.set()
        self._tell(self)

    def resume(self) -> None:
        """Let it go on."""
        self._pause.clear()
        self._tell(self)

    def wait(self) -> None:
        """Until it has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def cancel(self) -> None:
        """End it, delete what it would have learnt, and wait for that."""
        self._cancel.set()
        self._hush.set()
        self.wait()

    def stop(self) -> None:
        """End it with a checkpoint, from which its job can go on, and wait for that."""
        self._stop.set()
        self._hush.set()
        self.wait()

    def _follow(self) -> None:
        try:
            for event in self._events:
                self._note(event)
                self._tell(self)
        except Exception as error:  # nobody else would catch it: a thread prints its traceback and is gone
            known = error if isinstance(error, LoraChatError) else TrainingError(f"{type(error).__name__}: {error}")
            self._fail(known)
            self._tell(self)
        finally:
            self._ended()

    def _note(self, event: TrainingEvent) -> None:
        match event:
            case DatasetReady():
                self.saw = event
            case Preparing():
                self.state, self.what, self.done = "preparing", event.what, event.done
            case Resumed():
                self.losses, self.heldout = list(event.losses), list(event.heldout)
            case StepDone():
                self.state, self.step = "training", event
                self.losses.append(event.loss)
            case Evaluated():
                self.heldout.append((event.step, event.heldout_loss))
            case Sampled():
                self.samples[event.taught] = event
            case Installed():
                self.state, self.installed = "finished", event
            case Stopped():
                self.state, self.kept_step = "stopped", event.step
            case Cancelled():
                self.state = "cancelled"
            case Failed():
                self._fail(TrainingError(event.reason))

    def _fail(self, error: LoraChatError) -> None:
        self.state, self.failure = "failed", error


Tell = Callable[[Training], None]
"""What a training calls after every event."""
