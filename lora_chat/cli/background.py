"""A training beside the line chat. Owns its thread and its news; never prints."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from lora_chat.cli.train import HISTORY, describe, summary
from lora_chat.errors import LoraChatError, TrainingError, UsageError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import load_prompt_format
from lora_chat.services import Services
from lora_chat.session import Session
from lora_chat.training.events import Cancelled, Installed, Preparing, StepDone, TrainingEvent
from lora_chat.training.job import create_job
from lora_chat.training.jobs import check_free, run_job
from lora_chat.training.preview import preview
from lora_chat.training.recipe import choose_recipe
from lora_chat.training.selection import HistoryFilter, select_from_history


class Training:
    """One training that runs while the chat goes on."""

    def __init__(self, events: Iterator[TrainingEvent], cancel: threading.Event, name: str, plan: list[str]) -> None:
        self.plan = plan
        self.status = f"{name} is starting."
        self.failed = 0
        """The exit code of what went wrong."""
        self._name = name
        self._cancel = cancel
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow, args=(events,), name="follow-training", daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, services: Services, session: Session, base: InstalledBase, name: str) -> Training:
        """Choose from the history, write the job and start it.

        Raises:
            UsageError: no name.
            RefusedError: the name is taken, or there is nothing to learn.
        """
        if not name:
            raise UsageError("Write /train from-history and the new adapter's name.")
        check_free(name, services.paths)
        selection = select_from_history(services.store, HistoryFilter())
        recipe = choose_recipe(len(selection.lessons), base.parameters)
        plan = list(describe(preview(selection, load_prompt_format(base.folder)), recipe, base, name))
        job = create_job(services.paths.training, name, base.name, HISTORY, selection, recipe)
        cancel = threading.Event()
        return cls(run_job(job, session.engine.train, base.signature, services.paths, cancel), cancel, name, plan)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def news(self) -> list[str]:
        """What happened since this was last asked."""
        return [self._news.get() for _ in range(self._news.qsize())]

    def wait(self) -> None:
        """Until it has ended."""
        self._thread.join()

    def stop(self) -> None:
        """Cancel it and wait for that."""
        self._cancel.set()
        self.wait()

    def _follow(self, events: Iterator[TrainingEvent]) -> None:
        try:
            for event in events:
                self._note(event)
        except Exception as error:  # nobody else would catch it: a thread prints its traceback and is gone
            known = error if isinstance(error, LoraChatError) else TrainingError(f"{type(error).__name__}: {error}")
            self.failed = known.exit_code
            self.status = f"The training of {self._name} failed: {known}"
            self._news.put(f"✗ {self.status}")

    def _note(self, event: TrainingEvent) -> None:
        if isinstance(event, Preparing):
            self.status = f"{self._name}: {event.what}, {event.done:.0%}."
        elif isinstance(event, StepDone):
            left = f"{event.eta_s:.0f} s left at most"
            self.status = f"{self._name}: step {event.step}/{event.steps}, loss {event.loss:.3f}, {left}."
        elif isinstance(event, Cancelled):
            self.status = f"The training of {self._name} was stopped after {event.step} steps; nothing changed."
            self._news.put(self.status)
        elif isinstance(event, Installed):
            self.status = f"{event.adapter} is ready: /adapter use {event.adapter}"
            for line in [*list(summary(event))[:-1], f"Wear it: /adapter use {event.adapter}"]:
                self._news.put(line)
