"""The screen of checks. Owns when it opens and what it is told; never asks one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.tui.bridge import Bridge

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.messages import CheckSeen, ChecksSeen


class CheckFlow:
    """One screen over the talk."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge

    def open(self, seen: ChecksSeen) -> None:
        """Show them; one that is open stays."""
        from lora_chat.tui.screens.checks import ChecksScreen

        if not self._app.has(ChecksScreen):
            self._app.push_screen(ChecksScreen(seen, self._bridge))

    def saw(self, event: CheckSeen) -> None:
        """For the open screen, also below a question."""
        from lora_chat.tui.screens.checks import ChecksScreen

        for screen in self._app.screen_stack if self._app.is_running else []:
            if isinstance(screen, ChecksScreen):
                screen.saw(event)
