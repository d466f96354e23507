"""The commands that plugins have. Owns which there are, and having one run; what it gives is cleaned, never shown."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lora_chat.errors import RefusedError
from lora_chat.plugins import limits
from lora_chat.plugins.command_api import CommandCall, Piece
from lora_chat.plugins.finding import Plugin
from lora_chat.plugins.manager import Plugins
from lora_chat.plugins.offers import Offer
from lora_chat.plugins.plain import call_to_plain, piece_of_plain
from lora_chat.plugins.process import StoppedPlugin
from lora_chat.text import clean_line

MOST_TEXT = 100_000
"""Characters of all that one call gives: what is more is a file's, and would make the window wait."""
MOST_LINES = 10_000
"""Lines of the same, each piece at least one."""


@dataclass(frozen=True)
class PluginCommand:
    """One command of one enabled plugin."""

    plugins: Plugins
    plugin: Plugin
    offer: Offer

    @property
    def name(self) -> str:
        """What follows the slash."""
        return self.offer.name

    @property
    def told(self) -> str:
        """What it does and whose it is."""
        return f"{self.offer.help or self.offer.name}, by the plugin {self.plugin.name}"

    def run(self, call: CommandCall, cancel: threading.Event) -> Iterator[Piece]:
        """Yield what it gives, cleaned, until it ends or ``cancel`` is set, which ends its process.

        Raises:
            RefusedError: it says no, is at work already, or broke and is switched off; with the reason.
        """
        plain = call_to_plain(call)
        pieces = self.plugins.call(self.plugin, "run", self.name, plain, limit_s=limits.STEP_S, cancel=cancel)
        characters, lines, last = 0, 0, False
        try:
            for value in pieces:
                try:
                    piece = piece_of_plain(value)
                    text = piece if isinstance(piece, str) else piece.text
                    characters, lines = characters + len(text), lines + 1 + text.count("\n")
                    if not isinstance(piece, str) and (last or not text.strip()):
                        raise ValueError("its command writes or says more than once, or nothing")
                    if characters > MOST_TEXT or lines > MOST_LINES:
                        raise ValueError(f"its command gave more than {MOST_TEXT:,} characters or {MOST_LINES:,} lines")
                except ValueError as error:
                    pieces.close()
                    raise RefusedError(self.plugins.break_off(self.plugin, str(error))) from error
                last = last or not isinstance(piece, str)
                yield piece
        except StoppedPlugin:
            return


def commands(plugins: Plugins, taken: Collection[str]) -> list[PluginCommand]:
    """Every command of the enabled plugins, by plugin; ``taken`` are names that lora-chat has itself by now."""
    found = [PluginCommand(plugins, plugin, offer) for plugin, offer in plugins.offered("commands")]
    first = {each.name: each for each in reversed(found)}
    return [each for each in found if first[each.name] is each and each.name not in taken]


def refuse_what_is_off(plugins: Plugins, name: str) -> None:
    """Say of a command that was typed why it does not run, where a plugin that is not on has it.

    Raises:
        RefusedError: one has it.
    """
    for each in plugins.off_with("commands", name):
        if plugins.safe:
            raise RefusedError(f"This is the safe mode, which runs no plugin, and /{name} is of {each.name}: start "
                               "without it.")  # fmt: skip
        why = clean_line(each.why, 300)
        raise RefusedError(f"/{name} is a command of the plugin {each.name}, which does not run: {why}; /plugin enable "
                           f"{each.name} has it.")  # fmt: skip
