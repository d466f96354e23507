"""Plugins as a person writes them, in a home where none ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from lora_chat.plugins.manager import Listed, Plugins
from lora_chat.sitting.plugins import taken

UP = """
from lora_chat.plugins.api import hookimpl

@hookimpl
def lora_chat_exporters(registrar):
    registrar.add("up", ".txt", write, "in capitals")

def write(conversations):
    for each in conversations:
        yield each.title.upper() + "\\n"
"""


def plugin_source(body: str, top: str = "") -> str:
    """An exporter called up whose ``write`` has ``body``."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return UP.partition("def write")[0] + f"{top}\ndef write(conversations):\n{lines}\n    yield 'ends'\n"


@dataclass
class Host:
    """A home and what of plugins is in it."""

    paths: Paths
    plugins: Plugins

    def put(self, name: str = "up", source: str = UP, toml: str | None = None) -> Path:
        """Write one into the person's folder."""
        folder = self.paths.plugins / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugin.py").write_text(source, encoding="utf-8")
        (folder / "plugin.toml").write_text(toml if toml is not None else f'name = "{name}"\n', encoding="utf-8")
        return folder

    def enable(self, name: str = "up") -> Listed:
        """As a person who agrees."""
        listed = self.plugins.enable(name, lambda _: True, taken())
        assert listed is not None
        return listed

    def state(self, name: str = "up") -> tuple[str, str]:
        """How it stands and why."""
        listed = self.plugins.get(name)
        return listed.state, listed.why


@pytest.fixture
def host(home: Paths, tmp_path: Path) -> Iterator[Host]:
    paths = replace(home, bundled_plugins=tmp_path / "nothing-shipped")
    plugins = Plugins(paths)
    yield Host(paths, plugins)
    plugins.close()


COMMAND = """
import os, sys, threading, time
from lora_chat.plugins.api import Refused, Say, Write, hookimpl

@hookimpl
def lora_chat_commands(registrar):
    registrar.add("{name}", run, "helps", "[TEXT]")

def run(call):
{body}
"""


def command_source(body: str, name: str = "do") -> str:
    """A command whose ``run`` has ``body``."""
    return COMMAND.format(name=name, body="\n".join(f"    {line}" for line in body.splitlines()))


Enable = Callable[..., Path]

TWO = "said = [m.content for m in call.conversation.messages]\nyield f'{len(said)} said'\nyield ' '.join(said)"
HANGS = "yield 'one'\nyield Say('never')\nwhile True: time.sleep(0.05)"
BREAKS = {
    "yield 'one'\nraise ValueError('late')": "it raised ValueError: late",
    "yield 'one'\nprint('late')": "it printed “late”",
    "yield 'one'\nwhile True: pass": "it gave no sign of life",
}


@pytest.fixture
def enable(tiny: Paths) -> Enable:
    """Have a plugin whose command is ``do`` enabled; for the tests of the faces."""

    def put(body: str, plugin: str = "doer", name: str = "do") -> Path:
        plugins = Plugins(tiny)
        host = Host(tiny, plugins)
        folder = host.put(plugin, command_source(body, name))
        host.enable(plugin)
        plugins.close()
        return folder

    return put


def state(home: Paths, plugin: str = "doer") -> tuple[str, str]:
    """How it stands and why."""
    return Host(home, Plugins(home)).state(plugin)
