"""``lora-chat model``: the base models. Owns what is asked before a pull; never fetches or reads a model itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lora_chat.cli.console import Progress
    from lora_chat.models.catalog import CatalogEntry
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths
    from lora_chat.plugins.manager import Plugins
    from lora_chat.services import Services

app = typer.Typer(help="Base models: list, pull, choose and remove them.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, and ask nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the base models of this machine and of the catalog, what each needs, and which one to take."""
    from lora_chat.cli.bases import list_as_json, show_table
    from lora_chat.cli.console import answer_json, note
    from lora_chat.services import open_services
    from lora_chat.sitting.bases import list_choices

    with open_services() as services:
        choices = list_choices(services)
    if json:
        answer_json(list_as_json(choices) | {"problems": [asdict(problem) for problem in choices.problems]})
        return
    show_table(choices)
    for problem in choices.problems:
        note(problem.reason)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A base model's name.", autocompletion=names.known_bases)],
    json: Json = False,
) -> None:
    """Say what is known of one base model, and what it needs and gives on this machine."""
    from lora_chat.cli.bases import page_as_json, show_page
    from lora_chat.cli.console import answer_json
    from lora_chat.errors import NotFoundError
    from lora_chat.models.installed import find_base
    from lora_chat.plugins.model_sources import find_entry
    from lora_chat.services import open_services
    from lora_chat.sitting.bases import Room, describe

    with open_services() as services:
        try:
            choice = describe(services, find_base(services.paths.models, name), None)
        except NotFoundError:
            if _has_folder(services.paths, name):
                raise
            entry = find_entry(services.plugins, name, services.paths.config)
            choice = describe(services, _installed(services.paths, entry), entry)
    if json:
        answer_json(page_as_json(choice))
        return
    show_page(choice, Room.here(), name)


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            help="A catalog name, a hub id org/name or modelscope:org/name, a folder, a .gguf file, "
            "or a plugin's source:name.",
            autocompletion=names.to_pull,
        ),
    ],
    called: Annotated[str, typer.Option("--name", help="Keep it under this name.")] = "",
    json: JsonLines = False,
    yes: Yes = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also what this machine has no memory for.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch it even where it lies here already.")] = False,
) -> None:
    """Bring a base model onto this machine."""
    from lora_chat.cli.console import answer, answer_json, note, told_as_json
    from lora_chat.models.sources.staging import size

    if json:
        with told_as_json(json):
            there = _pull_named(name, called, yes=True, anyway=anyway, fetch=download, progress=_json_progress())
        assert there is not None
        answer_json({"event": "pulled", "name": there.name, "path": str(there.folder), "bytes": there.bytes})
        return
    there = _pull_named(name, called, yes=yes, anyway=anyway, fetch=download)
    if there is None:
        note("Nothing was pulled.")
        return
    answer(f"{there.name} is on this machine: {size(there.bytes)} in {there.folder}")


@app.command()
def use(name: Annotated[str, typer.Argument(help="A base model of this machine.", autocompletion=names.bases)]) -> None:
    """Make a base model the one that commands use when they name none."""
    from lora_chat.cli.console import answer
    from lora_chat.config import save_settings
    from lora_chat.models.installed import find_base

    paths, _ = _places()
    base = find_base(paths.models, name)
    save_settings(paths.config, model=base.name)
    answer(f"{base.name} is now the default base model.")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A base model of this machine.", autocompletion=names.bases)],
    yes: Yes = False,
) -> None:
    """Delete a base model from this machine; a folder used in place stays."""
    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.models.installed import find_base, remove_base

    paths, default = _places()
    # A broken one is removed by its folder's name.
    folder = paths.models / (name if _has_folder(paths, name) else find_base(paths.models, name).name)
    if not confirm(f"Remove the base model {folder.name} ({folder}) from this machine?", yes=yes, loses=True):
        note("Nothing was removed.")
        return
    kept, back = _used_in_place(paths, folder.name), _way_back(paths, folder.name)
    remove_base(paths.models, folder.name)
    stays = f" The files in {kept} stay." if kept is not None else ""
    answer(f"{folder.name} is removed{f'; `lora-chat model pull {back}` brings it back' if back else ''}.{stays}")
    if folder.name == default:
        note("It was the default: `lora-chat model use NAME` makes another one that.")


