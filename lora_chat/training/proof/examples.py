"""What was taught as examples in a prompt. Owns which of it can stand there and where; never asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.preset import turns_of
from lora_chat.training.lesson import Lesson


@dataclass(frozen=True)
class Examples:
    """A system prompt, and questions with the answers that were taught."""

    system: str
    pairs: tuple[tuple[str, str], ...]
    left_out: int
    """Answers that need what was said before them, or were taught under another system prompt."""

    @property
    def characters(self) -> int:
        """Of all pairs together."""
        return sum(len(asked) + len(said) for asked, said in self.pairs)

    def before(self, messages: Sequence[Turn]) -> tuple[Turn, ...]:
        """``messages`` with the examples before them, under ``system`` where they have no system turn of their own."""
        own = tuple(turn for turn in messages if turn.role is Role.SYSTEM)
        begins = own or ((Turn(Role.SYSTEM, self.system),) if self.system else ())
        return (*begins, *turns_of(self.pairs), *(turn for turn in messages if turn.role is not Role.SYSTEM))


def examples_of(lessons: Iterable[Lesson]) -> Examples:
    """Each learnt answer to the first question of its conversation, under the commonest system prompt."""
    taught = [(_system(lesson), lesson, at) for lesson in lessons for at in lesson.learn if at]
    counted = Counter(system for system, _, _ in taught)
    system = counted.most_common(1)[0][0] if counted else ""
    pairs = {
        (lesson.messages[at - 1].content, lesson.messages[at].content): None
        for own, lesson, at in taught
        if own == system and [turn.role for turn in lesson.messages[:at] if turn.role is not Role.SYSTEM] == [Role.USER]
    }
    return Examples(system, tuple(pairs), len(taught) - len(pairs))


def _system(lesson: Lesson) -> str:
    first = lesson.messages[0]
    return first.content if first.role is Role.SYSTEM else ""
