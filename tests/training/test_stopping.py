"""The rate that the rules ask for, and when they end a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.training.events import Evaluated
from lora_chat.training.recipe import Recipe, choose_recipe
from lora_chat.training.stopping import LearntRule

HANDFUL = choose_recipe(8, 100_000_000)


@dataclass
class Course:
    """A run that takes steps of which one tells whether they were learnt."""

    recipe: Recipe
    lessons: Sequence[object] = (1, 2, 3)
    step: int = 0
    stopped_because: str = ""

    def evaluate(self) -> float | None:
        return None

    def evaluated(self, loss: float) -> Evaluated:
        raise AssertionError("a handful has nothing held out")

    def keep_best(self, loss: float) -> bool:
        raise AssertionError("nor a best")

    def rates(self, learnt_from: int) -> list[float]:
        """Those of all steps, when each from ``learnt_from`` on finds its lessons learnt."""
        rule, found = LearntRule(self), list[float]()
        while not self.stopped_because:
            found.append(rule.decay())
            self.step += 1
            list(rule.after_step(self.step >= learnt_from))
        return found


def test_the_rate_falls_to_nothing_over_the_last_half_where_not_all_is_learnt() -> None:
    course = Course(replace(HANDFUL, max_steps=8, falling=0.5))
    assert course.rates(learnt_from=99) == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert course.stopped_because == "8 steps are the most for this recipe; not every answer is learnt"


def test_it_does_not_fall_where_that_is_off() -> None:
    assert set(Course(replace(HANDFUL, max_steps=8, falling=0.0)).rates(learnt_from=99)) == {1.0}


def test_what_is_learnt_early_settles_as_ever() -> None:
    course = Course(replace(HANDFUL, max_steps=48, settle_steps=3, falling=0.5))
    assert course.rates(learnt_from=2) == [1, 1, 0.75, 0.5, 0.25]
    assert course.stopped_because == "every answer is learnt"


@given(
    most=st.integers(1, 60),
    settle=st.integers(0, 12),
    learnt=st.integers(1, 80),
    falling=st.floats(0, 1, allow_nan=False),
)
def test_the_rate_never_rises_and_never_is_nothing(most: int, settle: int, learnt: int, falling: float) -> None:
    course = Course(replace(HANDFUL, max_steps=most, settle_steps=settle, falling=falling))
    rates = course.rates(learnt_from=learnt)
    assert len(rates) == course.step <= most
    assert rates == sorted(rates, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("lessons", [1, 6, 12, 24, 29])
def test_more_corrections_may_take_more_steps(lessons: int) -> None:
    assert choose_recipe(lessons, 10**8).max_steps == max(48, min(96, 4 * lessons))
