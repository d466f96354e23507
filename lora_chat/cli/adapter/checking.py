"""``adapter verify``: whether one is sound and fits. Owns the report; the checks are ``adapters/verify.py``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli import names
from lora_chat.cli.adapter.options import Json, Model
from lora_chat.cli.adapter.places import base_for, declared_base, folder_of, places

if TYPE_CHECKING:
    from pathlib import Path

    from lora_chat.engine.protocol import Probe, Worn
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths


def verify(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME-or-PATH", help="An adapter's name, a folder, or an archive.", autocompletion=names.adapters
        ),
    ],
    model: Model = "",
    json: Json = False,
) -> None:
    """Check whether an adapter is sound and fits its base, and measure what it changes."""
    from lora_chat.cli.console import answer, answer_json, note
    from lora_chat.engine.effects import told
    from lora_chat.errors import LoraChatError

    report: dict[str, Any] = {
        "ok": False, "reason": "", "warnings": [], "name": "", "modules_matched": 0, "modules_total": 0,
        "effect": None, "base": None, "ignored": [],
    }  # fmt: skip
    try:
        _verify(name, model, report)
    except LoraChatError as error:
        report["reason"] = str(error)
        if json:
            answer_json(report)
        raise
    if json:
        answer_json(report)
        return
    for warning in report["warnings"]:
        note(warning)
    answer(
        f"{report['name']} fits {report['base']}: {report['modules_matched']} of {report['modules_total']} modules, "
        f"and it {told(report['effect'])}."
    )


def _verify(name: str, model: str, report: dict[str, Any]) -> None:
    """Fill in ``report`` as far as the checks get; raise the first refusal."""
    from lora_chat.models.sources.staging import ends_cleanly

    paths, _ = places()
    with ends_cleanly(), folder_of(name, paths) as folder:
        _verify_folder(folder, model, report, paths)


def _verify_folder(folder: Path, model: str, report: dict[str, Any], paths: Paths) -> None:
    from lora_chat.adapters.verify import check_fit, check_hashes, read_manifest_of
    from lora_chat.adapters.weights import read_adapter
    from lora_chat.engine.effects import told
    from lora_chat.engine.protocol import Worn
    from lora_chat.errors import RefusedError
    from lora_chat.sitting.arrival import check_finite

    report["name"] = folder.resolve().name
    files, manifest = read_adapter(folder), read_manifest_of(folder)
    report |= {"warnings": list(files.warnings), "ignored": list(files.settings.ignored)}
    check_hashes(files, manifest)
    base = base_for(paths, model, declared_base(files, manifest))
    verdict = check_fit(files, base.signature, manifest)
    report |= {"base": base.name, "warnings": list(verdict.warnings)}
    report |= {"modules_matched": verdict.modules_matched, "modules_total": verdict.modules_total}
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    probe = measured_effect(base, Worn(report["name"], folder.resolve(), files.sha256))
    check_finite(report["name"], probe)
    report |= {"ok": True, "effect": probe.effect}
    if probe.effect == 0 and not files.changes_nothing:
        report["warnings"].append(f"It {told(0)}.")


def measured_effect(base: InstalledBase, worn: Worn) -> Probe:
    """One short forward with and without the adapter; this is what loads torch."""
    from contextlib import closing

    from lora_chat.engine.factory import open_local_for

    paths, _ = places()
    with closing(open_local_for(base, paths)) as engine:
        return engine.probe(worn)
