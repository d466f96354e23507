"""A screen's first line. Owns how a title and what stands beside it share one line; never knows what they are of."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from lora_chat.text import clean_line


class Headline(Widget):
    """A title at the left, quieter words at the right; the title gives way."""

    DEFAULT_CSS = """
    Headline { height: 1; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self, title: str, aside: str = "") -> None:
        super().__init__()
        self._title, self._aside = title, aside

    def show(self, title: str, aside: str = "") -> None:
        """Other words."""
        self._title, self._aside = title, aside
        self.refresh()

    def render(self) -> Content:
        """Both, whatever they hold, in one line."""
        width = self.content_size.width
        aside = Content.styled(clean_line(self._aside), "$text-muted").truncate(max(width * 2 // 3, 1), ellipsis=True)
        room = max(width - aside.cell_length - 2, 1)
        title = Content.styled(clean_line(self._title), "bold").truncate(room, ellipsis=True)
        return Content.assemble(title, " " * max(width - title.cell_length - aside.cell_length, 0), aside)
