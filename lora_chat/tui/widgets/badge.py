"""What is worn, at the prompt, where the eyes are. Owns that mark; never changes what is worn."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from lora_chat.text import clean_line
from lora_chat.tui.theme import accent_in

_LEAST = 16
"""Letters of a name; where there is room for more it takes a third: a mixture names all of its parts."""


class Badge(Widget):
    """``▎support-bot ×0.8 ›``; on the base alone only ``›``."""

    DEFAULT_CSS = """
    Badge { width: auto; height: 1; padding: 0 1 0 1; }
    """

    adapter: reactive[str] = reactive("", layout=True)
    scale: reactive[float] = reactive(1.0, layout=True)

    def on_mount(self) -> None:
        """Colours depend on the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> Content:
        """In the adapter's own colour."""
        if not self.adapter:
            return Content.styled("›", "$text-muted")
        accent = accent_in(self.adapter, self.app.current_theme)
        scale = "" if self.scale == 1 else f" ×{self.scale:g}"
        room = max(self.app.size.width // 3, _LEAST)
        return Content.assemble((f"▎{clean_line(self.adapter, room)}{scale} ›", accent))
