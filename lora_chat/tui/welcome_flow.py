"""The first start. Owns when the welcome is open and what it shows; never fetches anything itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.tui.base_messages import BaseFound, BaseMissing, FetchFailed, Fetching
from lora_chat.tui.bridge import Bridge

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.screens.welcome import WelcomeScreen


class WelcomeFlow:
    """From a home without a base to the talk."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge

    def missing(self, event: BaseMissing) -> None:
        """There is no base: one is offered."""
        from lora_chat.tui.screens.welcome import WelcomeScreen

        self._app.push_screen(WelcomeScreen(event.entry), self._welcomed)

    def found(self, event: BaseFound) -> None:
        """There is one: it has come, or it was there at the first start."""
        from lora_chat.tui.screens.welcome import WelcomeScreen

        if (screen := self._screen) is not None:
            screen.arrived()
        elif event.first_time:
            self._app.push_screen(WelcomeScreen(None), self._welcomed)

    def fetching(self, event: Fetching) -> None:
        """How far it is."""
        if (screen := self._screen) is not None:
            screen.show_fetch(event.what, event.done, event.total)

    def failed(self, event: FetchFailed) -> None:
        """It did not come, and can be tried again."""
        if (screen := self._screen) is not None:
            screen.show_failure(event.reason)

    def begin_with(self, name: str) -> None:
        """The person chose another base to begin with; what comes of it is told here."""
        if (screen := self._screen) is not None:
            screen.begin_with(name)
        self._bridge.arrivals.begin_with(name)

    @property
    def _screen(self) -> WelcomeScreen | None:
        """Also below a question; none while the window closes."""
        from lora_chat.tui.screens.welcome import WelcomeScreen

        stack = self._app.screen_stack if self._app.is_running else []
        return next((screen for screen in stack if isinstance(screen, WelcomeScreen)), None)

    def _welcomed(self, choice: str | None) -> None:
        if choice == "tour":
            self._app.chat.start_tour()
