"""A list over the whole window. Owns the look of its rules and of the line to write in; what is listed never."""

from __future__ import annotations

from lora_chat.tui.screens.beneath import Beneath


class ListingScreen(Beneath[None]):
    """A headline, a list with the details of the one looked at, a line that opens where something is asked, keys."""

    DEFAULT_CSS = """
    ListingScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #asked { height: 1; padding: 0 1; display: none; }
        &.-asks #asked { display: block; }
        #asked > Static { width: auto; color: $text-muted; margin-right: 1; }
        Input { width: 1fr; background: transparent; &:focus { background-tint: transparent; } }
        .said { height: auto; margin: 1; width: 1fr; color: $text-muted; }
    }
    """
