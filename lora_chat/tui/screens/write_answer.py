"""The answer a person wanted. Owns the words of the place where it is written; keeping it is others' work."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from lora_chat.tui.screens.writing import Writing


class WriteAnswer(Writing):
    """The question, and an editor with an answer to begin with."""

    HEADING = "The answer you wanted"
    FOLLOWS = "Your answer takes its place; the old one is kept beside it. /train from-history learns from yours."
    EMPTY = "An empty answer teaches nothing: write one, or go back."
    UNCHANGED = "That is its own answer: write the one you wanted, or go back and rate it good."
    UNKEPT = "What you wrote is not kept yet: {write.keep} keeps it, {write.back} again throws it away."

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter,f2", "keep", "keep", id="write.keep", priority=True),
    ]
