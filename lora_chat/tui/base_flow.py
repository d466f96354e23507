"""The screen of base models. Owns when it opens and what it is told; never fetches or loads one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.tui.base_messages import BasesSeen, Fetching
from lora_chat.tui.bridge import Bridge

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.screens.bases import BasesScreen


class BaseFlow:
    """From what was seen last to the screen, and from its keys to the chat."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge
        self._coming: Fetching | None = None

    def saw(self, seen: BasesSeen) -> None:
        """What there is now, for the screen that is open, or for one that was asked for."""
        from lora_chat.tui.screens.bases import BasesScreen

        if (screen := self._screen) is not None:
            screen.show(seen.choices, self._app.chat.base)
        elif seen.asked:
            self._app.push_screen(BasesScreen(seen.choices, self._app.chat.base, self._coming))

    def wants(self, event: BasesScreen.Wanted) -> None:
        """A command; before there is a chat, the base that it begins with."""
        if self._bridge.sitting is not None:
            self._bridge.take(event.line)
        else:
            self._app.welcome.begin_with(event.name)

    def fetching(self, event: Fetching) -> None:
        """How far it is, in the screen and under the prompt."""
        self._coming = event
        part = f"{event.done / event.total:.0%}" if event.total else "…"
        self._app.chat.show_coming(f"bringing {event.name} {part}")
        if (screen := self._screen) is not None:
            screen.show_fetch(event.name, event.what, event.done, event.total)

    def ended(self, reason: str = "") -> None:
        """It came, or did not for that ``reason``."""
        self._coming = None
        self._app.chat.show_coming("")
        if (screen := self._screen) is not None:
            screen.end_fetch()
        if reason:
            self._app.tell(reason, refused=True)

    @property
    def _screen(self) -> BasesScreen | None:
        """Also below a question; none while the window closes."""
        from lora_chat.tui.screens.bases import BasesScreen

        stack = self._app.screen_stack if self._app.is_running else []
        return next((screen for screen in stack if isinstance(screen, BasesScreen)), None)
