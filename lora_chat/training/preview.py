"""What a training would see, in numbers. Owns the counting; never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from lora_chat.models.prompt import Example, PromptFormat
from lora_chat.training.events import DatasetReady
from lora_chat.training.job import Job
from lora_chat.training.lesson import Lesson, Selection


def preview(selection: Selection, prompt: PromptFormat) -> DatasetReady:
    """Count a selection as its training will.

    Raises:
        RefusedError: a lesson cannot be tokenised for this base.
    """
    examples = [example for lesson in selection.lessons for example in prompt.examples(lesson.messages, lesson.learn)]
    return count(selection.lessons, examples, selection)


def count(lessons: Sequence[Lesson], examples: Sequence[Example], chosen: Selection | Job) -> DatasetReady:
    """The ``dataset`` event of these lessons and their sequences."""
    return DatasetReady(
        conversations=len(lessons),
        examples=sum(len(lesson.learn) for lesson in lessons),
        dropped=dict(chosen.dropped),
        tokens=sum(len(example.ids) for example in examples),
        supervised_tokens=sum(sum(example.supervised) for example in examples),
        redacted=chosen.redacted,
        private=dict(chosen.private),
        kept=dict(chosen.kept),
    )
