"""What the shell completes a half-written name to. Owns looking it up; never says why it found nothing.

A shell asks while somebody types: a refusal would land in the middle of the line, so what cannot be read has no names.
Each function takes what was typed and returns (name, what it is); typer leaves out what begins otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lora_chat.errors import LoraChatError

if TYPE_CHECKING:
    from lora_chat.paths import Paths

Found = list[tuple[str, str]]
_MOST = 200
"""Conversations that are offered, the newest first."""


def _beginning_so(look: Callable[[Paths], Iterator[tuple[str, str]]]) -> Callable[[str], Found]:
    def complete(incomplete: str) -> Found:
        from lora_chat.paths import find_paths
        from lora_chat.text import clean_line

        try:
            found = list(look(find_paths(os.environ)))
        except (LoraChatError, OSError):
            return []
        return [(name, clean_line(what, 100)) for name, what in found if name.startswith(incomplete)]

    complete.__doc__ = look.__doc__  # no more: typer reads a wrapped function's signature
    return complete


@_beginning_so
def adapters(paths: Paths) -> Iterator[tuple[str, str]]:
    """Those that are installed, and those that ship."""
    from lora_chat.adapters.index import Index

    for each in Index(paths).catalog().adapters:
        yield each.name, each.description


@_beginning_so
def bases(paths: Paths) -> Iterator[tuple[str, str]]:
    """The base models of this machine."""
    yield from _here(paths)


@_beginning_so
def known_bases(paths: Paths) -> Iterator[tuple[str, str]]:
    """Those of this machine and those that could come."""
    yield from _here(paths)
    yield from _elsewhere(paths)


@_beginning_so
def to_pull(paths: Paths) -> Iterator[tuple[str, str]]:
    """The base models that could come."""
    yield from _elsewhere(paths)


@_beginning_so
def presets(paths: Paths) -> Iterator[tuple[str, str]]:
    """Those that are kept."""
    from lora_chat.chat.preset import preset_names

    for name in preset_names(paths):
        yield name, ""


@_beginning_so
def plugins(paths: Paths) -> Iterator[tuple[str, str]]:
    """Those that are here, on or off."""
    from lora_chat.plugins.finding import find_plugins

    for each in find_plugins(paths).plugins:
        yield each.name, each.manifest.description


@_beginning_so
def conversations(paths: Paths) -> Iterator[tuple[str, str]]:
    """Their ids, each with its title, the newest first."""
    from lora_chat.chat.store import Store

    if paths.database.exists():  # looking makes none
        with Store.open(paths.database) as store:
            for each in store.conversations(_MOST):
                yield each.id, each.title


def _here(paths: Paths) -> Iterator[tuple[str, str]]:
    from lora_chat.models.installed import list_bases

    for base in list_bases(paths.models)[0]:
        yield base.name, base.signature.lineage


def _elsewhere(paths: Paths) -> Iterator[tuple[str, str]]:
    """What the catalog and the settings name; what other programs have is not looked for at every key."""
    from lora_chat.models.catalog import CATALOG
    from lora_chat.models.own import read_own

    for entry in (*CATALOG, *read_own(paths.config).entries):
        if not (paths.models / entry.name).is_dir():
            yield entry.name, entry.description
