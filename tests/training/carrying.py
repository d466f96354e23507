"""A job that travels, as the tests of it need one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lora_chat.models.installed import InstalledBase
from lora_chat.training.carried import write_out
from lora_chat.training.lesson import Lesson, Selection
from tests.engine.conftest import lesson, short_recipe

MANY = tuple(lesson(f"What is {number}, and where is your shop?", f"It is {number}.") for number in range(14))


def written(
    folder: Path, base: InstalledBase, general: Path, lessons: tuple[Lesson, ...] = MANY, **changes: Any
) -> Path:
    """A job of eight steps, with the base's answers to general questions beside it."""
    usual: dict[str, Any] = {"max_steps": 8, "learnt_probability": 0.999, "learning_rate": 0.02}
    recipe = short_recipe(**(usual | changes))
    write_out(folder, "shop", base, "shop.jsonl", Selection(lessons, {}), recipe, general=general)
    return folder


def copied(job: Path, name: str) -> Path:
    """The same job once more."""
    return Path(shutil.copytree(job, job.with_name(name)))
