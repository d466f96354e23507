"""Trainings that were begun, in the shell. Owns following, stopping, listing and resuming them; never trains itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.training.events import Installed, Stopped, TrainingEvent
    from lora_chat.training.shelf import Listed


def manage(resume: str | None, discard: str | None, *, json: bool) -> None:
    """``--resume JOB``, ``--discard JOB``, else ``--jobs``.

    Raises:
        NotFoundError: there is no such job.
        RefusedError: it is finished, or another program runs it.
    """
    from lora_chat.cli.console import note, told_as_json
    from lora_chat.services import open_services
    from lora_chat.training.shelf import discard_job, find_job, list_jobs

    with told_as_json(json), open_services() as services:
        if resume is not None:
            _resume(services, find_job(services.paths.training, resume), json=json)
        elif discard is not None:
            job = find_job(services.paths.training, discard)
            discard_job(job)
            note(_deleted(job))
        else:
            _list(list_jobs(services.paths.training), json=json)


def _resume(services: Services, job: Listed, *, json: bool) -> None:
    from lora_chat.models.installed import find_base
    from lora_chat.training.job import read_job
    from lora_chat.training.jobs import check_resumable
    from lora_chat.training.shelf import check_room

    check_resumable(job.folder)
    base = find_base(services.paths.models, job.base)
    check_room(read_job(job.folder).recipe, base.signature, services.paths)
    follow(services, base, lambda: job.folder, job.name, json=json)


def _deleted(job: Listed) -> str:
    if job.state.kind == "finished":
        return f"The training {job.folder.name} and what it taught are deleted; the adapter {job.state.adapter} stays."
    return f"The training {job.folder.name} and what it would have learnt are deleted."


def _list(jobs: list[Listed], *, json: bool) -> None:
    from lora_chat.cli.console import answer_json, answer_table, note

    if json:
        answer_json({"jobs": [_facts(job) for job in jobs]})
        return
    answer_table(
        ["JOB", "ADAPTER", "STATE"], [[job.folder.name, job.state.adapter or job.name, in_words(job)] for job in jobs]
    )
    if any(job.can_go_on for job in jobs):
        note("Go on with one: lora-chat train --resume JOB. Delete one: lora-chat train --discard JOB.")


def in_words(job: Listed) -> str:
    """Where it stands: ``stopped at step 12 of at most 48``."""
    state = job.state
    at = (
        f" at step {state.step} of at most {state.steps}"
        if state.steps and state.kind in ("stopped", "running")
        else ""
    )
    why = f": {state.reason}" if state.reason else ""
    return f"{state.kind}{at}{why}"


def _facts(job: Listed) -> dict[str, Any]:
    state = job.state
    return {
        "job": job.folder.name,
        "name": job.name,
        "base": job.base,
        "state": state.kind,
        "step": state.step,
        "steps": state.steps,
        "since": state.since,
        "adapter": state.adapter or None,
        "reason": state.reason or None,
        "path": str(job.folder),
        "pid": int(state.by.partition(":")[0] or 0) or None if state.kind == "running" else None,
    }


def follow(
    services: Services,
    base: InstalledBase,
    make: Callable[[], Path],
    name: str,
    *,
    json: bool,
    more: Callable[[TrainingEvent], dict[str, Any]] = lambda event: {},
) -> Installed | None:
    """Run the job that ``make`` gives, once whatever it takes is loaded, and show it as it goes.

    ``more`` says what goes into an event's JSON line beside the event.

    Raises:
        Interrupted: a signal stopped it; it is kept.
        TrainingError: it failed.
    """
    from lora_chat.cli.console import answer, answer_json, progress_bar
    from lora_chat.cli.train import show_progress, told
    from lora_chat.engine.asking import answering
    from lora_chat.errors import Interrupted, TrainingError
    from lora_chat.training.events import Failed, Installed, Stopped, as_json
    from lora_chat.training.jobs import run_job

    installed = None
    with progress_bar() as progress, ExitStack() as stack:
        progress(f"Loading {base.name}", 0, 0)
        engine = services.own_engine_here(base)
        stop = stack.enter_context(stopped_by_signals())
        job = make()
        asked = answering(engine, threading.Event())
        run = run_job(job, engine.train, base.signature, services.paths, threading.Event(), stop=stop, answers=asked)
        for event in stack.enter_context(closing(run)):  # what cannot be printed must not cost what was learnt
            if isinstance(event, Failed):
                raise TrainingError(event.reason)
            if json:
                answer_json(as_json(event) | more(event) | ({"job": job.name} if isinstance(event, Stopped) else {}))
            else:
                show_progress(event, progress)
            if isinstance(event, Installed):
                installed = event
            if isinstance(event, Stopped):
                raise Interrupted(how_to_go_on(name, job, event))
    if not json and installed is not None:
        for line in told(installed):
            answer(line)
    return installed


def how_to_go_on(name: str, job: Path, event: Stopped) -> str:
    """In one sentence."""
    again = f"`lora-chat train --resume {job.name}`"
    if not event.step:
        return f"The training of {name} was stopped before its first step and is kept: {again} begins it again."
    return f"The training of {name} was stopped after {event.step} steps and is kept: {again} goes on from there."


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C, SIGTERM or SIGHUP sets; a second one interrupts at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, on_signal) for number in (getattr(signal, name) for name in names)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
