"""A list one of which is looked at. Owns its look; what a choice means, and what follows it, are the screens' own."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import OptionList


class Choices(OptionList, inherit_bindings=False):
    """Rows without a frame, in all the room there is, so that nothing jumps when there are fewer."""

    DEFAULT_CSS = """
    Choices {
        width: 100%;
        height: 1fr;
        max-height: 100%;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent; }
        & > .option-list--option { padding: 0 1; }
        & > .option-list--option-hover { background: $surface; }
        & > .option-list--option-disabled { color: $text-muted; }
        & > .option-list--option-highlighted, &:focus > .option-list--option-highlighted {
            color: $foreground;
            background: $block-cursor-background;
            text-style: none;
        }
    }
    """

    # Of all that a list can do only moving: left and right, Enter and what else there is are the screen's own.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "choose", show=False, tooltip="the one above", id="choices.up"),
        Binding("down", "cursor_down", "choose", show=False, tooltip="the one below", id="choices.down"),
        Binding("home", "first", "first", show=False, id="choices.first"),
        Binding("end", "last", "last", show=False, id="choices.last"),
        Binding("pageup", "page_up", "page up", show=False, id="choices.page-up"),
        Binding("pagedown", "page_down", "page down", show=False, id="choices.page-down"),
    ]

    def __init__(self, *, keeps_focus: bool = False) -> None:
        """``keeps_focus``: the keys are its own; else the screen moves it while something is typed elsewhere."""
        super().__init__(markup=False)
        self.can_focus = keeps_focus
