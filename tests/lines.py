"""An adapter's line as a test wants it. Owns writing its checks as the product would."""

from __future__ import annotations

from collections.abc import Iterable

from lora_chat.files import write_durably
from lora_chat.paths import make_private
from lora_chat.training.lesson_file import to_lines
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Line
from lora_chat.training.proof.line_files import CHECKS, check_row


def keep(line: Line, checks: Iterable[Check]) -> None:
    """These are its checks from now on."""
    make_private(line.folder)
    write_durably(line.folder / CHECKS, to_lines(map(check_row, checks)))
