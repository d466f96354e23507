"""The tour's present step, above the prompt. Owns how it looks; which step it is is ``tour``'s."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from lora_chat.tui.tour import Step


class TourBar(Static):
    """``2 of 9  Correct   It made that up. …``; nothing outside the tour."""

    DEFAULT_CSS = """
    TourBar { height: auto; padding: 0 1; background: $surface; display: none; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, step: Step | None, place: str) -> None:
        """Show ``step``; None closes the bar."""
        self.display = step is not None
        if step is not None:
            head = Content.assemble((f"{place}  ", "$text-muted"), (step.title, "bold $primary"))
            self.update(Content.assemble(head, "  ", step.text, ("   esc leaves the tour", "$text-muted")))
