"""The tour beside the talk. Owns how it begins, writes in the prompt and ends; its steps are ``tour.py``'s."""

from __future__ import annotations

from lora_chat.tui import messages as news
from lora_chat.tui.screens.wishes import Wishes
from lora_chat.tui.widgets.tour_bar import TourBar


class Touring(Wishes):
    """Hears the tour's bar."""

    @property
    def tour(self) -> TourBar:
        """The tour, where it is taken."""
        return self.query_one(TourBar)

    def start_tour(self) -> None:
        """From its first step, in a conversation of its own."""
        self.bridge.run(lambda sitting: sitting.begin_plainly())
        self.tour.start()

    def leave_tour(self) -> None:
        """What was done in it stays; what it wrote and nobody sent goes."""
        if self.tour.step is not None and self.asking.prompt.text == self.tour.step.prefill:
            self.asking.prompt.write("")
        if self.tour.step is not None and self.tour.step.waits_for != "nothing":
            self.post_message(news.Said("/tour begins it again."))
        self.tour.leave()

    def on_tour_bar_step_began(self, event: TourBar.StepBegan) -> None:
        """What it wants sent stands in the prompt."""
        self.asking.fill(event.step.prefill)
