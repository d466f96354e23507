"""``adapter install``. Owns how it asks at a shell; never checks or copies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli.adapter.options import Model, Yes
from lora_chat.cli.adapter.places import base_if_here, declared_base, places
from lora_chat.cli.adapter.shell import Shell

if TYPE_CHECKING:
    from lora_chat.adapters.incoming.remote import Tell
    from lora_chat.adapters.install import Candidate
    from lora_chat.engine.protocol import Probe, Worn
    from lora_chat.paths import Paths
    from lora_chat.sitting.arrival import Against


def install(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder, a .zip, .tar, .tar.gz or .tar.xz, or a hub id org/name.")
    ],
    name: Annotated[str, typer.Option("--name", help="Install it under this name.")] = "",
    model: Model = "",
    yes: Yes = False,
) -> None:
    """Check an adapter, show what it is and does, and copy it into the adapters folder."""
    from lora_chat.cli.console import answer, note, progress_bar
    from lora_chat.models.sources.staging import ends_cleanly
    from lora_chat.sitting.arrival import look_at, settle

    paths, _ = places()
    with ends_cleanly():
        with progress_bar() as tell:
            choose = partial(_against, paths, model, tell)
            arrival = look_at(source, paths, choose, tell, name or None)
        done = settle(arrival, paths, Shell(yes))
    if done is None:
        note("Nothing was installed.")
    elif done.already:
        answer(f"{done.adapter.name} is already installed, with the same bytes, in {done.adapter.path}")
    else:
        answer(f"{done.adapter.name} is installed in {done.adapter.path}")


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
