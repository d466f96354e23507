"""``adapter install``. Owns the preview and the question asked; never checks or copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli.adapter.options import Model, Yes
from lora_chat.cli.adapter.places import base_if_here, declared_base, places

if TYPE_CHECKING:
    from lora_chat.adapters.install import Candidate
    from lora_chat.models.installed import InstalledBase


def install(
    source: Annotated[Path, typer.Argument(help="A folder that holds an adapter.")],
    name: Annotated[str, typer.Option("--name", help="Install it under this name.")] = "",
    model: Model = "",
    yes: Yes = False,
) -> None:
    """Check an adapter and copy it into the adapters folder."""
    from lora_chat.adapters import install as door
    from lora_chat.cli.console import answer, confirm, note

    paths, _ = places()
    candidate = door.inspect(source.expanduser(), name or None)
    base = base_if_here(paths, model, declared_base(candidate.files, candidate.manifest))
    if base is not None:
        candidate = door.inspect_against(candidate, base.signature)
    _preview(candidate, base)
    if not confirm("Install it?", yes=yes):
        note("Nothing was installed.")
        return
    done = door.install(candidate, paths)
    if done.already:
        answer(f"{done.adapter.name} is already installed, with the same bytes, in {done.adapter.path}")
    else:
        answer(f"{done.adapter.name} is installed in {done.adapter.path}")


def _preview(candidate: Candidate, base: InstalledBase | None) -> None:
    """What would be installed, on stderr: a person reads it before agreeing."""
    from lora_chat.cli.console import note
    from lora_chat.text import clean_line

    manifest, layout = candidate.manifest, candidate.files.layout
    note(f"Adapter   {manifest.name} {manifest.version}")
    note(f"Base      {manifest.base.model or 'not said'}")
    note(f"Rank      {layout.rank} on {', '.join(layout.targets)} ({len(layout.modules)} modules)")
    note(f"Size      {len(candidate.files.weights):,} bytes, {layout.parameters:,} parameters")
    note(f"sha256    {candidate.files.sha256}")
    note(f"Licence   {manifest.license or 'not said'}")
    if manifest.description:
        note(f"Says      {clean_line(manifest.description, 300)}")
    if candidate.ignored:
        note(f"Left out  {clean_line(', '.join(candidate.ignored), 300)}")
    note(f"Fit       {'fits ' + base.name if base else 'not checked: its base model is not on this machine'}")
    for warning in candidate.warnings:
        note(f"Note      {warning}")
