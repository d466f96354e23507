"""Files for the prompt, beside the event loop. Owns their two threads: a folder that never answers, or an engine that
is slow to count, holds up nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.tui.desk import Desk
from lora_chat.tui.file_messages import FilesFound, FilesSeen, FileWeighed

if TYPE_CHECKING:
    from lora_chat.chat.attached import File
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.tui.messages import News

_KEPT = 500
"""Counts that are kept."""


class Files:
    """Completes their names, reads and weighs them; of several wishes of a kind only the newest is looked at."""

    def __init__(
        self,
        put: Callable[[News], object],
        sitting: Callable[[], Sitting | None],
        complain: Callable[[BaseException], object],
    ) -> None:
        """``sitting`` is the one there is by then."""
        self._put, self._sitting = put, sitting
        self._looking, self._weighing = Desk("files", complain), Desk("weights", complain)
        self._half = self._text = ""
        self._weights: dict[tuple[str, bytes], int] = {}

    def complete(self, half: str) -> None:
        """Tell what ``half``, which begins with ``@``, could become; returns at once."""
        self._half = half
        self._looking.put(lambda: self._complete(half))

    def look(self, text: str) -> None:
        """Tell what goes with ``text``; returns at once."""
        self._text = text
        self._looking.put(lambda: self._look(text))

    def weigh(self, file: File) -> None:
        """Tell how many tokens ``file`` takes, where somebody can count them now; returns at once."""
        self._weighing.put(lambda: self._weigh(file))

    def _complete(self, half: str) -> None:
        from lora_chat.sitting.filenames import files_like

        if half == self._half:
            self._put(FilesFound(half, files_like(half)))

    def _look(self, text: str) -> None:
        from lora_chat.sitting.attaching import look_at

        if text == self._text:
            self._put(FilesSeen(text, look_at(text)))

    def _weigh(self, file: File) -> None:
        from lora_chat.sitting.attaching import weigh

        if (sitting := self._sitting()) is None:
            return
        key = sitting.answerer.name, hashlib.blake2b(file.block.encode()).digest()
        if key not in self._weights:
            if (tokens := weigh(sitting.engine, file)) is None:
                return
            for old in list(self._weights)[: 1 - _KEPT]:
                del self._weights[old]
            self._weights[key] = tokens
        self._put(FileWeighed(file, self._weights[key]))
