"""``adapter install``. Owns how it asks at a shell; never checks or copies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli.adapter.options import Model, Yes
from lora_chat.cli.adapter.places import base_if_here, declared_base, places
from lora_chat.cli.adapter.shell import Shell

if TYPE_CHECKING:
    from lora_chat.adapters.incoming.remote import Tell
    from lora_chat.adapters.install import Candidate
    from lora_chat.adapters.registry import Adapter
    from lora_chat.engine.protocol import Probe, Worn
    from lora_chat.paths import Paths
    from lora_chat.sitting.arrival import Against, Arrival

_NOTHING = "Nothing was installed."


def install(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A folder, a .zip, .tar, .tar.gz or .tar.xz, a trained job, or a hub id org/name."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Install it under this name.")] = "",
    model: Model = "",
    yes: Yes = False,
) -> None:
    """Check an adapter, show what it is and does, and copy it into the adapters folder."""
    from lora_chat.cli.console import answer, note
    from lora_chat.models.sources.staging import ends_cleanly
    from lora_chat.sitting.arrival import settle
    from lora_chat.training.carried import job_with_result

    paths, _ = places()
    folder = job_with_result(Path(source).expanduser())
    with ends_cleanly():
        if folder is not None:
            _take_back(folder, paths, name, model, yes=yes)
            return
        done = settle(_look(source, paths, model, name), paths, Shell(yes))
    if done is None:
        note(_NOTHING)
    elif done.already:
        answer(_already(done.adapter))
    else:
        answer(f"{done.adapter.name} is installed in {done.adapter.path}")


def _take_back(folder: Path, paths: Paths, name: str, model: str, *, yes: bool) -> None:
    """What was trained elsewhere, in the job ``folder``."""
    from lora_chat.cli.adapter.job_result import land_here, read_finished
    from lora_chat.cli.console import answer, note
    from lora_chat.cli.train import told
    from lora_chat.sitting.arrival import agreed
    from lora_chat.training.job import RESULT

    job = read_finished(folder, name)
    arrival = _look(str(folder / RESULT), paths, model, job.name)
    if arrival.there is not None:
        answer(_already(arrival.there.adapter))
    elif agreed(arrival, Shell(yes)):
        for line in told(land_here(folder, job, arrival, paths)):
            answer(line)
    else:
        note(_NOTHING)


def _look(source: str, paths: Paths, model: str, name: str) -> Arrival:
    from lora_chat.cli.console import progress_bar
    from lora_chat.sitting.arrival import look_at

    with progress_bar() as tell:
        return look_at(source, paths, partial(_against, paths, model, tell), tell, name or None)


def _already(adapter: Adapter) -> str:
    return f"{adapter.name} is already installed, with the same bytes, in {adapter.path}"


def _against(paths: Paths, model: str, tell: Tell, candidate: Candidate) -> Against | None:
    """The base it is for, if that is here, and a way to try it on."""
    from lora_chat.cli.adapter.checking import measured_effect
    from lora_chat.sitting.arrival import Against

    base = base_if_here(paths, model, declared_base(candidate.files, candidate.manifest))
    if base is None:
        return None

    def probe(worn: Worn) -> Probe:
        tell(f"Measuring what {worn.name} changes", 0, 0)
        return measured_effect(base, worn)

    return Against(base, probe)
