"""Which language the program speaks. Owns that choice and ``tr``; the code itself, logs and JSON speak English.

Text becomes the person's language where it is shown, never where it is made: a refusal raised in the engine's process
is English until the window draws it. So nothing below a face knows of this package, and ``tr`` takes a whole sentence,
names and numbers in it: ``tr(f"{name} is not installed")``. What was written by people, models or adapters is never
handed to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lora_chat.language.catalogue import Catalogue

Language = Literal["en", "zh"]

_spoken: Catalogue | None = None
"""None is English, which needs no words looked up."""


def tr(text: str) -> str:
    """``text``, a sentence or label of the program's own, in the person's language; as it is where that lacks it."""
    return text if _spoken is None else _spoken.say(text)


def speak(language: Language) -> None:
    """Speak so from now on, in this process."""
    global _spoken
    if language == "en":
        _spoken = None
        return
    from lora_chat.language.catalogue import load

    _spoken = load(language)


def spoken() -> Language:
    """What is spoken now."""
    return "en" if _spoken is None else "zh"


def chosen(setting: str, environment: Mapping[str, str]) -> Language:
    """What the setting says; ``auto`` asks ``LC_ALL``, ``LC_MESSAGES`` and ``LANG``, the first that is set.

    Every Chinese locale gets Chinese, in simplified characters; anything else gets English.
    """
    if setting in ("en", "zh"):
        return "zh" if setting == "zh" else "en"
    said = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "zh" if said.lower().replace("-", "_").partition(".")[0].partition("_")[0] == "zh" else "en"
