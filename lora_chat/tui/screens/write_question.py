"""A question in other words. Owns the words of the place where it is written; asking it is others' work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from lora_chat.text import clean_line
from lora_chat.tui.screens.writing import Writing


def kept_with(names: Sequence[str]) -> str:
    """What is said of the files that go with a question, by what they are called in it; empty where none does."""
    if not names:
        return ""
    files = ", ".join(clean_line(each, 60) for each in names)
    if len(names) == 1:
        return f"{files} goes with it as it was when you asked, as long as it is named."
    return f"{files} go with it as they were when you asked, as long as they are named."


class WriteQuestion(Writing):
    """An editor with the question as it was asked."""

    HEADING = "Ask it in other words"
    FOLLOWS = "It is answered in the old one's place, which is kept beside it with all that followed: ← → go there."
    EMPTY = "There is nothing to answer: write a question, or go back."
    UNCHANGED = "That is what you asked: write it otherwise, or go back, where ctrl+r has it answered again."
    UNKEPT = "What you wrote is not asked yet: ctrl+s asks it, esc again throws it away."

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "keep", "ask", id="write.ask", priority=True),
    ]
