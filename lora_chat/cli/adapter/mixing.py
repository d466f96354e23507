"""``adapter mix``: several adapters saved as one. Owns what is asked and said; the sum is ``adapters/mixture.py``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli.adapter.options import Model, Yes
from lora_chat.cli.adapter.places import base_if_here, declared_base, places

if TYPE_CHECKING:
    from lora_chat.adapters.install import Candidate
    from lora_chat.adapters.mixture import Share
    from lora_chat.paths import Paths


def mix(
    shares: Annotated[list[str], typer.Argument(metavar="A=0.7 B=0.3", help="Adapters, each with its share.")],
    name: Annotated[str, typer.Option("--name", help="What the mixture is called.")],
    model: Model = "",
    yes: Yes = False,
) -> None:
    """Save the weighted sum of adapters as one; `/adapter mix` in the chat wears it without saving."""
    from lora_chat.adapters.install import inspect_against, install
    from lora_chat.adapters.mixture import read_shares
    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.models.sources.staging import ends_cleanly

    paths, _ = places()
    candidate = _mixed(read_shares(" ".join(shares)), name, paths)
    base = base_if_here(paths, model, declared_base(candidate.files, candidate.manifest))
    if base is not None:
        candidate = inspect_against(candidate, base.signature)
    for line in _told(candidate):
        note(line)
    if not confirm(f"Save it as {candidate.manifest.name}?", yes=yes):
        note("Nothing was saved.")
        return
    with ends_cleanly():
        done = install(candidate, paths)
    how = "is already there, with the same bytes, in" if done.already else "is saved in"
    answer(f"{done.adapter.name} {how} {done.adapter.path}")


def _mixed(shares: tuple[Share, ...], name: str, paths: Paths) -> Candidate:
    from lora_chat.adapters.install import prepared
    from lora_chat.adapters.mixture import described, mixed
    from lora_chat.adapters.registry import discover
    from lora_chat.adapters.verify import check_hashes
    from lora_chat.adapters.weights import read_adapter

    catalog = discover(paths)
    adapters = [catalog.get(share.name) for share in shares]
    parts = [read_adapter(adapter.path) for adapter in adapters]
    for adapter, files in zip(adapters, parts, strict=True):
        check_hashes(files, adapter.manifest)
    said = [(adapter.manifest, adapter.sha256) for adapter in adapters]
    manifest = described([(*each, share) for each, share in zip(said, shares, strict=True)])
    weighted = [(files, share.weight) for files, share in zip(parts, shares, strict=True)]
    return prepared(mixed(weighted, name), manifest, name)


def _told(candidate: Candidate) -> list[str]:
    """What would be saved."""
    manifest, layout = candidate.manifest, candidate.files.layout
    return [
        f"Adapter   {manifest.name}",
        f"Is        {manifest.description}",
        f"Rank      {layout.rank} on {', '.join(layout.targets)} ({len(layout.modules)} modules)",
        f"Size      {len(candidate.files.weights):,} bytes, {layout.parameters:,} parameters",
        f"Licence   {manifest.license or 'not said'}",
        *(f"Note      {warning}" for warning in candidate.warnings),
        *(["Note      It is private, as one of its parts is."] if manifest.private else []),
    ]
