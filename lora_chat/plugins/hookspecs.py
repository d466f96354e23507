"""The hooks. Owns their names and what each is given; imported by plugins and their process alone, never at start.

A plugin is a module with any of these functions, marked with ``hookimpl``. Each is called once, when the plugin's
process begins, with a registrar that takes what the plugin has; what was registered is called later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lora_chat.plugins.command_api import CommandRegistrar
    from lora_chat.plugins.registrars import (
        EngineRegistrar,
        ExampleFilterRegistrar,
        ExporterRegistrar,
        ImporterRegistrar,
        ModelSourceRegistrar,
    )

PROJECT = "lora_chat"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as one of the hooks below."""


@hookspec
def lora_chat_importers(registrar: ImporterRegistrar) -> None:
    """Add formats that ``/import`` and ``history import`` read."""


@hookspec
def lora_chat_exporters(registrar: ExporterRegistrar) -> None:
    """Add formats that ``/export`` and ``history export`` write."""


@hookspec
def lora_chat_engines(registrar: EngineRegistrar) -> None:
    """Add engines that ``engine = "NAME"`` of the settings has answer."""


@hookspec
def lora_chat_commands(registrar: CommandRegistrar) -> None:
    """Add commands that are typed with a slash in the chat."""


@hookspec
def lora_chat_example_filters(registrar: ExampleFilterRegistrar) -> None:
    """Add filters that everything passes before it is learnt."""


@hookspec
def lora_chat_model_sources(registrar: ModelSourceRegistrar) -> None:
    """Add places that ``model pull PREFIX:NAME`` fetches base models from."""
