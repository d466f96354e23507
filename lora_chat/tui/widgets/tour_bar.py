"""The tour, above the prompt. Owns how a step looks and when the next one comes; what the steps are is ``tour``'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message as TextualMessage
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.tui.keymap import told
from lora_chat.tui.tour import SHIPPED, Step, Tour

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Adapter
    from lora_chat.adapters.signature import BaseSignature
    from lora_chat.chat.conversation import Message
    from lora_chat.tui.bridge import Bridge


class TourBar(Horizontal):
    """``2 of 9  Correct   It made that up. …``; nothing outside the tour."""

    DEFAULT_CSS = """
    TourBar {
        height: auto;
        padding: 0 1;
        background: $surface;
        display: none;
        & > Static { height: auto; width: 1fr; }
        & > .leave { width: auto; margin-left: 3; color: $text-muted; }
    }
    """

    @dataclass
    class StepBegan(TextualMessage):
        """This is to be done now."""

        step: Step

    def __init__(self) -> None:
        super().__init__()
        self._tour = Tour()
        self._base: BaseSignature | None = None

    def compose(self) -> ComposeResult:
        """What to do, and how to do something else."""
        yield Static(classes="step", markup=False)
        yield Static(told(self, "{chat.back} leaves the tour"), classes="leave", markup=False)

    @property
    def step(self) -> Step | None:
        """What is to be done now; None outside the tour."""
        return self._tour.step

    def know_base(self, base: BaseSignature) -> None:
        """What the chat runs on."""
        self._base = base

    def know_adapters(self, adapters: Sequence[Adapter]) -> None:
        """What there is to be worn: the tour ends before a step that this base cannot do."""
        base, step, place = self._base, self._tour.step, self._tour.place
        shipped = base is None or any(each.name == SHIPPED and each.is_for(base) for each in adapters)
        self._tour.know_shipped(shipped)
        if self._tour.place != place:  # it was begun before they were known, or one came meanwhile
            self._show(begins=self._tour.step != step)

    def takes(self, text: str, bridge: Bridge, answer: Message | None) -> bool:
        """See ``Tour.takes``."""
        return self._tour.takes(text, bridge, answer)

    def start(self) -> None:
        """From the first step."""
        self._tour.start()
        self._show()

    def leave(self) -> None:
        """Close it; what was done in it stays."""
        self._tour.leave()
        self._show()

    def saw(self, what: str, name: str = "") -> None:
        """Something happened that the step may have waited for."""
        if self._tour.saw(what, name):
            self._show()

    def _show(self, *, begins: bool = True) -> None:
        step = self._tour.step
        self.display = step is not None
        if step is not None:
            place = self._tour.place.replace("of", tr("of"))
            head = Content.assemble((f"{place}  ", "$text-muted"), (tr(step.title), "bold $primary"))
            self.query_one(".step", Static).update(Content.assemble(head, "  ", told(self, step.text)))
            self.query_one(".leave").display = step.waits_for != "nothing"
            if begins:
                self.post_message(self.StepBegan(step))
