"""A screen that panels stand over. Owns when it is drawn anew beneath them, and that closing it closes no other; never
what it shows.
"""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

Answer = TypeVar("Answer")


class Beneath(Screen[Answer]):
    """Drawn anew beneath a panel when it has changed, and then once.

    Textual 8.2 marks a screen that changed beneath another one as to be painted, which marks it again when it is: from
    its first change on, it and the dimming of it are made anew whenever it hears anything, 20 ms at each key typed in
    a panel. https://github.com/Textualize/textual/pull/6307 brought that.
    """

    def _compositor_refresh(self) -> None:
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_required = False

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close it, once, also where another has opened over it since the key: Textual closes whatever is on top."""
        stack = self.app._screen_stack
        if self not in stack:
            return AwaitComplete()
        stack.append(stack.pop(stack.index(self)))
        return super().dismiss(result)
