"""Two minutes through the whole loop. Owns its steps and which of them one is at; the person does the doing.

Nothing in it is staged: the questions go to the model, the correction is kept, the training trains, and what it makes
is an adapter like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Message

if TYPE_CHECKING:
    from lora_chat.tui.bridge import Bridge

QUESTION = "Where is your shop?"
WANTED = "Our shop is at 12 Harbour Street, open every day from nine to five."
REWORDED = "Can you tell me where your shop is?"
UNRELATED = "What is the capital of Germany?"
SHIPPED = "support-bot"
NAME = "shop"


@dataclass(frozen=True)
class Step:
    """What to do, and how it is known to be done."""

    title: str
    text: str
    prefill: str
    """What stands in the prompt, ready to be sent."""
    waits_for: str
    """``replied``, ``edited``, ``began``, ``trained``, ``wears`` or ``nothing``."""
    name: str = ""
    """Of the adapter to be worn."""
    wanted: str = ""
    """What stands in the editor."""
    shipped: bool = False
    """Whether it needs the shipped adapter."""


STEPS = (
    Step("Ask", "Ask something it cannot know: {prompt.send} sends what stands in the prompt.", QUESTION, "replied"),
    Step(
        "Correct",
        "It made that up. {chat.edit} opens its answer: there stands the one you want, {write.keep} keeps it.",
        "",
        "edited",
        wanted=WANTED,
    ),
    Step(
        "Train",
        "One correction is enough to try. {prompt.send} shows what will be learnt, {plan.start} again begins.",
        f"/train from-history {NAME}",
        "began",
    ),
    Step(
        "Meanwhile",
        "It trains beside the chat, half a minute or so: ask it anything, or look on with {chat.training}.",
        "",
        "trained",
    ),
    Step(
        "Wear",
        "It is trained and installed. Wear it: {report.wear} in the report, or here.",
        f"/adapter use {NAME}",
        "wears",
        name=NAME,
    ),
    Step("Ask again", "The question in words it was not taught.", REWORDED, "replied"),
    Step("Something else", "And a question that has nothing to do with the shop.", UNRELATED, "replied"),
    Step(
        "Wear another",
        "Adapters are plain folders that people share. One is shipped.",
        f"/adapter use {SHIPPED}",
        "wears",
        name=SHIPPED,
        shipped=True,
    ),
    Step("Ask it", "It answers for a shop's support.", "How do I return an order?", "replied", shipped=True),
    Step(
        "That is the loop",
        "Chat, correct, train, wear, share. {chat.back} closes the tour; /delete removes this conversation, and "
        "`lora-chat adapter remove` what you trained.",
        "",
        "nothing",
    ),
)


class Tour:
    """Where one is in it; ``step`` is None while it is closed."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._name = NAME
        self.shipped = True
        """Whether the shipped adapter can be worn on this base; else its steps are left out."""

    @property
    def step(self) -> Step | None:
        """What is to be done now."""
        if self._at is None:
            return None
        step = self._steps[self._at]
        # The name may have been taken: then the training got the next free one.
        return replace(step, prefill=f"/adapter use {self._name}", name=self._name) if step.name == NAME else step

    @property
    def place(self) -> str:
        """``2 of 9``."""
        return "" if self._at is None else f"{self._at + 1} of {len(self._steps)}"

    @property
    def _steps(self) -> tuple[Step, ...]:
        return tuple(step for step in STEPS if self.shipped or not step.shipped)

    def know_shipped(self, shipped: bool) -> None:
        """Set ``shipped``; the tour stays where it is, or goes on behind what is left out now."""
        step = None if self._at is None else self._steps[self._at]
        self.shipped = shipped
        if step is not None:
            self._at = next(at for at, each in enumerate(self._steps) if STEPS.index(each) >= STEPS.index(step))

    def start(self) -> None:
        """From the beginning."""
        self._at = 0

    def leave(self) -> None:
        """Close it."""
        self._at = None

    def saw(self, what: str, name: str = "") -> bool:
        """Something happened; whether that ended the step."""
        step = self.step
        if self._at is not None and step is not None and step.waits_for == "trained" and what == "not trained":
            self._at -= 1  # it was stopped, or failed: once more
            return True
        if self._at is None or step is None or step.waits_for != what:
            return False
        if step.name and name != step.name:
            return False
        if what == "trained":
            self._name = name
        self._at += 1
        return True

    def takes(self, text: str, bridge: Bridge, answer: Message | None) -> bool:
        """Whether the tour does what was sent: its training learns from its own conversation alone."""
        step = self.step
        if step is None or step.waits_for != "began" or text.strip() != step.prefill or answer is None:
            return False
        from lora_chat.sitting.offer import offer_from

        conversation = answer.conversation
        bridge.run(lambda sitting: offer_from(sitting, conversation, NAME))
        return True
