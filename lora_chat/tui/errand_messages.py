"""What commands of plugins tell the screen. Owns these messages; ``errands`` alone posts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_chat.tui.messages import News

if TYPE_CHECKING:
    from lora_chat.sitting.commands import Command


@dataclass
class CommandsSeen(News):
    """What the enabled plugins add to the one table."""

    commands: Sequence[Command]


@dataclass
class ErrandSeen(News):
    """A command of a plugin began or ended."""

    title: str
    """What was typed for it."""
    running: bool


@dataclass
class TextSeen(News):
    """All the text that one gave."""

    title: str
    plugin: str
    text: str
    """Cleaned, in nobody's language but its own."""


@dataclass
class Written(News):
    """A text is to stand in the prompt."""

    text: str
