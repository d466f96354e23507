"""Who answers, for ``lora-chat doctor``. Owns asking an engine of a plugin whether it can; for a short while only.

What it finds wrong is said in the words that the chat would have: by the same engine, in the same process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_chat.cli.doctor import Check
from lora_chat.errors import LoraChatError
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.config import Config
    from lora_chat.engine.protocol import BaseInfo
    from lora_chat.paths import Paths
    from lora_chat.plugins.engines import PluginEngine

LONGEST_S = 10.0
"""How long its process and its server together may take to answer."""


def who_answers(paths: Paths, config: Config) -> Iterator[Check]:
    """Which engine the settings name, whether its plugin is enabled, and what it says of itself once it is asked."""
    from lora_chat.config import LOCAL
    from lora_chat.plugins.engines import PluginEngine, find_engine
    from lora_chat.plugins.manager import Plugins
    from lora_chat.services import is_safe

    if config.engine == LOCAL:
        yield Check("engine", "ok", f"{LOCAL}: this machine answers")
        return
    plugins = Plugins(paths, safe=is_safe(os.environ))
    try:
        plugin, offer = find_engine(plugins, config.engine)
    except LoraChatError as error:
        yield Check("engine", "problem", clean_line(str(error)))
        return
    yield Check("engine", "ok", f"{offer.name}, by the plugin {plugin.name}, is chosen")
    try:
        from lora_chat.models.installed import find_base

        base = find_base(paths.models, config.model)
    except LoraChatError:  # which it does without
        base = None
    yield _asked(PluginEngine(plugins, paths, offer.name, base), offer.name, offer.table)


def _asked(engine: PluginEngine, name: str, table: str) -> Check:
    """What came of asking it; it is closed then, whatever it does."""
    came: list[BaseInfo | LoraChatError] = []

    def ask() -> None:
        try:
            came.append(engine.load())
        except LoraChatError as error:
            came.append(error)

    asking = threading.Thread(target=ask, name="doctor", daemon=True)
    asking.start()
    asking.join(LONGEST_S)
    found = came[0] if came else None
    engine.close()
    match found:
        case None:
            why = f"{name} does not answer within {LONGEST_S:g} seconds: start its server, or correct [{table}]."
            return Check(f"engine {name}", "problem", why)
        case LoraChatError():
            return Check(f"engine {name}", "problem", clean_line(str(found)))
        case _:
            told = f"{found.name} at {found.device}, {found.context_window:,} tokens, {found.decoding}"
            return Check(f"engine {name}", "ok", clean_line(told))
