"""The remote engine: chat on an OpenAI-compatible server, with adapters on vLLM and llama-server. Owns its opening."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lora_chat.plugins.engine_api import EngineRegistrar, EngineSettings, InstalledBase, hookimpl

from .address import read_address
from .client import Client
from .engine import RemoteEngine
from .key import find_key, variables
from .settings import TABLE, read_settings


@hookimpl
def lora_chat_engines(registrar: EngineRegistrar) -> None:
    """One engine, whatever the server: its dialect is a setting, or what the server says that it is."""
    registrar.add("openai", _open, TABLE, "an OpenAI-compatible server, vLLM or llama-server")


def _open(settings: EngineSettings) -> RemoteEngine:
    return open_engine(settings.table, settings.base)


def open_engine(
    table: object, base: InstalledBase | None = None, environ: Mapping[str, str] | None = None
) -> RemoteEngine:
    """The engine that ``[remote]`` of the settings describes; nothing is asked of the server yet.

    ``table`` is what stands there, ``base`` the server's base as it lies on this machine where it does, and ``environ``
    (by default the process's) is where a key is looked for.

    Raises:
        RefusedError: a setting, the address or the key cannot be used.
    """
    settings = read_settings(table)
    address = read_address(settings.url, insecure=settings.insecure)
    names = variables(settings.dialect, address.host, settings.key_variable)
    key = find_key(names, address.place, os.environ if environ is None else environ)
    return RemoteEngine(Client(address, key, settings, names), settings, base)
