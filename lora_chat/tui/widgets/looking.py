"""Bringing what was searched for into view. Owns how far is scrolled for it; never knows what was searched."""

from __future__ import annotations

from textual.containers import VerticalScroll

from lora_chat.tui.widgets.message import MessageView

_ABOVE = 3
"""The line with the first word stands this part of the height from the top, where there is that much above."""


def show_words(talk: VerticalScroll, view: MessageView | None, text: str, *, again: bool = True) -> None:
    """Mark the words of ``text`` in a message and scroll to the first of them, or to the message where none is seen.

    ``again``: where that unfolded something, once more when that is laid out.
    """
    if view is None or not view.is_attached:
        return
    for other in talk.query(MessageView):
        if other is not view:
            other.mark("")
    line = view.mark(text)
    if line is None:
        talk.scroll_to_widget(view, animate=False, top=True)
        if again and view.has_folded:
            talk.call_after_refresh(show_words, talk, view, text, again=False)
    else:
        talk.scroll_to(y=max(0, view.virtual_region.y + line - talk.size.height // _ABOVE), animate=False)
