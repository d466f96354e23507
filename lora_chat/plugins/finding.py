"""Which plugins there are. Owns looking for them: the person's folder, the shipped ones, installed packages; runs none.

A folder that cannot be used is a ``Problem`` with its reason and hides nobody.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_chat.adapters.reading import quoted, refusal, shown
from lora_chat.adapters.registry import Problem
from lora_chat.errors import LoraChatError
from lora_chat.paths import Paths
from lora_chat.plugins.content import Content, read_content
from lora_chat.plugins.manifest import Manifest, is_name, read_manifest
from lora_chat.text import clean_line

Origin = Literal["user", "bundled", "package"]
GROUP = "lora_chat.plugins"
"""The entry points of a package that are plugins; each names a module."""


@dataclass(frozen=True)
class Plugin:
    """One plugin that could be enabled."""

    manifest: Manifest
    origin: Origin
    root: Path
    """The folder, or of a package the one file, that is hashed and run."""
    module: str
    """A file of the folder, or of a package the module's full name."""
    content: Content

    @property
    def name(self) -> str:
        """Its folder's, or its entry point's."""
        return self.manifest.name

    @property
    def place(self) -> str:
        """Where it comes from, for people."""
        return {"user": "", "bundled": "shipped with lora-chat: ", "package": "an installed package: "}[
            self.origin
        ] + str(self.root)


@dataclass(frozen=True)
class Found:
    """The usable and the broken."""

    plugins: tuple[Plugin, ...]
    """By name."""
    problems: tuple[Problem, ...] = ()


def find_plugins(paths: Paths) -> Found:
    """Look through the person's folder, then the shipped one, then the installed packages."""
    found: dict[str, Plugin] = {}
    problems: list[Problem] = []
    for each in (*_in_folder(paths.plugins, "user"), *_in_folder(paths.bundled_plugins, "bundled"), *_in_packages()):
        if isinstance(each, Problem):
            problems.append(each)
        elif (first := found.setdefault(each.name, each)) is not each:
            problems.append(_twice(each, first))
    return Found(tuple(found[name] for name in sorted(found)), tuple(problems))


def _twice(plugin: Plugin, first: Plugin) -> Problem:
    why = f"another plugin in {shown(str(first.root), 160)} is called {plugin.name} too; rename or remove one"
    return Problem(plugin.root, str(refusal(plugin.root, why)))


def _in_folder(root: Path, origin: Origin) -> Iterator[Plugin | Problem]:
    for name in _folders(root):
        folder = root / name
        try:
            if folder.is_symlink():
                raise refusal(folder, "it is a link; copy the folder itself into its place")
            manifest = read_manifest(folder)
            if not (folder / manifest.module).is_file():
                raise refusal(folder, f"it has no {manifest.module}, where its hooks should be; add it")
            yield Plugin(manifest, origin, folder, manifest.module, read_content(folder))
        except LoraChatError as error:
            yield Problem(folder, str(error))


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            # A plain file (README) is no plugin, and hidden is what the program keeps there itself.
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def _in_packages() -> Iterator[Plugin | Problem]:
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            yield _packaged(point)
        except LoraChatError as error:
            yield Problem(Path(clean_line(point.name, 40) or "?"), str(error))


def _packaged(point: importlib.metadata.EntryPoint) -> Plugin:
    """What an entry point leads to, which is not imported: the top of the package alone is looked up."""
    where = f"the entry point {quoted(point.name)} of {GROUP}"
    try:
        spec = importlib.util.find_spec(point.module.partition(".")[0])
    except (ImportError, ValueError, AttributeError) as error:
        raise refusal(where, f"{quoted(point.value)} is not found ({shown(str(error))}); install it again") from error
    there = spec is not None and spec.origin is not None and Path(spec.origin).is_file()
    if not there or point.attr or not is_name(point.name):
        raise refusal(where, f"it must be a name of a-z, 0-9 and - that leads to a module, and {quoted(point.value)} "
                             "is none that is installed; install that package again, or uninstall it")  # fmt: skip
    assert spec is not None
    assert spec.origin is not None
    origin = Path(spec.origin)
    root = origin.parent if spec.submodule_search_locations is not None else origin
    return Plugin(_said(point), "package", root, point.module, read_content(root))


def _said(point: importlib.metadata.EntryPoint) -> Manifest:
    """What the package says of itself."""
    if point.dist is None:
        return Manifest(point.name, module=point.module)
    said = point.dist.metadata

    def line(*keys: str) -> str:
        return next((clean_line(said[key], 200) for key in keys if key in said), "")

    authors = tuple(filter(None, [line("Author", "Author-email")]))
    licence = line("License-Expression", "License")
    return Manifest(point.name, clean_line(point.dist.version, 40), line("Summary"), licence, authors, point.module)
