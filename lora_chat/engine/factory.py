"""Which engine. Owns the choice; the imports that bring torch stand inside the functions."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lora_chat.config import Precision
from lora_chat.engine.kept import Kept, kept_for
from lora_chat.engine.process import ProcessEngine, engine_environment
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths

if TYPE_CHECKING:
    from lora_chat.engine.local import LocalEngine


def open_local(base: InstalledBase, kept: Kept, precision: Precision = "auto") -> LocalEngine:
    """The engine in this process: for one-shot commands, and inside the engine process."""
    quiet_and_offline()
    with ctrl_c_waits():
        from lora_chat.engine.local import LocalEngine

    return LocalEngine(base, kept, precision)


def open_local_for(base: InstalledBase, paths: Paths, precision: Precision = "auto") -> LocalEngine:
    """The same, with its files where ``paths`` has them."""
    return open_local(base, kept_for(base, paths), precision)


def open_process(base: InstalledBase, paths: Paths, precision: Precision = "auto") -> ProcessEngine:
    """The engine in a process of its own: for everything a person looks at meanwhile."""
    return ProcessEngine(base, kept_for(base, paths), paths.logs, precision)


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Hold a Ctrl-C until something is imported: raised inside torch's native parts, it aborts the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


def quiet_and_offline() -> None:
    """Before torch and transformers are imported: both read these once."""
    import warnings

    quiet = engine_environment(dict(os.environ))
    quiet.pop("LD_PRELOAD", None)
    os.environ.update(quiet)
    for library in ("transformers", "torch", "peft"):  # what they will change is no news for who chats
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)
