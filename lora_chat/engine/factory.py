"""Which engine. Owns the choice; the imports that bring torch stand inside the functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lora_chat.engine.process import ProcessEngine, engine_environment
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths

if TYPE_CHECKING:
    from lora_chat.engine.local import LocalEngine

GENERAL_ANSWERS = "general-answers.safetensors"


def open_local(base: InstalledBase, general_answers: Path) -> LocalEngine:
    """The engine in this process: for one-shot commands, and inside the engine process."""
    _quiet_and_offline()
    from lora_chat.engine.local import LocalEngine

    return LocalEngine(base, general_answers)


def open_local_for(base: InstalledBase, paths: Paths) -> LocalEngine:
    """The same, with its files where ``paths`` has them."""
    return open_local(base, general_answers(base, paths))


def open_process(base: InstalledBase, paths: Paths) -> ProcessEngine:
    """The engine in a process of its own: for everything a person looks at meanwhile."""
    return ProcessEngine(base, general_answers(base, paths), paths.logs)


def general_answers(base: InstalledBase, paths: Paths) -> Path:
    """Where the base's own answers to general questions are kept: beside its record, a cache like the base itself."""
    return paths.models / base.name / GENERAL_ANSWERS


def _quiet_and_offline() -> None:
    """Before torch and transformers are imported: both read these once."""
    import warnings

    quiet = engine_environment(dict(os.environ))
    quiet.pop("LD_PRELOAD", None)
    os.environ.update(quiet)
    for library in ("transformers", "torch", "peft"):  # what they will change is no news for who chats
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)
