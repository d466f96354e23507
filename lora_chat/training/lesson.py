"""What is learnt: lessons, and the selection they make up. Owns these two values; never chooses what goes into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from lora_chat.chat.conversation import Turn
from lora_chat.training.choosing.redact import Hit

EXCLUDED = "excluded"
"""Why an answer is left out that the person chose to leave out."""

Hits = tuple[tuple[Hit, ...], ...]
"""Private data in each message of a lesson."""


@dataclass(frozen=True)
class Lesson:
    """One conversation and which of its answers are learnt."""

    messages: tuple[Turn, ...]
    learn: tuple[int, ...]
    """Indices of the assistant turns that are learnt; the others are context."""
    source: str
    """Where it comes from: ``line 12`` or a conversation's id."""
    why: tuple[str, ...] = field(default=(), compare=False)
    """Of each of ``learn``: ``edited``, ``rated good`` or ``unrated`` from the history, ``example`` from a file; a job
    does not keep it."""
    hits: Hits = field(default=(), compare=False)
    """Private data in each of ``messages``, masked or kept; a job does not keep it."""

    @property
    def redacted(self) -> int:
        """Pieces of private data replaced by placeholders."""
        return sum(hit.masked for hits in self.hits for hit in hits)

    def without(self, indices: Collection[int]) -> Lesson | None:
        """The same with these answers as context, up to the last that is still learnt; None where none is."""
        kept = [place for place, index in enumerate(self.learn) if index not in indices]
        if not kept:
            return None
        end = self.learn[kept[-1]] + 1
        return Lesson(
            messages=self.messages[:end],
            learn=tuple(self.learn[place] for place in kept),
            source=self.source,
            why=tuple(self.why[place] for place in kept) if self.why else (),
            hits=self.hits[:end],
        )


@dataclass(frozen=True)
class Found:
    """One piece of private data and where it stands."""

    source: str
    message: int
    """Its index in the lesson's messages."""
    hit: Hit


@dataclass(frozen=True)
class Selection:
    """All lessons, and what was left out."""

    lessons: tuple[Lesson, ...]
    dropped: dict[str, int]
    """Answers left out, counted by reason."""

    @property
    def redacted(self) -> int:
        """Pieces of private data replaced by placeholders."""
        return sum(lesson.redacted for lesson in self.lessons)

    @property
    def examples(self) -> int:
        """Answers that are learnt."""
        return sum(len(lesson.learn) for lesson in self.lessons)

    @property
    def hits(self) -> Iterator[Found]:
        """Each piece of private data, masked or kept, in order."""
        for lesson in self.lessons:
            for index, hits in enumerate(lesson.hits):
                yield from (Found(lesson.source, index, hit) for hit in hits)

    @property
    def private(self) -> dict[str, int]:
        """Pieces of private data that are masked, counted by rule."""
        return dict(Counter(found.hit.rule for found in self.hits if found.hit.masked))

    @property
    def kept(self) -> dict[str, int]:
        """Pieces of private data that are learnt as they are, counted by rule."""
        return dict(Counter(found.hit.rule for found in self.hits if not found.hit.masked))

    def without(self, left_out: Collection[tuple[str, int]]) -> Selection:
        """What is left when the person leaves out single answers, each as (its lesson's source, index in the messages).

        They become context; lessons that teach nothing any more are gone, and perhaps all of them are.
        """
        kept: list[Lesson] = []
        for lesson in self.lessons:
            rest = lesson.without({index for source, index in left_out if source == lesson.source})
            kept += [] if rest is None else [rest]
        less = replace(self, lessons=tuple(kept))
        excluded = self.examples - less.examples
        if not excluded:
            return self
        return replace(less, dropped=self.dropped | {EXCLUDED: self.dropped.get(EXCLUDED, 0) + excluded})
