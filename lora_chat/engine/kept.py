"""What an engine keeps between starts. Owns those files' places; they are a cache, made again when gone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_chat.engine.speed import SPEED
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.training.pace import PACE


@dataclass(frozen=True)
class Kept:
    """Where one base's engine keeps what is made once."""

    folder: Path
    """The base's own: its packed weights, its answers to general questions."""
    kernels: Path
    """Compiled code, for all bases; readable by its owner alone, as code must be."""

    @property
    def general_answers(self) -> Path:
        """The base's own answers to general questions, which trainings rehearse."""
        return self.folder / "general-answers.safetensors"

    @property
    def speed(self) -> Path:
        """How fast its replies were: see ``speed.read_speed``."""
        return self.folder / SPEED

    @property
    def pace(self) -> Path:
        """How fast it was trained: see ``pace.read_pace``."""
        return self.folder / PACE

    @property
    def effects(self) -> Path:
        """What adapters were measured to change on the base: see ``effects.Effects``."""
        return self.folder / "effects.json"


def kept_for(base: InstalledBase, paths: Paths) -> Kept:
    """Beside the base's record, a cache like the base itself.

    In a folder of its own: vLLM takes every ``*.safetensors`` that lies in a model's folder for weights of the model.
    """
    return Kept(paths.models / base.name / "made", paths.models / ".kernels")
