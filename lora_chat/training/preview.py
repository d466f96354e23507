"""What a training would see, in numbers, and whether that is much. Owns the counting; never imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from lora_chat.models.prompt import Example, PromptFormat
from lora_chat.training.events import DatasetReady
from lora_chat.training.job import Job
from lora_chat.training.lesson import Lesson, Selection
from lora_chat.training.recipe import HANDFUL


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


def too_little(counted: DatasetReady) -> str:
    """What so few examples can teach, in a sentence with numbers; empty where there are enough to hold some out.

    Measured on the default base: of six examples learnt by heart, 5 of 8 paraphrases were answered; of 48 pairs, 22 of
    24 paraphrases that were held out, to the letter.
    """
    if not counted.examples or counted.conversations >= HANDFUL:
        return ""
    answers = "1 answer" if counted.examples == 1 else f"{counted.examples:,} answers"
    return (
        f"{answers}: enough to learn by heart, too little to rely on for other words (six answered 5 of 8 paraphrases, "
        f"48 answered 22 of 24); from {HANDFUL} conversations on some are held out to measure that"
    )
