"""The screens that show adapters. Owns when they open and what they are told; never draws or wears."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.tui.bridge import Bridge
from lora_chat.tui.screens.shelf import ShelfScreen

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.messages import AdaptersSeen


class AdapterFlow:
    """From what was seen last to the picker and the list."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge
        self._seen: AdaptersSeen | None = None
        self._wanted: Callable[[], None] | None = None

    def saw(self, seen: AdaptersSeen) -> None:
        """What is installed now, also for a screen that is open or was asked for before anything was seen."""
        self._seen = seen
        for screen in self._open():
            screen.show(seen.catalog, seen.standings)
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted()

    def wears(self, worn: str) -> None:
        """What the conversation wears now."""
        for screen in self._open():
            screen.wear(worn)

    def not_installed(self, source: str) -> None:
        """``source`` stands where it was written, else where it can be."""
        from lora_chat.tui.screens.adapters import AdaptersScreen

        screens = [screen for screen in self._open() if isinstance(screen, AdaptersScreen)]
        for screen in screens:
            screen.give_back(source)
        if not screens:
            self._app.chat.asking.give_back(f"/adapter install {source}")

    def pick(self) -> None:
        """Let the person choose what to wear."""
        from lora_chat.tui.screens.adapter_picker import AdapterPicker

        chat, seen = self._app.chat, self._seen
        if seen is None:
            self._wanted = self.pick
        elif not self._app.has(AdapterPicker):
            self._app.push_screen(AdapterPicker(seen.catalog, chat.worn, chat.base, seen.standings), self._picked)

    def open(self) -> None:
        """Everything that is installed."""
        from lora_chat.tui.screens.adapters import AdaptersScreen

        chat, seen = self._app.chat, self._seen
        if seen is None:
            self._wanted = self.open
        elif not self._app.has(AdaptersScreen):
            self._app.push_screen(AdaptersScreen(seen.catalog, chat.worn, chat.base, seen.standings))

    def _open(self) -> list[ShelfScreen]:
        """None while the window closes: its screens have lost their parts by then."""
        stack = self._app.screen_stack if self._app.is_running else []
        return [screen for screen in stack if isinstance(screen, ShelfScreen)]

    def _picked(self, choice: str | None) -> None:
        if choice:
            self._bridge.take(f"/adapter {choice}")
