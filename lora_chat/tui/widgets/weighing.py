"""The wish to have a file weighed. Owns that message; never counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from lora_chat.chat.attached import File


@dataclass
class WeightWanted(Message):
    """How many tokens it takes of a message: whoever posts this is told by ``weighed``, once it is counted."""

    file: File
