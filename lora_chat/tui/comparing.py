"""Before and after, beside the chat. Owns the thread that asks; what is asked is ``sitting/comparison.py``'s."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lora_chat.adapters.registry import read_installed
from lora_chat.session import Wearing
from lora_chat.sitting.comparison import Compared, compare, questions
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.sitting import Sitting
from lora_chat.training.events import Installed
from lora_chat.tui.messages import ComparedSeen, News


class Comparing:
    """What was taught, asked with and without one adapter."""

    def __init__(self, sitting: Sitting, put: Callable[[News], object]) -> None:
        self.cancel = threading.Event()
        """Ends it."""
        self._sitting = sitting
        self._put = put

    def ask(self, plan: Plan | None, trained: Installed, more: Sequence[tuple[str, str]]) -> None:
        """Tell each question at once, then each answer as it comes. Raises as ``compare``.

        Of what an earlier window planned (None), only what was not taught is asked.
        """
        asked = questions(plan.selection if plan else None, more)
        for index, question in enumerate(asked):
            self._put(ComparedSeen(index, Compared(question)))
        worn = Wearing(read_installed(Path(trained.path))).worn  # which may be a version that is kept and not worn
        for row in compare(self._sitting.engine, asked, worn, self.cancel):
            self._put(ComparedSeen(asked.index(row.question), row))
