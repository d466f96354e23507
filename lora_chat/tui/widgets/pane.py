"""What may be longer than the window. Owns the keys that move through it, shown only where they do something."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.geometry import Size

PANEL = 6
"""Rows of a panel that are its frame, its title and its keys."""


HEIGHTS = [(0, "-tiny"), (18, "-short"), (30, "-tall")]
"""For ``VERTICAL_BREAKPOINTS``: below 18 rows there is room for the least, from 30 on for more."""


class Pane(VerticalScroll):
    """As high as its content or the room, whichever is less."""

    DEFAULT_CSS = """
    Pane { height: auto; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "scroll", key_display="↑ ↓", tooltip="scroll up", id="pane.up"),
        Binding("down", "scroll_down", "scroll", show=False, tooltip="scroll down", id="pane.down"),
    ]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """No more than fits into a panel: ``max-height: 1fr`` would leave title and keys out of account."""
        most = max(viewport.height * 4 // 5 - PANEL, 2)
        return min(super().get_content_height(container, viewport, width), most)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where everything is in sight there is nothing to scroll."""
        return action not in ("scroll_up", "scroll_down") or self.max_scroll_y > 0

    def watch_virtual_size(self, before: Size, after: Size) -> None:
        """More or less of it."""
        self.refresh_bindings()

    def on_resize(self, event: Resize) -> None:
        """More or less room."""
        self.refresh_bindings()
