"""What the screen is told of files. Owns these messages; ``files`` alone puts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_chat.tui.messages import News

if TYPE_CHECKING:
    from lora_chat.chat.attached import File
    from lora_chat.sitting.attaching import Look
    from lora_chat.sitting.completion import Completion


@dataclass
class FilesFound(News):
    """What a half-written name could become."""

    half: str
    found: Sequence[Completion]


@dataclass
class FilesSeen(News):
    """What goes with the text that stands in the prompt."""

    text: str
    looks: Sequence[Look]


@dataclass
class FileWeighed(News):
    """How many tokens a file takes of a message on the base that answers."""

    file: File
    tokens: int
