"""A plugin's code, imported. Owns how, and asking the hooks what they have; only ever runs in a plugin's own process.

Nothing compiled earlier is believed: a ``.pyc`` is not among what was hashed, so the source is compiled anew.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from lora_chat.plugins.command_api import CommandRegistrar
from lora_chat.plugins.offers import Offer, Offers
from lora_chat.plugins.registrars import (
    EngineRegistrar,
    ExampleFilterRegistrar,
    ExporterRegistrar,
    ImporterRegistrar,
    ModelSourceRegistrar,
)


@dataclass
class Registered:
    """All that one plugin has."""

    importers: ImporterRegistrar = field(default_factory=ImporterRegistrar)
    exporters: ExporterRegistrar = field(default_factory=ExporterRegistrar)
    engines: EngineRegistrar = field(default_factory=EngineRegistrar)
    commands: CommandRegistrar = field(default_factory=CommandRegistrar)
    example_filters: ExampleFilterRegistrar = field(default_factory=ExampleFilterRegistrar)
    model_sources: ModelSourceRegistrar = field(default_factory=ModelSourceRegistrar)

    def offers(self) -> Offers:
        """Their names and words."""
        importers = (Offer(each.name, each.help, suffixes=each.suffixes) for each in self.importers.added.values())
        exporters = (Offer(each.name, each.help, suffix=each.suffix) for each in self.exporters.added.values())
        engines = (Offer(each.name, each.help, table=each.table) for each in self.engines.added.values())
        commands = (Offer(each.name, each.help, arguments=each.arguments) for each in self.commands.added.values())
        filters = (Offer(each.name, each.help) for each in self.example_filters.added.values())
        sources = (Offer(each.name, each.help) for each in self.model_sources.added.values())
        return Offers(*map(tuple, (importers, exporters, engines, commands, filters, sources)))


def load(name: str, root: Path, module: str) -> Registered:
    """Import the plugin and ask its hooks. Raises whatever it raises."""
    import pluggy

    from lora_chat.plugins import hookspecs

    sys.dont_write_bytecode = True
    plugins = pluggy.PluginManager(hookspecs.PROJECT)
    plugins.add_hookspecs(hookspecs)
    plugins.register(_import(name, root, module), name)
    plugins.check_pending()  # a function marked as a hook that there is none of
    registered = Registered()
    for hook, registrar in vars(registered).items():
        getattr(plugins.hook, f"lora_chat_{hook}")(registrar=registrar)
    return registered


def _import(name: str, root: Path, module: str) -> ModuleType:
    if not module.endswith(".py"):  # a package's: Python's own way, but for what pip compiled
        sys.pycache_prefix = os.devnull
        return importlib.import_module(module)
    sys.path_hooks.insert(0, _OnlyBelow(root))
    sys.path_importer_cache.clear()
    full = "lora_chat_plugin_" + name.replace("-", "_")
    loader = _FromSource(full, str(root / module))
    below = [str(root)]  # ``from . import other`` finds its other files
    spec = spec_from_file_location(full, root / module, loader=loader, submodule_search_locations=below)
    assert isinstance(spec, ModuleSpec)
    loaded = sys.modules[full] = module_from_spec(spec)
    loader.exec_module(loaded)
    return loaded


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _OnlyBelow:
    """A path hook."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, path: str) -> FileFinder:
        if not Path(path).is_relative_to(self._root):
            raise ImportError(path)
        kinds: Sequence[tuple[type, list[str]]] = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, [".py"]))
        return FileFinder(path, *kinds)
