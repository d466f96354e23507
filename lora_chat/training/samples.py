"""What it would answer by now. Owns the sample answers of a training; takes no part in what is learnt. [torch]

Greedy, so nothing is drawn, and without gradients. One forward over the question and the answer it may give (the
taught one, or the base's own) shows how far it would write exactly that; only what it would say otherwise is decoded
word by word, as far as there is time: all samples together take at most 2 % of the training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lora_chat.chat.conversation import Role
from lora_chat.models.prompt import Example, PromptFormat
from lora_chat.training.events import Sampled
from lora_chat.training.general import MEASURED
from lora_chat.training.rehearsal import Rehearsal, until_end
from lora_chat.training.selection import Lesson
from lora_chat.training.trainee import Trainee

LONGEST = 24
"""Tokens of a sample."""
SHARE = 0.02
"""Of the training's time that samples may take."""
EVERY_S = 15.0
"""Between two samples, at least."""
_FIRST_COST_S = 0.002
"""Of a token that is read, guessed for the first: 130 tokens take 0.25 s on two cores."""


@dataclass(frozen=True)
class _Asked:
    """One question, and the answer that it may give."""

    question: str
    prompt: tuple[int, ...]
    expected: tuple[int, ...]
    taught: bool


class Samples:
    """The sample answers of one training: taught and general questions in turn."""

    def __init__(
        self,
        trainee: Trainee,
        prompt: PromptFormat,
        lessons: Sequence[Lesson],
        rehearsal: Rehearsal,
        clock: Callable[[], float],
    ) -> None:
        """``trainee`` is the one that is trained; ``clock`` the training's."""
        self._trainee, self._prompt, self._clock = trainee, prompt, clock
        self._lessons, self._measured = lessons, rehearsal.measured
        self._began = self._last = clock()
        self._spent, self._cost = 0.0, _FIRST_COST_S
        self._count = 0

    def after_step(self, step: int) -> list[Sampled]:
        """A taught and a general question's answer if it is time for them, else nothing. Raises what the check does."""
        now, began = self._clock(), time.thread_time()  # which leaves out the waiting for replies
        allowed = SHARE * (now - self._began) - self._spent
        if now - self._last < EVERY_S:
            return []
        pair = self._taught(), self._general()
        tokens = sum(len(each.prompt) + len(each.expected) for each in pair)
        if allowed < self._cost * tokens:
            return []
        made = [self._sampled(each, step, began + allowed * part) for each, part in zip(pair, (0.5, 1.0), strict=True)]
        self._count, self._last = self._count + 1, now
        spent = time.thread_time() - began
        self._spent, self._cost = self._spent + spent, spent / tokens
        return made

    def _taught(self) -> _Asked:
        lesson = self._lessons[self._count % len(self._lessons)]
        index = lesson.learn[-1]
        [example] = self._prompt.examples(lesson.messages[: index + 1], [index])
        question = next((turn.content for turn in reversed(lesson.messages[:index]) if turn.role is Role.USER), "")
        return _asked(question, example, taught=True)

    def _general(self) -> _Asked:
        index = self._count % len(self._measured)
        return _asked(MEASURED[index], self._measured[index].example, taught=False)

    def _sampled(self, asked: _Asked, step: int, until: float) -> Sampled:
        said = self._greedy(asked, until)
        ended = said[-1] in self._prompt.end_ids
        text = self._prompt.decode(said).strip() + ("" if ended else "…")
        return Sampled(step, asked.question, text, asked.taught, tuple(said) == asked.expected[: len(said)])

    def _greedy(self, asked: _Asked, until: float) -> list[int]:
        """The likeliest tokens, up to the one that ends the turn, ``LONGEST``, or the first after ``until``."""
        expected, reading = asked.expected[: LONGEST - 1], self._trainee.reading()
        likeliest = self._trainee.likeliest([*asked.prompt, *expected], reading, len(expected) + 1)
        same = next((i for i, token in enumerate(expected) if likeliest[i] != token), len(expected))
        said = until_end(likeliest[: same + 1], self._prompt.end_ids)
        if self._is_whole(said) or not reading.cut(len(asked.prompt) + same):
            return said
        while not self._is_whole(said) and time.thread_time() < until:
            said += self._trainee.likeliest([said[-1]], reading, 1)
        return said

    def _is_whole(self, said: list[int]) -> bool:
        return said[-1] in self._prompt.end_ids or len(said) >= LONGEST


def _asked(question: str, example: Example, *, taught: bool) -> _Asked:
    begins = example.supervised.index(True)
    ends = begins + sum(example.supervised)  # some templates write a line's end after the turn's
    return _Asked(question, example.ids[:begins], example.ids[begins:ends], taught)
