"""What was trained elsewhere comes back. Owns how ``adapter install JOB`` goes at a shell; never trains or judges.

It is looked at and agreed to as any adapter is. Then it lands as one does that was trained here: its lessons and checks
are kept, and the checks are asked on this machine's own base, whatever the other machine said.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths
    from lora_chat.sitting.arrival import Arrival
    from lora_chat.training.events import Installed
    from lora_chat.training.job import Job


def read_finished(folder: Path, name: str) -> Job:
    """The job in ``folder``, whose adapter may be wished to be called ``name``.

    Raises:
        TrainingError: it is no whole job.
        UsageError: it makes a next version, which has its name.
    """
    from lora_chat.adapters.manifest import checked_name
    from lora_chat.errors import UsageError
    from lora_chat.training.job import read_job

    job = read_job(folder)
    if not name or name == job.name:
        return job
    if job.start is not None:
        raise UsageError(f"A next version of {job.name} is called {job.name} too: leave --name out.")
    return replace(job, name=checked_name(name))


def land_here(folder: Path, job: Job, arrival: Arrival, paths: Paths) -> Installed:
    """Install what the job in ``folder`` made, and ask what it was taught where its base is here.

    Raises:
        LoraChatError: as ``landing.land``.
    """
    from lora_chat.cli.console import progress_bar
    from lora_chat.cli.jobs import stopped_by_signals
    from lora_chat.cli.train import show_progress
    from lora_chat.engine.asking import answering
    from lora_chat.engine.factory import open_local_for
    from lora_chat.models.installed import find_base
    from lora_chat.training.carried import read_result
    from lora_chat.training.landing import land

    event = read_result(folder)
    base: InstalledBase | None = find_base(paths.models, arrival.base) if arrival.base else None
    engine = open_local_for(base, paths) if base is not None else None
    try:
        with progress_bar() as progress, stopped_by_signals() as stop:
            answers = answering(engine, threading.Event()) if engine is not None else None
            signature = base.signature if base is not None else None
            with closing(land(event, folder, signature, paths, answers, stop.is_set, job)) as landing:
                while True:
                    try:
                        show_progress(next(landing), progress)
                    except StopIteration as end:
                        installed: Installed = end.value
                        return installed
    finally:
        if engine is not None:
            engine.close()
