"""When a training ends. Owns the two rules and what each counts; never trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from lora_chat.training.events import Evaluated, TrainingEvent
from lora_chat.training.recipe import Recipe

Counted = dict[str, int | None]
"""What a rule has counted so far, as a checkpoint keeps it."""


class Run(Protocol):
    """What is stopped."""

    recipe: Recipe
    step: int
    stopped_because: str

    @property
    def lessons(self) -> Sequence[object]:
        """What it learns from."""

    def evaluate(self) -> float | None:
        """The held-out loss as it is now."""

    def evaluated(self, loss: float) -> Evaluated:
        """It was measured after this step."""

    def keep_best(self, loss: float) -> bool:
        """Remember the weights if ``loss`` is the lowest so far."""


class LearntRule:
    """For a handful: stop ``settle_steps`` steps after every lesson was learnt in one round."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.round = -(-len(run.lessons) // run.recipe.batch)
        self.learnt_in_a_row = 0
        self.settling: int | None = None

    def counted(self) -> Counted:
        """What a checkpoint keeps of it."""
        return {"learnt_in_a_row": self.learnt_in_a_row, "settling": self.settling}

    def go_on(self, counted: Counted) -> None:
        """From a checkpoint."""
        self.learnt_in_a_row, self.settling = counted["learnt_in_a_row"] or 0, counted["settling"]

    def decay(self) -> float:
        """Full rate until everything is learnt or the end is near, then down to nothing."""
        recipe = self.run.recipe
        falling = recipe.falling * recipe.max_steps
        near_the_end = min(1.0, (recipe.max_steps - self.run.step) / falling) if falling else 1.0
        return near_the_end if self.settling is None else min(near_the_end, self.settling / (recipe.settle_steps + 1))

    def steps_left(self) -> int:
        """At most, once the step just made is counted."""
        most = self.run.recipe.max_steps - self.run.step
        return most if self.settling is None else min(most, self.settling - 1)

    def after_step(self, learnt: bool) -> Iterator[TrainingEvent]:
        """Decide whether to go on."""
        if self.settling is None:
            self.learnt_in_a_row = self.learnt_in_a_row + 1 if learnt else 0
            if self.learnt_in_a_row >= self.round:
                self.settling = self.run.recipe.settle_steps
        else:
            self.settling -= 1
        last = self.run.step >= self.run.recipe.max_steps
        if self.settling == 0 or (last and self.settling is not None):
            self.run.stopped_because = "every answer is learnt"
        elif last:
            self.run.stopped_because = f"{self.run.step} steps are the most for this recipe; not every answer is learnt"
        yield from ()


class HeldoutRule:
    """For a collection: evaluate after each epoch, stop when it no longer gets better."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.epoch = max(1, -(-len(run.lessons) // run.recipe.batch))
        self.worse = 0

    def counted(self) -> Counted:
        """What a checkpoint keeps of it."""
        return {"worse": self.worse}

    def go_on(self, counted: Counted) -> None:
        """From a checkpoint."""
        self.worse = counted["worse"] or 0

    def decay(self) -> float:
        """Linear to zero at the last step."""
        return max(0.02, 1 - self.run.step / self.run.recipe.max_steps)

    def steps_left(self) -> int:
        """At most."""
        return self.run.recipe.max_steps - self.run.step

    def after_step(self, learnt: bool) -> Iterator[TrainingEvent]:
        """Evaluate at an epoch's end and decide whether to go on."""
        last = self.run.step >= self.run.recipe.max_steps
        if self.run.step % self.epoch == 0 or last:
            loss = self.run.evaluate()
            assert loss is not None
            yield self.run.evaluated(loss)
            self.worse = 0 if self.run.keep_best(loss) else self.worse + 1
        if self.worse >= self.run.recipe.patience:
            self.run.stopped_because = f"the held-out loss got no better for {self.worse} epochs; the best is kept"
        elif last:
            self.run.stopped_because = f"{self.run.step} steps are the most for this recipe; the best is kept"
