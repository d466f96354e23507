"""A scrolled view that stays at its end. Owns the scroll position as the content changes; never knows the content."""

from __future__ import annotations

import sys

from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.layout import DockArrangeResult
from textual.message import Message as TextualMessage
from textual.scrollbar import ScrollBar
from textual.widget import Widget

_FROM_THE_END = -1
"""An end that every scroll position has reached: the next layout shows the end."""
_NEVER_THERE = sys.maxsize
"""An end that none has reached: the next layout moves nothing."""


class Follows(VerticalScroll):
    """Shows the end as it grows while the person is there, and moves nothing while they are elsewhere.

    Textual's ``anchor`` does the first, but pins what is shorter than the screen to the bottom by a negative position,
    and stops following where one scrolls down at the end.
    """

    class ReachedTop(TextualMessage):
        """The person scrolled to the top."""

    _end = _FROM_THE_END
    """The scroll position at which the end is seen, at the last layout."""
    _held: int | None = None
    """The distance from the end that is kept at the next layout."""

    @property
    def is_following(self) -> bool:
        """Whether it stays at the end as that grows: while the person is there, or has asked to go there."""
        return self.scroll_target_y >= self._end

    def follow(self) -> None:
        """Go to the end with the next layout, and stay there."""
        self._end = _FROM_THE_END

    def stay(self) -> None:
        """Move nothing with the next layout: what is about to grow is read from its beginning."""
        self._end = _NEVER_THERE

    def hold(self) -> None:
        """Keep the distance to the end with the next layout: content is about to come above what is seen."""
        self._held = self.virtual_size.height - round(self.scroll_y)
        self.call_after_refresh(self._let_go)

    def _let_go(self) -> None:
        self._held = None

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """Place the content, and put the scroll position right in the same frame."""
        result = super().arrange(size, optimal)
        bottom = result.total_region.bottom
        end = max(0, bottom - size.height)
        if self.is_following:
            self._go_to(end)
        elif self._held is not None:
            self._go_to(max(0, bottom - self._held))
        self._end = end
        return result

    def _go_to(self, y: int) -> None:
        """Without the watchers, which would ask for another layout in the midst of this one."""
        self.set_scroll(None, y)
        self.set_reactive(Follows.scroll_target_y, y)
        self.vertical_scrollbar.set_reactive(ScrollBar.position, y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell when the top is reached."""
        super().watch_scroll_y(old_value, new_value)
        if new_value <= 0 < old_value and self._held is None:
            self.post_message(self.ReachedTop())


def stay_around(widget: Widget) -> None:
    """Let what ``widget`` stands in ``stay``."""
    for each in widget.ancestors:
        if isinstance(each, Follows):
            each.stay()
