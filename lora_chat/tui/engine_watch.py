"""Whether the engine lives. Owns loading it and starting it again after a death; never generates or trains."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.defects import record
from lora_chat.engine.protocol import Engine
from lora_chat.errors import LoraChatError
from lora_chat.models.answering import Served
from lora_chat.tui.messages import EngineSeen, News

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

OFTEN = 3
WHILE_S = 60.0
"""An engine that dies ``OFTEN`` times within this time is not started again by itself."""


class EngineWatch:
    """One engine process, loaded at once and again whenever it died."""

    def __init__(self, engine: Engine, put: Callable[[News], None], ready: Callable[[], object]) -> None:
        """``put`` reaches the screen; ``ready`` is called each time it is loaded."""
        self._engine = engine
        self._put = put
        self._ready = ready
        self._deaths: list[float] = []
        self._loading = False
        self._left = False

    def leave(self) -> None:
        """It is put away: what is still to be said of it is nobody's."""
        self._left = True

    def load(self) -> None:
        """Load it on a thread of its own; returns at once."""
        self._loading = True
        threading.Thread(target=self._load, name="load-engine", daemon=True).start()

    def check(self) -> None:
        """Notice a death; cheap enough for the event loop."""
        if self._loading or self._left or getattr(self._engine, "state", "running") != "died":
            return
        now = time.monotonic()
        self._deaths = [at for at in self._deaths if now - at < WHILE_S]
        if len(self._deaths) >= OFTEN:
            return
        self._deaths.append(now)
        if len(self._deaths) < OFTEN:
            self._tell(EngineSeen("died", "The engine process ended; it is being started again."))
            self.load()
        else:
            self._tell(EngineSeen("failed", "The engine process ended again and again; your next message starts it."))

    def _load(self) -> None:
        self._tell(EngineSeen("loading"))
        try:
            info = self._engine.load()
            how = f"{info.device}, {info.decoding}, {info.load_seconds:.1f} s"
            self._tell(EngineSeen("ready", how, info.context_window))
            if not self._left:
                self._ready()
        except LoraChatError as error:
            self._tell(EngineSeen("failed", str(error)))
        except Exception as error:  # a thread would print its traceback over the window
            self._tell(EngineSeen("failed", record(error)))
        finally:
            self._loading = False

    def _tell(self, event: EngineSeen) -> None:
        if not self._left:
            self._put(event)


def ready(sitting: Sitting) -> None:
    """The engine is loaded; a server's tells only then who answers, and what is worn is held against that."""
    if isinstance(sitting.answerer, Served):
        sitting.face.changed()
        sitting.look_after_what_is_worn()  # what it warns of stays in sight until something changes
    sitting.prefill()
