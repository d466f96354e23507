"""``lora-chat train … --write-job FOLDER``: a training for another machine. Owns how that is told; never writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.services import Services
    from lora_chat.sitting.plan import Course


def write(
    services: Services, course: Course, source: str, folder: Path, checkpoint_every: float, *, json: bool, yes: bool
) -> None:
    """Show what ``course`` would learn from ``source``, ask, and write it as a job into ``folder``.

    Raises:
        RefusedError: there is something already, or it cannot be written.
    """
    from lora_chat.cli import plan
    from lora_chat.cli.console import answer, answer_json, answer_table, confirm, note
    from lora_chat.engine.kept import kept_for
    from lora_chat.training.carried import write_out

    plan.show(course, json=False)
    if not json and not confirm(f"Write this training of {course.name} into {folder}?", yes=yes):
        note("Nothing was written.")
        return
    what = (course.name, course.base, source, course.selection, course.recipe, checkpoint_every)
    general = kept_for(course.base, services.paths).general_answers
    parts = write_out(folder, *what, course.start, course.checks_of, general)
    total = sum(part.bytes for part in parts)
    if json:
        files = {part.name: {"bytes": part.bytes, "what": part.what} for part in parts}
        answer_json({"job": str(folder.absolute()), "bytes": total, "files": files})
        return
    answer(f"{folder} is a training job of {total:,} bytes; it holds what is learnt in plain words:")
    answer_table(["FILE", "BYTES", "WHAT"], [[part.name, f"{part.bytes:,}", part.what] for part in parts], right=(1,))
    answer(f"Train it on any machine with lora-chat: python -m lora_chat.training {folder}")
    answer(f"In several processes: torchrun --nproc-per-node 2 -m lora_chat.training {folder}")
    answer(f"Then, here: lora-chat adapter install {folder}")
