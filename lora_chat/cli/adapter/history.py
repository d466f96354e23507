"""``adapter history`` and ``adapter rollback``. Owns the table and the question; never moves a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli.adapter.options import Json, Name, Yes
from lora_chat.cli.adapter.places import places

if TYPE_CHECKING:
    from lora_chat.adapters.versions import Version
    from lora_chat.paths import Paths


def history(name: Name, json: Json = False) -> None:
    """List the versions of an adapter, the worn one and those that are kept."""
    from lora_chat.adapters.versions import versions
    from lora_chat.cli.console import answer_json, answer_table

    paths, _ = places()
    found = versions(name, paths)
    if json:
        answer_json({"name": name, "versions": [_row(version, paths) for version in found]})
        return
    head = ["NUMBER", "WORN", "TRAINED", "CHECKS", "SIZE", "SHA256"]
    answer_table(head, [_cells(version, paths) for version in found])


def rollback(
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="This version, also a later one.")] = "",
    yes: Yes = False,
) -> None:
    """Wear an earlier version of an adapter, by default the one before; the one worn now is kept."""
    from lora_chat.adapters.versions import make_current, previous, versions
    from lora_chat.cli.console import answer, confirm, note

    paths, _ = places()
    number = to or previous(name, paths).number
    found = versions(name, paths)
    worn = next((each.number for each in found if each.current), "")
    known = any(each.number == number and not each.current for each in found)
    if known and not confirm(
        f"Wear {name} {number} in place of {worn}?" if worn else f"Wear version {number} of {name}?", yes=yes
    ):
        note("Nothing was changed.")
        return
    now = make_current(name, number, paths)
    if now.number == worn:
        answer(f"{name} {worn} is worn already.")
        return
    answer(f"{name} {now.number} is worn now.")
    if worn:
        note(f"{worn} is kept: `lora-chat adapter rollback {name} --to {worn}` wears it again.")


def _row(version: Version, paths: Paths) -> dict[str, Any]:
    from lora_chat.sitting.history import checks_of

    checks, adapter = checks_of(version, paths), version.adapter
    return {
        "version": version.number,
        "current": version.current,
        "path": str(version.path),
        "sha256": adapter.sha256,
        "bytes": adapter.bytes,
        "rank": adapter.rank,
        "checks": {"hold": checks[0], "of": checks[1]} if checks else None,
        "training": dict(adapter.manifest.training),
    }


def _cells(version: Version, paths: Paths) -> list[str]:
    from lora_chat.sitting.history import checks_told, training_told

    adapter = version.adapter
    return [
        version.number,
        "*" if version.current else "",
        training_told(version),
        checks_told(version, paths),
        f"{adapter.bytes / 1e6:.1f} MB",
        adapter.sha256[:12],
    ]
