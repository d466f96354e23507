"""A job trained where nobody looks on, in one process or several. Owns its run; never prints or installs. [torch]"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lora_chat.errors import LoraChatError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.watch import KeepAsked
from lora_chat.text import clean_line
from lora_chat.training.carried import GENERAL
from lora_chat.training.events import TrainingEvent
from lora_chat.training.jobs import OwnFailure, run_away
from lora_chat.training.opening import open_base
from lora_chat.training.ranks import Ranks, opened_ranks
from lora_chat.training.trainer import train


@dataclass(frozen=True)
class Headless:
    """One job and where it finds its base."""

    job: Path
    base: InstalledBase
    general: Path
    """Where this machine keeps the base's answers to general questions, unless the job brings them."""
    stop: threading.Event

    def run(self) -> Iterator[TrainingEvent]:
        """Train; the first of several processes alone says something, and has the job for itself.

        Raises:
            TrainingError: it failed.
            EngineError: another of the processes is gone.
            RefusedError: it runs elsewhere, or what it learns was changed.
        """
        with ExitStack() as stack:
            ranks = stack.enter_context(opened_ranks(self.stop.is_set))
            events = self._trained(ranks)
            yield from run_away(self.job, events) if ranks.is_first else _in_silence(events)

    def _trained(self, ranks: Ranks) -> Generator[TrainingEvent, None, None]:
        def check() -> None:
            if self.stop.is_set():
                raise KeepAsked

        try:
            base = open_base(self.base.name, self.base.folder, ranks.device)
            yield from train(base, self.base.signature, self.job, self._general(), check, ranks=ranks)
        except LoraChatError:
            raise
        except Exception as error:  # no memory, no disk, a defect
            what = f"{type(error).__name__}: {clean_line(str(error), 300)}"
            raise OwnFailure(f"The training failed ({what}): what was made until its checkpoint is kept.") from error

    def _general(self) -> Path:
        """The job's own where it brings them; else this machine's, which are made once for all jobs."""
        own = self.job / GENERAL
        return own if own.is_file() else self.general


def _in_silence(events: Iterator[TrainingEvent]) -> Iterator[TrainingEvent]:
    for _ in events:
        pass
    yield from ()
