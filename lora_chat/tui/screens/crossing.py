"""From one conversation to another. Owns whether the list or the talk is looked at meanwhile; never opens one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lora_chat.tui.screens.keeping import SOON_S, Keeping

if TYPE_CHECKING:
    from lora_chat.tui.widgets.conversation_list import ConversationList


class Crossing(Keeping):
    """Hears that one was chosen, that the list is asked for meanwhile, and that it is shown."""

    _on_the_way = False
    """Whether another one was chosen and is not shown yet."""
    _list_asked = False
    """Whether the list was asked for on the way: it stays."""

    @property
    def list(self) -> ConversationList:
        """The saved conversations."""
        from lora_chat.tui.widgets.conversation_list import ConversationList

        return self.query_one(ConversationList)

    def _go_on_with(self, id: str) -> None:
        """From the list: what is typed from now on is of that one."""
        self._set_out()
        super()._go_on_with(id)

    def action_new(self) -> None:
        """The same of one that begins."""
        self._set_out()
        super().action_new()

    def action_list(self) -> None:
        """Show or hide the conversations; where there is no room they come over the talk, with the focus."""
        if self.has_class("-narrow"):
            self.toggle_class("-list-open")
            shown = self.has_class("-list-open")
        else:
            shown = self.list.has_focus
            self.set_class(shown, "-list-hidden")
            shown = not shown
        # What was typed a moment ago may have opened one; nobody knows before it is done.
        self._list_asked = shown and (self._on_the_way or time.monotonic() - self._left_at < SOON_S)
        (self.list if shown else self.asking.prompt).focus()

    def _set_out(self) -> None:
        self._moving_on(self.asking.prompt.unsent)
        self._on_the_way, self._list_asked = True, False
        self.remove_class("-list-open")
        self.asking.prompt.focus()

    def _arrived(self) -> None:
        """Another one is shown: the talk is looked at."""
        if not self._list_asked:
            self.remove_class("-list-open")
            self.asking.prompt.focus()
        self._on_the_way = self._list_asked = False
