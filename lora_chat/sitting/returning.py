"""Trainings that were begun before this sitting. Owns what is said of them and what can be done; never trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lora_chat.text import clean_line
from lora_chat.training.shelf import Listed, list_jobs
from lora_chat.training.state import JobState, write_state


def what_came_of_them(training: Path) -> Iterator[str]:
    """A sentence for each that ended without a window, once, and for each that goes on or could."""
    yield from ended_alone(training)
    jobs = list_jobs(training)
    for job in jobs:
        if job.state.kind == "running":
            yield f"{job.name} is being trained without this window{at(job.state)}: /train status."
    if can_go_on := [job for job in jobs if job.can_go_on]:
        names = ", ".join(f"{job.name}{at(job.state)}" for job in can_go_on[-5:])
        are = "A training was stopped" if len(can_go_on) == 1 else "Trainings were stopped"
        yield f"{are}: {names}. /train resume goes on, /train cancel deletes what would have been learnt."


def ended_alone(training: Path) -> Iterator[str]:
    """A sentence for each that ended without a window, once."""
    for job in list_jobs(training):
        if job.state.alone and job.state.kind in ("finished", "failed"):
            yield _ended(job)
            with suppress(OSError):
                write_state(job.folder, replace(job.state, alone=False))


def goes_on_alone(training: Path) -> bool:
    """Whether one is trained without a window now."""
    return any(job.runs_alone for job in list_jobs(training))


def unfinished(training: Path) -> list[tuple[str, str]]:
    """Each job that is not over, for a table: (name, where it stands)."""
    jobs = list_jobs(training)
    return [(job.name, f"{job.state.kind}{at(job.state)}") for job in jobs if job.is_unfinished]


def at(state: JobState) -> str:
    """`` at step 12 of at most 48``; empty before the first."""
    return f" at step {state.step} of at most {state.steps}" if state.steps else ""


def _ended(job: Listed) -> str:
    if job.state.kind == "finished":
        name = job.state.adapter
        report = f"/report {name} {job.state.version}".rstrip()  # an older program kept no version
        if job.state.reason:
            why = clean_line(job.state.reason, 300)
            return f"The next version of {name}, trained while you were away, is kept and not worn: {why} See {report}."
        ready = f"{name} is ready, it was trained while you were away"
        if told := clean_line(job.state.told, 80):
            ready = f"{name} is ready, it was trained while you were away ({told})"
        return f"{ready}: /adapter use {name}, {report}"
    return f"The training of {job.name}, while you were away, failed: {clean_line(job.state.reason, 300)}"
