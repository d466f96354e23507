"""The jobs of a home. Owns listing, finding and clearing away their folders; never reads what they teach."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import NotFoundError, RefusedError, did_you_mean
from lora_chat.paths import Paths
from lora_chat.text import clean_line
from lora_chat.training.job import RESULT
from lora_chat.training.recipe import Recipe, target_modules
from lora_chat.training.state import JobState, claimed, current_state, is_claimed, read_state

NEWEST = "last"
"""What the newest job that can go on is called."""

KEPT_HOURS = 24
"""So long a job that failed can be tried again, and a finished one outlives its adapter."""
_HIDDEN = (".incoming-", ".trash-")
_HIDDEN_S = 3600
_CHECKPOINTS = 3
"""Two that are kept, and one that is being written."""


@dataclass(frozen=True)
class Listed:
    """One job of a home."""

    folder: Path
    name: str
    """Of the adapter it makes."""
    base: str
    state: JobState

    @property
    def can_go_on(self) -> bool:
        """Whether somebody could run it."""
        return self.state.kind in ("waiting", "stopped") and not self.state.is_somebodys

    @property
    def is_unfinished(self) -> bool:
        """Whether it may still become an adapter."""
        return self.state.kind in ("waiting", "running", "stopped")

    @property
    def runs_alone(self) -> bool:
        """Whether a program without a window trains it now."""
        return self.state.kind == "running" and self.state.alone


def list_jobs(training: Path) -> list[Listed]:
    """Every job that is one, the oldest first."""
    folders = sorted(each for each in training.iterdir() if each.is_dir()) if training.is_dir() else []
    return [job for folder in folders if not folder.name.startswith(".") and (job := _listed(folder)) is not None]


def unfinished_names(training: Path) -> set[str]:
    """Of the adapters that these jobs will make, or could."""
    return {job.name for job in list_jobs(training) if job.is_unfinished}


def find_job(training: Path, called: str) -> Listed:
    """The job whose folder is ``called`` so; the newest that makes an adapter of that name; or the ``last``.

    Raises:
        NotFoundError: there is none, naming the nearest.
    """
    jobs = list_jobs(training)
    if called == NEWEST and jobs:
        return ([job for job in jobs if job.can_go_on] or jobs)[-1]
    found = [job for job in jobs if job.folder.name == called] or [job for job in jobs if job.name == called]
    if found:
        return found[-1]
    known = [name for job in jobs for name in (job.folder.name, job.name)]
    near = did_you_mean(called, known) or ": `lora-chat train --jobs` lists those there are."
    raise NotFoundError(f"There is no training job {clean_line(called, 120)}{near}")


def discard(folder: Path) -> None:
    """Delete a job with everything it learns from; by one rename first, so that no half of it is ever seen."""
    with suppress(OSError):
        doomed = Path(tempfile.mkdtemp(prefix=".trash-", dir=folder.parent))
        os.replace(folder, doomed / folder.name)
        shutil.rmtree(doomed, ignore_errors=True)


def discard_job(job: Listed) -> None:
    """The same, where no program runs it.

    Raises:
        RefusedError: one does.
    """
    with claimed(job.folder):
        discard(job.folder)


def forget_work(folder: Path) -> None:
    """Delete what a finished job went on from, and its copy of the adapter."""
    for each in (*folder.glob("checkpoint-*"), folder / RESULT):
        shutil.rmtree(each, ignore_errors=True)


def sweep(paths: Paths, but: Path) -> None:
    """Clear away what nobody needs: called before each training, leaving ``but`` alone.

    A job's folder holds what a person said. One that was cancelled is deleted at once; one that failed after a day; a
    finished one, which keeps what it taught, a day after its adapter is gone. What waits or was stopped stays.
    """
    for hidden in _hidden(paths.training):
        shutil.rmtree(hidden, ignore_errors=True)
    for job in list_jobs(paths.training):
        if job.folder != but and _is_over(job, paths) and not is_claimed(job.folder):
            discard(job.folder)


def check_room(recipe: Recipe, signature: BaseSignature, paths: Paths) -> None:
    """Refuse a training whose checkpoints and adapter have no room on the disk.

    Raises:
        RefusedError: saying how much is needed and how much there is.
    """
    place = next(each for each in (paths.training, *paths.training.parents) if each.exists())
    needed, free = room_for(recipe, signature), shutil.disk_usage(place).free
    if free < needed:
        raise RefusedError(
            f"There is no room for this training in {place}: its checkpoints and the adapter take "
            f"{needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free; make room, then start it again."
        )


def room_for(recipe: Recipe, signature: BaseSignature) -> int:
    """Bytes that a training takes on the disk at most: weights, two moments and the best ones in each checkpoint."""
    modules = target_modules(signature, recipe)
    adapter = 4 * sum(recipe.rank * sum(signature.modules[name]) for name in modules)
    return adapter * ((4 if recipe.heldout else 3) * _CHECKPOINTS + 2) + (1 << 20)


def _listed(folder: Path) -> Listed | None:
    try:
        header = tomllib.loads((folder / "job.toml").read_text(encoding="utf-8"))
        return Listed(folder, str(header["name"]), str(header["base"]), current_state(folder))
    except (OSError, ValueError, KeyError):
        return None


def _is_over(job: Listed, paths: Paths) -> bool:
    state = read_state(job.folder)
    age = time.time() - (state.since or job.folder.stat().st_mtime)
    gone = state.kind == "failed" or (state.kind == "finished" and not (paths.adapters / state.adapter).exists())
    return gone and age > KEPT_HOURS * 3600


def _hidden(training: Path) -> Iterator[Path]:
    """What programs that were killed left there an hour ago or earlier."""
    if not training.is_dir():
        return
    for each in training.iterdir():
        with suppress(OSError):
            if each.name.startswith(_HIDDEN) and time.time() - each.stat().st_mtime > _HIDDEN_S:
                yield each
