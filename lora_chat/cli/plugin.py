"""``lora-chat plugin``: code of others that joins in. Owns how it is shown and agreed to; never runs any itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.plugins.manager import Listed

app = typer.Typer(
    help="Plugins: formats, engines, commands, filters and model sources of others; list, enable and disable them.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="A plugin's name.", autocompletion=names.plugins)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_all(json: Json = False) -> None:
    """List the plugins, how each stands, and the folders that cannot be used; runs none."""
    from lora_chat.cli.console import answer_json, answer_table, note
    from lora_chat.services import open_services

    with open_services() as services:
        shelf = services.plugins.shelf()
        place = services.paths.plugins
    if json:
        broken, gone = ([{"path": str(each.path), "reason": each.reason} for each in some]
                        for some in (shelf.problems, shelf.gone))  # fmt: skip
        answer_json({"plugins": [_plain(each) for each in shelf.plugins], "problems": broken, "gone": gone})
        return
    head = ["NAME", "STATE", "VERSION", "DESCRIPTION"]
    rows = [[each.name, _state(each), each.plugin.manifest.version, each.plugin.manifest.description]
            for each in shelf.plugins]  # fmt: skip
    answer_table(head, rows, cut=(3, 1))
    for problem in (*shelf.problems, *shelf.gone):
        note(problem.reason)
    if not shelf.plugins:
        note(f"No plugins: put one into {place}.")


@app.command()
def info(name: Name, json: Json = False) -> None:
    """Show what is known of a plugin without running it."""
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.plugins.manager import facts
    from lora_chat.services import open_services

    with open_services() as services:
        listed = services.plugins.get(name)
    if json:
        answer_json(_plain(listed))
        return
    answer(f"{listed.name} {listed.plugin.manifest.version}".rstrip())
    _show(facts(listed))


@app.command()
def enable(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Run a plugin from now on, as it is now, once you have seen what it is and agree."""
    from lora_chat.cli.console import answer, answer_json, note
    from lora_chat.services import open_services
    from lora_chat.sitting import plugins

    with open_services() as services:
        listed = plugins.enable(services.plugins, name, _Asker(yes=yes))
        if listed is None:
            note(f"{name} stays off.")
        elif json:
            answer_json(_plain(listed))
        else:
            answer(plugins.enabled(listed))


@app.command()
def disable(name: Name, json: Json = False) -> None:
    """Run a plugin no more."""
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.services import open_services

    with open_services() as services:
        listed = services.plugins.disable(name)
    if json:
        answer_json(_plain(listed) if listed is not None else {"name": name, "state": "off"})
        return
    answer(f"{name} is off.")


class _Asker:
    """At a prompt; what it is about goes to stderr."""

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    def confirm(self, question: str, *, loses: bool = False, about: Sequence[tuple[str, str]] = ()) -> bool:
        from rich.cells import cell_len

        from lora_chat.cli.console import confirm, note
        from lora_chat.language import tr
        from lora_chat.language.facts import tr_fact

        told = [tr_fact(name, fact) for name, fact in about]
        width = max((cell_len(name) for name, _ in told), default=0)
        for name, fact in told:
            note(f"  {name}{' ' * (width - cell_len(name))}  {fact}")
        if self._yes:
            note(tr(question.partition(" Enable ")[0]))
        return confirm(question, yes=self._yes, loses=loses)


def _state(listed: Listed) -> str:
    return f"{listed.state}: {listed.why}" if listed.why else listed.state


def _show(rows: Sequence[tuple[str, str]]) -> None:
    from lora_chat.cli.console import answer

    width = max(len(name) for name, _ in rows)
    for name, fact in rows:
        answer(f"  {name:{width}}  {fact}")


def _plain(listed: Listed) -> dict[str, Any]:
    plugin = listed.plugin
    return {
        "name": listed.name,
        "version": plugin.manifest.version,
        "description": plugin.manifest.description,
        "authors": list(plugin.manifest.authors),
        "license": plugin.manifest.license,
        "origin": plugin.origin,
        "path": str(plugin.root),
        "sha256": plugin.content.sha256,
        "files": plugin.content.files,
        "lines": plugin.content.lines,
        "hooks": list(plugin.content.hooks),
        "state": listed.state,
        "why": listed.why,
        "offers": asdict(listed.offers),
    }
