"""The engines that plugins have. Owns finding the one that the settings name, and when its process may start.

Such an engine is the process of its plugin as well: nothing of it runs here, and it has the whole of its adapters to
give back when it ends. What forbids it is told by each call, so that the chat opens all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from lora_chat.plugins.manager import Plugins
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
    near = did_you_mean(name, [LOCAL, *(offer.name for _, offer in offered)])
    why = f'No enabled plugin has the engine "{clean_line(name, 40)}"{near}'
    could = [] if near else list(_could(plugins, name))
    if len(could) == 1:
        raise RefusedError(f"{why}: {could[0]}.")
    if could:
        raise RefusedError(f"{why}: {', or '.join(could)}.")
    raise RefusedError(f"{why}{';' if near else ':'} `lora-chat plugin list` shows them all, or {local}.")


def _could(plugins: Plugins, name: str) -> Iterator[str]:
    """What to do with those plugins that might have it: the one that had it, else all that have any engine."""
    off = [each for each in plugins.shelf().plugins if each.state != "on" and "engines" in each.plugin.content.hooks]
    had = [each for each in off if any(offer.name == name for offer in each.offers.engines)]
    for each in had or off:
        state = {"changed": "was changed", "switched off": f"is switched off ({each.why})"}.get(each.state, "is off")
        yield f"the plugin {each.name} {state}, `lora-chat plugin enable {each.name}` has it run"
