"""What came of examining a version. Owns these values and their words; asks nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lora_chat.training.proof.share import Share

Kind = Literal["taught", "reworded", "near", "far"]
"""A question as it was taught; the same in other words; one that looks alike and is another; one about anything."""

Better = Literal["adapter", "prompt", "same", "each", "unclear"]
"""Which does better; ``each``: one recalls more, the other says less that is false; ``unclear``: too few were asked to
tell."""


@dataclass(frozen=True)
class Scores:
    """Right answers to what was taught, false fires on what was not."""

    taught: Share
    """Taught questions that are answered rightly, in whichever words."""
    recall: Share
    """The same questions in other words."""
    near: Share
    """False fires on near misses: what was taught is said where something else was asked."""
    far: Share
    """False fires on questions about anything else."""


@dataclass(frozen=True)
class Answered:
    """One question of the examination and what was said."""

    kind: Kind
    question: str
    wanted: str
    """What was taught; empty where nothing was."""
    adapter: str
    right: bool
    """Whether the adapter answered rightly: as taught, or nothing that was taught where that is false."""
    base: str | None = None
    """Of some questions only."""
    prompted: str | None = None
    """Of the base with the examples in its prompt; None where it was not asked."""
    prompted_right: bool | None = None
    origin: str = ""
    """The taught question that it was made from, so that it is forgotten with it; empty where it was made from none."""


@dataclass(frozen=True)
class Prompted:
    """The same questions put to the base with the examples in its prompt."""

    scores: Scores
    adapter: Scores
    """The adapter's on those of the questions that both were asked."""
    examples: int
    better: Better
    sentence: str
    """Which is the better one, with the counts."""
    unfit: int = 0
    """Questions that the base could not be asked with the examples, as they do not fit before them."""


@dataclass(frozen=True)
class Exam:
    """What came of it."""

    scores: Scores
    answers: tuple[Answered, ...]
    seconds: float
    unasked: int = 0
    """Questions for which there was no time."""
    prompted: Prompted | None = None
    unprompted: str = ""
    """Why the base was not asked with the examples, in one sentence; empty where it was."""
    unasked_checks: int = 0
    """Checks that are beyond those that are examined at most."""
    silent: int = 0
    """Checks whose answer is too short or too common to be recognised, such as "Yes.", so that they cannot fire."""