def base_to_answer(services: Services, model: str | None, held: str = "", *, yes: bool) -> InstalledBase | None:
    """The base that ``model`` names, else what a conversation was ``held`` with, else the settings'.

    None where an engine of a plugin answers, ``model`` names none and the settings' is not on this machine. Raises as
    ``ensure_base``.
    """
    if services.is_served and not model:
        return services.base_to_begin_with(None)
    if held and not model and _is_no_base(services, held):
        from lora_chat.cli.console import note
        from lora_chat.language import tr
        from lora_chat.text import clean_line

        default = clean_line(services.config.model, 60)
        note(tr(f"This was held with {clean_line(held, 60)}, which is not on this machine: {default} answers."))
        held = ""
    return ensure_base(services.paths, model or held or services.config.model, yes=yes)


def _is_no_base(services: Services, held: str) -> bool:
    """Whether ``held`` is not here and a server's model's name, rather than what could be pulled as it was."""
    from lora_chat.errors import NotFoundError
    from lora_chat.models.catalog import is_name
    from lora_chat.models.installed import find_base
    from lora_chat.plugins.model_sources import find_entry

    paths = services.paths
    if _has_folder(paths, held):
        return False
    try:
        find_base(paths.models, held)
    except NotFoundError:
        if not is_name(held):
            return True
        try:
            find_entry(services.plugins, held, paths.config)
        except NotFoundError:
            return True
    return False


def ensure_base(paths: Paths, name: str, *, yes: bool) -> InstalledBase:
    """Return the base model ``name``, pulling it first if the person (or ``yes``) agrees.

    Raises:
        NotFoundError: it is not on this machine and was declined, or nobody is at a terminal to ask.
        LoraChatError: as ``find_base`` and ``pull``.
    """
    from lora_chat.cli.console import confirm, is_interactive, note
    from lora_chat.errors import NotFoundError
    from lora_chat.models.installed import find_base
    from lora_chat.plugins.model_sources import find_entry
    from lora_chat.sitting.base_offer import question

    try:
        return find_base(paths.models, name)
    except NotFoundError as error:
        if _has_folder(paths, name):  # it is here, and the folder it points to is gone
            raise
        missing = error
    with _plugins(paths) as plugins:
        entry = find_entry(plugins, name, paths.config)
        there = _installed(paths, entry)
        if there is not None:
            return there
        doubts = _weigh(entry, paths, name, anyway=False)
        if not yes and not (is_interactive() and confirm(question(entry, doubts), yes=False)):
            raise missing from None
        if yes:
            for doubt in doubts:
                note(doubt)
        return _pull(entry, paths)


def _plugins(paths: Paths) -> AbstractContextManager[Plugins]:
    """Those that a base can come from; none in the safe mode."""
    import os
    from contextlib import closing

    from lora_chat.plugins.manager import Plugins
    from lora_chat.services import is_safe

    return closing(Plugins(paths, safe=is_safe(os.environ)))


def _places() -> tuple[Paths, str]:
    """Where things are, and the default base model's name."""
    import os

    from lora_chat.config import load_config
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    return paths, load_config(paths.config).model


def _has_folder(paths: Paths, name: str) -> bool:
    """Whether ``models/`` has a folder of this very name, whole or broken."""
    from lora_chat.models.catalog import is_name

    return is_name(name) and (paths.models / name).is_dir()


def _way_back(paths: Paths, name: str) -> str:
    """What ``model pull`` brings this base back by: its name in the catalog, or its page; empty without either."""
    from lora_chat.errors import LoraChatError
    from lora_chat.hub import is_hub_id
    from lora_chat.models.catalog import CATALOG
    from lora_chat.models.installed import find_base

    try:
        base = find_base(paths.models, name)
        lineage = base.signature.lineage
        if base.source.startswith("plugin:"):
            return f"{base.source.removeprefix('plugin:')}:{lineage}"
    except LoraChatError:
        lineage = ""
    if any(entry.name == name and lineage in ("", entry.lineage) for entry in CATALOG):
        return name
    return lineage if is_hub_id(lineage) else ""


