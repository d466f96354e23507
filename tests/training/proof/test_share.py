"""How sure a count is."""

from __future__ import annotations

import pytest

from lora_chat.training.proof.share import Share, mean_interval, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_is_as_published(hits: int, of: int, low: float, high: float) -> None:
    """Figures of R. G. Newcombe (1998), table I, and of R's ``prop.test(..., correct = FALSE)``."""
    assert wilson(hits, of) == pytest.approx((low, high), abs=1e-4)


def test_a_share_is_told_with_its_interval() -> None:
    assert Share(7, 8).sentence == "7 of 8 (53–98 %)"
    assert Share(0, 0).sentence == "none asked"


def test_the_interval_of_a_mean_is_around_it_and_always_alike() -> None:
    sums, counts = [0.1, 0.4, 0.0, 0.9, 0.2], [10, 20, 8, 30, 12]
    low, high = mean_interval(sums, counts)
    assert low < sum(sums) / sum(counts) < high
    assert mean_interval(sums, counts) == (low, high)
    assert mean_interval([2.0, 1.0], [2, 1]) == (1.0, 1.0)


def test_more_answers_make_it_narrower() -> None:
    few = mean_interval([0.0, 1.0] * 4, [10] * 8)
    many = mean_interval([0.0, 1.0] * 64, [10] * 128)
    assert many[1] - many[0] < (few[1] - few[0]) / 2
