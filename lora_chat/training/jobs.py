"""One training from start to worn. Owns the way from a selection to an installed adapter; never imports torch.

What was trained goes through the same door as a stranger's adapter.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.manifest import checked_name
from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.training.events import Cancelled, Failed, Installed, Trained, TrainingEvent
from lora_chat.training.job import read_job


class Runner(Protocol):
    """``Engine.train``."""

    def __call__(
        self, job: Path, cancel: threading.Event, *, pause: threading.Event | None = None
    ) -> Iterator[TrainingEvent]:
        """See ``Engine.train``."""


def check_free(name: str, paths: Paths) -> None:
    """Refuse, before anything is spent, a name that an adapter already has.

    Raises:
        RefusedError: the name is taken or cannot be one.
    """
    checked_name(name)
    if any(os.path.lexists(root / name) for root in (paths.adapters, paths.bundled_adapters)):
        raise RefusedError(
            f'There is already an adapter "{name}": choose another --name, or remove it with '
            f"`lora-chat adapter remove {name}`."
        )


def run_job(
    job: Path,
    run: Runner,
    signature: BaseSignature,
    paths: Paths,
    cancel: threading.Event,
    *,
    pause: threading.Event | None = None,
) -> Iterator[TrainingEvent]:
    """Train the job in folder ``job`` and install the result; yields events, ``Installed`` last.

    While ``pause`` is set it waits; the report's seconds leave that out.

    Raises:
        TrainingError: it failed.
        RefusedError: the result does not pass the door.
    """
    for event in run(job, cancel, pause=pause):
        if isinstance(event, Trained):
            began = time.perf_counter()
            installed = install_folder(Path(event.folder), paths, read_job(job).name, signature)
            # The engine's own seconds, and not all since the start: they alone leave out the pauses.
            report = replace(event.report, seconds=event.report.seconds + time.perf_counter() - began)
            yield Installed(installed.adapter.name, str(installed.adapter.path), report)
        else:
            yield event
        if isinstance(event, Cancelled | Failed):
            return