def _used_in_place(paths: Paths, name: str) -> Path | None:
    """The folder outside ``models/`` that this base is loaded from; None where there is none, or it is broken."""
    from lora_chat.errors import LoraChatError
    from lora_chat.models.installed import find_base

    try:
        folder = find_base(paths.models, name).folder
    except LoraChatError:
        return None
    return None if folder == paths.models / name else folder


def _installed(paths: Paths, entry: CatalogEntry) -> InstalledBase | None:
    """The model that pulling ``entry`` would give, if it is there."""
    from lora_chat.models.installed import find_base

    if not (paths.models / entry.name).exists():
        return None
    there = find_base(paths.models, entry.name)
    return there if there.signature.lineage.casefold() == entry.lineage.casefold() else None


def _pull_named(
    name: str,
    called: str,
    *,
    yes: bool,
    anyway: bool,
    fetch: bool = False,
    progress: AbstractContextManager[Progress] | None = None,
) -> InstalledBase | None:
    """The base model ``name``, pulled unless it is there, as ``called``; None where the person declined.

    Where it lies in another program's folder it is taken from there, unless ``fetch``.
    """
    from lora_chat.cli.console import answer_json, confirm, note
    from lora_chat.models.catalog import renamed
    from lora_chat.plugins.model_sources import find_entry
    from lora_chat.sitting.base_offer import question

    paths, _ = _places()
    with _plugins(paths) as plugins:
        entry = renamed(find_entry(plugins, name, paths.config, around=not fetch), called or None)
        there = _installed(paths, entry)
        if there is not None:
            return there
        doubts = _weigh(entry, paths, name, anyway=anyway)
        if yes:  # there is no question that says them
            for doubt in doubts:
                note(doubt) if progress is None else answer_json({"event": "warning", "text": doubt})
        return _pull(entry, paths, progress) if confirm(question(entry, doubts), yes=yes) else None


def _pull(entry: CatalogEntry, paths: Paths, progress: AbstractContextManager[Progress] | None = None) -> InstalledBase:
    from lora_chat.cli.console import progress_bar
    from lora_chat.models.sources import pull as fetch

    with progress or progress_bar() as tell:
        return fetch(entry, paths, tell)


@contextmanager
def _json_progress() -> Iterator[Progress]:
    """Progress as JSON lines on stdout."""
    lines = _ProgressLines()
    try:
        yield lines
    finally:
        lines.tell_held()


class _ProgressLines:
    """At most some ten lines a second, and always the first and the last of each thing that is done."""

    _AT_LEAST_S = 0.1

    def __init__(self) -> None:
        self._what: str | None = None
        self._told_at = 0.0
        self._held: tuple[float, float] | None = None
        """The newest that was not told yet."""

    def __call__(self, what: str, done: float, total: float, figures: str = "") -> None:
        """See ``Progress``."""
        fresh = what != self._what
        if fresh:
            self.tell_held()
        self._what, self._held = what, (done, total)
        if fresh or time.monotonic() - self._told_at >= self._AT_LEAST_S:
            self.tell_held()

    def tell_held(self) -> None:
        """Print what was held back, if anything was."""
        from lora_chat.cli.console import answer_json

        if self._held is not None:
            done, total = self._held
            answer_json({"event": "progress", "what": self._what, "done": done, "total": total})
            self._held, self._told_at = None, time.monotonic()


def _weigh(entry: CatalogEntry, paths: Paths, wish: str, *, anyway: bool) -> list[str]:
    """See ``base_offer.weigh``."""
    from lora_chat.config import load_config
    from lora_chat.services import Services
    from lora_chat.sitting.base_offer import weigh

    return weigh(Services(paths, load_config(paths.config)), entry, wish, anyway=anyway)
