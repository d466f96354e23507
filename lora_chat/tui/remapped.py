"""The person's keys in the window. Owns that each part that comes into it has them; never what they are."""

from __future__ import annotations

import os
from typing import Any

from textual.app import App
from textual.dom import DOMNode
from textual.widget import Widget

from lora_chat.config import KEYS, read_settings
from lora_chat.errors import LoraChatError
from lora_chat.paths import find_paths
from lora_chat.tui.keymap import Keymap, ids_above
from lora_chat.tui.messages import SettingsRead

FEW = 2
"""Wrong entries that are told one by one."""


class Remapped(App[None]):
    """An app whose bindings are the person's."""

    keymap: Keymap

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.keymap = _read()
        self._bindings = self.keymap.over(self._bindings)

    def tell(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """Say one sentence over the talk."""
        raise NotImplementedError

    def on_settings_read(self, event: SettingsRead) -> None:
        """What of the person's keys is not used, in a few sentences."""
        *first, last = self.keymap.problems or ("",)
        if len(first) > FEW:
            first, last = first[:FEW], f"{len(first) + 1 - FEW} more entries of it are not used: /keys says why."
        for problem in (*first, last):
            if problem:
                self.tell(problem, refused=True, lasting=True)

    def show_keys(self) -> None:
        """Everything that has a key."""
        from lora_chat.tui.key_list import facts
        from lora_chat.tui.screens.details import DetailsScreen

        self.push_screen(DetailsScreen("Keys", facts(self.keymap)))

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        """Screens and widgets alike pass here once, before anything is asked of them."""
        if self.keymap.changed:
            child._bindings = self.keymap.over(child._bindings, ids_above(parent))
        super()._register_child(parent, child, before, after)


def _read() -> Keymap:
    """Without the table nothing is read of what could be in it; what keeps the settings from being read is told by
    whoever opens them.
    """
    try:
        config = find_paths(os.environ).config
        if KEYS not in read_settings(config):
            return Keymap()
    except LoraChatError:
        return Keymap()
    from lora_chat.tui.remap import read_keymap

    return read_keymap(config)
