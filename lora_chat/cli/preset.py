"""``lora-chat preset``: beginnings that conversations can share. Owns how they are shown; never writes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.chat.preset import Preset
    from lora_chat.paths import Paths

app = typer.Typer(help="Presets: system prompts with examples; list, show and remove them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A preset's name.", autocompletion=names.presets)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_all(json: Json = False) -> None:
    """List the presets that a conversation can begin with, and the files that cannot be used."""
    from lora_chat.chat.preset import list_presets
    from lora_chat.cli.console import answer_json, answer_table, note

    found, problems = list_presets(_paths())
    if json:
        broken = [{"path": str(problem.path), "reason": problem.reason} for problem in problems]
        answer_json({"presets": [_row(preset) for preset in found], "problems": broken})
        return
    rows = [[each.name, f"{len(each.examples):,}", "yes" if each.system else "-", each.description] for each in found]
    answer_table(["NAME", "EXAMPLES", "SYSTEM", "DESCRIPTION"], rows)
    for problem in problems:
        note(problem.reason)


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Print one preset: its system prompt and all of its examples."""
    from lora_chat.chat.preset import read_preset
    from lora_chat.cli.console import answer, answer_json

    preset = read_preset(name, _paths())
    if json:
        answer_json(_row(preset) | {"system": preset.system, "examples": _examples(preset)})
        return
    answer(f"{preset.name}  {preset.description}".rstrip())
    if preset.system:
        answer(f"\nsystem\n{preset.system}")
    for number, (question, reply) in enumerate(preset.examples, 1):
        answer(f"\n[{number}] question\n{question}\n\n[{number}] answer\n{reply}")


@app.command()
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete a preset; conversations that began with it keep their copy."""
    from lora_chat.chat.preset import preset_file, remove_preset
    from lora_chat.cli.console import answer, confirm, note

    paths = _paths()
    path = preset_file(name, paths)
    if not confirm(f"Delete the preset {name} ({path})?", yes=yes, loses=True):
        note("Nothing was deleted.")
        return
    remove_preset(name, paths)
    answer(f"{name} is deleted; conversations that began with it keep what it held.")


def _row(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "description": preset.description,
        "has_system": bool(preset.system),
        "example_count": len(preset.examples),
        "path": str(_paths().presets / f"{preset.name}.toml"),
    }


def _examples(preset: Preset) -> list[dict[str, str]]:
    return [{"question": question, "answer": reply} for question, reply in preset.examples]


def _paths() -> Paths:
    import os

    from lora_chat.paths import find_paths

    return find_paths(os.environ)
