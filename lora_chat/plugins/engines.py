"""The engines that plugins have. Owns finding the one that the settings name, and when its process may start.

Such an engine is the process of its plugin as well: nothing of it runs here, and it has the whole of its adapters to
give back when it ends. What forbids it is told by each call, so that the chat opens all the same.
"""

from __future__ import annotations

from typing import Any

from lora_chat.adapters.signature import BaseSignature
from lora_chat.config import LOCAL, load_engine_table
from lora_chat.engine.kept import kept_for
from lora_chat.engine.process import ProcessEngine, Program
from lora_chat.engine.protocol import BaseInfo
from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.models.answering import UNTOLD_WINDOW, Served, served
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.plugins import limits
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manager import Listed, Plugins
from lora_chat.plugins.offers import Offer
from lora_chat.text import clean_line

WORKER = "lora_chat.plugins.engine_worker"
_LONGEST_NAME = 120


class PluginEngine(ProcessEngine):
    """``Engine`` of an enabled plugin, in a process of its own."""

    def __init__(self, plugins: Plugins, paths: Paths, name: str, base: InstalledBase | None) -> None:
        """``name`` is the engine's, ``base`` the one that is chosen, where it is on this machine.

        Every call raises ``RefusedError`` while no enabled plugin has it.
        """
        self.name = name
        self._base, self._models = base, paths.models
        self._info: BaseInfo | None = None
        self._served = Served(
            clean_line(name, 40), base.window if base is not None else UNTOLD_WINDOW, BaseSignature.of_names(""),
            is_met=False,
        )  # fmt: skip

        def begins() -> dict[str, Any]:
            plugin, offer = find_engine(plugins, name)
            table = load_engine_table(paths.config, offer.table)
            where = {"name": plugin.name, "root": str(plugin.root), "module": plugin.module}
            return where | {"sha256": plugin.content.sha256, "engine": name, "table": table}

        kept = kept_for(base, paths) if base is not None else None
        super().__init__(base, kept, paths.logs, program=Program(WORKER, begins, limits.CLOSE_S))

    @property
    def served(self) -> Served:
        """Who answers there, as far as that is known by now: nobody is asked."""
        return self._served

    def load(self) -> BaseInfo:
        """See ``Engine.load``; ``served`` is known then."""
        info = super().load()
        if info != self._info or self._served.here is None:  # the same base may be brought here meanwhile
            name = clean_line(info.name, _LONGEST_NAME) or self._served.name
            aliases = tuple(clean_line(each, _LONGEST_NAME) for each in info.aliases)
            near = self._base.name if self._base is not None else ""
            window, place = info.context_window, clean_line(info.device, 80)
            found, self._info = served(name, window, place, aliases, self._models, near), info
            self._served = self._served if found == self._served else found
        return info

    def meet(self) -> Served:
        """Who answers there, which is asked now. Raises as ``load``."""
        self.load()
        return self._served


def find_engine(plugins: Plugins, name: str) -> tuple[Plugin, Offer]:
    """The enabled plugin whose engine is called ``name``.

    Raises:
        RefusedError: there is none, saying which could be; or this is the safe mode.
    """
    local = f'write engine = "{LOCAL}" into the settings'
    if plugins.safe:
        raise RefusedError(f"This is the safe mode, which runs no plugin, and the engine {clean_line(name, 40)} is of "
                           f"one: start without it, or {local}.")  # fmt: skip
    offered = plugins.offered("engines")
    for plugin, offer in offered:
        if offer.name == name:
            return plugin, offer
    off = [(engine, each) for each in plugins.shelf().plugins if each.state != "on" for engine in _engines_of(each)]
    could = [_to_enable(listed) for engine, listed in off if engine == name]
    ready = [LOCAL, *(offer.name for _, offer in offered)]
    near = "" if could else did_you_mean(name, [*ready, *(engine for engine, _ in off)])
    why = f'No enabled plugin has the engine "{clean_line(name, 40)}"{near}'
    if could:
        raise RefusedError(f"{why}: {', or '.join(could)}.")
    for engine, listed in off:
        if near and engine not in ready and near == did_you_mean(name, [engine]):
            raise RefusedError(f'{why} Write engine = "{engine}" into the settings; {_to_enable(listed)}.')
    raise RefusedError(f"{why}{';' if near else ':'} `lora-chat plugin list` shows them all, or {local}.")


def _engines_of(listed: Listed) -> tuple[str, ...]:
    """What is known of a plugin that does not run: what it had when it was enabled, else what its source says."""
    return tuple(offer.name for offer in listed.offers.engines) or listed.plugin.content.engines


def _to_enable(listed: Listed) -> str:
    state = {"changed": "was changed", "switched off": f"is switched off ({listed.why})"}.get(listed.state, "is off")
    return f"the plugin {listed.name} {state}, `lora-chat plugin enable {listed.name}` has it run"
