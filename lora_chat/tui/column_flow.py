"""From a question in columns to the better answer. Owns when the screen opens and what its end does; never draws."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.sitting.columns import Comparison
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.messages import ColumnsSeen
    from lora_chat.tui.screens.compare import CompareScreen


class ColumnFlow:
    """One comparison at a time, over the talk."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge
        self._screen: CompareScreen | None = None

    def saw(self, seen: ColumnsSeen) -> None:
        """It was asked for, or a column got further."""
        if seen.event is None:
            self._open(seen.comparison)
        elif self._screen is not None and self._screen.comparison is seen.comparison:
            self._screen.show(seen.event)

    def stop(self) -> bool:
        """End what is being written, what is whole stays; whether there was anything."""
        if self._screen is None or not self._screen.is_writing:
            return False
        self._bridge.stop_comparing()
        return True

    def _open(self, comparison: Comparison) -> None:
        from lora_chat.tui.comparing import in_columns
        from lora_chat.tui.screens.compare import CompareScreen

        if self._screen is None:
            self._screen = CompareScreen(comparison)
            self._app.push_screen(self._screen, partial(self._closed, self._screen))
            self._bridge.compare(in_columns(comparison))

    def _closed(self, screen: CompareScreen, better: int | None) -> None:
        """What was not marked is gone; either way the next message is read ahead for again."""
        from lora_chat.sitting.columns import mark_better

        self._screen = None
        self._bridge.stop_comparing()
        if better is None:
            self._bridge.run(lambda sitting: sitting.prefill())
        else:
            comparison, ended = screen.comparison, screen.ended
            self._bridge.run(lambda sitting: mark_better(sitting, comparison, ended, better))
