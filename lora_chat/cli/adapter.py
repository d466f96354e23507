"""``lora-chat adapter``: what can be worn. Owns the preview and the questions asked; never checks or copies itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lora_chat.adapters.install import Candidate
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.registry import Adapter
    from lora_chat.adapters.weights import AdapterFiles
    from lora_chat.engine.protocol import Probe, Worn
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths

app = typer.Typer(help="Adapters: list, inspect, check, install and remove them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="An adapter's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Check against this base model.")]


@app.command("list")
def list_adapters(json: Json = False) -> None:
    """List the adapters that can be worn, and the folders that cannot."""
    from lora_chat.adapters.registry import discover
    from lora_chat.cli.console import answer_json, answer_table, note

    catalog = discover(_places()[0])
    if json:
        problems = [{"path": str(problem.path), "reason": problem.reason} for problem in catalog.problems]
        answer_json({"adapters": [_row(adapter) for adapter in catalog.adapters], "problems": problems})
        return
    answer_table(
        ["NAME", "VERSION", "RANK", "SIZE", "FROM", "DESCRIPTION"], [_cells(each) for each in catalog.adapters]
    )
    for problem in catalog.problems:
        note(problem.reason)


@app.command()
def info(name: Name, json: Json = False) -> None:
    """Say what is known of one adapter."""
    from lora_chat.adapters.registry import discover
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.text import clean_line

    facts = _facts(discover(_places()[0]).get(name))
    if json:
        answer_json(facts)
        return
    for key, value in facts.items():
        if value not in (None, "", [], {}):
            answer(f"{key.replace('_', ' ')}: {clean_line(_plain(value))}")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME-or-PATH", help="An adapter's name, or a folder.")],
    model: Model = "",
    json: Json = False,
) -> None:
    """Check whether an adapter is sound and fits its base, and measure what it changes."""
    from lora_chat.cli.console import answer, answer_json, note
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
        f"and it changes the logits of a probe by up to {report['effect']:.3g}."
    )


@app.command()
def install(
    source: Annotated[Path, typer.Argument(help="A folder that holds an adapter.")],
    name: Annotated[str, typer.Option("--name", help="Install it under this name.")] = "",
    model: Model = "",
    yes: Yes = False,
) -> None:
    """Check an adapter and copy it into the adapters folder."""
    from lora_chat.adapters import install as door
    from lora_chat.cli.console import answer, confirm, note

    paths, _ = _places()
    candidate = door.inspect(source.expanduser(), name or None)
    base = _base_if_here(paths, model, _declared(candidate.files, candidate.manifest))
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


@app.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Delete an adapter that you installed."""
    from lora_chat.adapters import install as door
    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.text import clean_line

    paths, _ = _places()
    door.check_removable(name, paths)
    if not confirm(f"Remove the adapter {clean_line(name, 80)} from {paths.adapters}?", yes=yes, loses=True):
        note("Nothing was removed.")
        return
    door.remove(name, paths)
    answer(f"{clean_line(name, 80)} is removed.")


def _verify(name: str, model: str, report: dict[str, Any]) -> None:
    """Fill in ``report`` as far as the checks get; raise the first refusal."""
    from lora_chat.adapters.verify import check_fit, check_hashes, read_manifest_of
    from lora_chat.adapters.weights import read_adapter
    from lora_chat.engine.protocol import Worn
    from lora_chat.errors import RefusedError

    paths, _ = _places()
    folder = _folder(name, paths)
    report["name"] = folder.resolve().name
    files, manifest = read_adapter(folder), read_manifest_of(folder)
    report |= {"warnings": list(files.warnings), "ignored": list(files.settings.ignored)}
    check_hashes(files, manifest)
    base = _base_for(paths, model, _declared(files, manifest))
    verdict = check_fit(files, base.signature, manifest)
    report |= {"base": base.name, "warnings": list(verdict.warnings)}
    report |= {"modules_matched": verdict.modules_matched, "modules_total": verdict.modules_total}
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    probe = _measured_effect(base, Worn(report["name"], folder.resolve(), files.sha256))
    if not probe.finite:
        raise RefusedError(f'The adapter "{report["name"]}" is refused: worn, it makes logits that are not finite.')
    report |= {"ok": True, "effect": probe.effect}
    if probe.effect == 0 and not files.changes_nothing:
        report["warnings"].append("It changes nothing on the probe.")


def _measured_effect(base: InstalledBase, worn: Worn) -> Probe:
    """One short forward with and without the adapter; this is what loads torch."""
    from contextlib import closing

    from lora_chat.engine.factory import open_local_for

    paths, _ = _places()
    with closing(open_local_for(base, paths)) as engine:
        return engine.probe(worn)


def _folder(name: str, paths: Paths) -> Path:
    """The folder of an adapter's name, broken or not, else of a path; names come first, ``./x`` is always a path."""
    from lora_chat.adapters.registry import discover
    from lora_chat.errors import NotFoundError

    for root in (paths.adapters, paths.bundled_adapters):
        if Path(name).name == name and not name.startswith(".") and (root / name).is_dir():
            return root / name
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.name == name:
        discover(paths).get(name)  # raises, naming what is near
    raise NotFoundError(f"There is no adapter folder {_shown(name)}: check the path.")


def _base_for(paths: Paths, model: str, declared: str) -> InstalledBase:
    """The base named by ``--model``, else the one the adapter declares if it is here, else the configured one."""
    from lora_chat.errors import NotFoundError
    from lora_chat.models.installed import find_base

    if declared and not model:
        try:
            return find_base(paths.models, declared)
        except NotFoundError:
            pass
    return find_base(paths.models, model or _places()[1])


def _base_if_here(paths: Paths, model: str, declared: str) -> InstalledBase | None:
    from lora_chat.errors import NotFoundError

    try:
        return _base_for(paths, model, declared)
    except NotFoundError:
        if model:
            raise
        return None


def _declared(files: AdapterFiles, manifest: Manifest | None) -> str:
    return (manifest.base.model if manifest else "") or files.settings.base_model


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


def _row(adapter: Adapter) -> dict[str, Any]:
    return {
        "name": adapter.name,
        "version": adapter.version,
        "description": adapter.description,
        "base_model": adapter.base_model,
        "rank": adapter.rank,
        "parameters": adapter.parameters,
        "bytes": adapter.bytes,
        "sha256": adapter.sha256,
        "origin": adapter.origin,
        "path": str(adapter.path),
    }


def _cells(adapter: Adapter) -> list[str]:
    size = f"{adapter.bytes / 1e6:.1f} MB"
    return [adapter.name, adapter.version, str(adapter.rank), size, adapter.origin, adapter.description]


def _facts(adapter: Adapter) -> dict[str, Any]:
    manifest = adapter.manifest
    return _row(adapter) | {
        "license": manifest.license,
        "authors": list(manifest.authors),
        "private": manifest.private,
        "targets": list(adapter.targets),
        "system_prompt": adapter.system_prompt,
        "temperature": adapter.temperature,
        "starters": list(adapter.starters),
        "training": dict(manifest.training),
        "evaluation": dict(manifest.evaluation),
    }


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return " · ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(text: str) -> str:
    from lora_chat.adapters.reading import shown

    return shown(text, 200)


def _places() -> tuple[Paths, str]:
    """Where things are, and the configured base model's name."""
    import os

    from lora_chat.config import load_config
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    return paths, load_config(paths.config).model
