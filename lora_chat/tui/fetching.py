"""A base model comes onto this machine. Owns the process that brings it, one at a time; never converts anything here.

Converting takes torch, which this process must not import, and a download must not hold up the window.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from lora_chat.defects import sentence
from lora_chat.errors import RefusedError
from lora_chat.text import clean_line
from lora_chat.tui.base_messages import FetchFailed, Fetching
from lora_chat.tui.messages import News


class Fetcher:
    """The base that comes now, if any does."""

    def __init__(self, put: Callable[[News], object], came: Callable[[str], object]) -> None:
        """``put`` reaches the screen; ``came`` is told the name of each base that is here, on the fetch's thread."""
        self._put, self._came = put, came
        self._thread: threading.Thread | None = None
        self._unwanted = threading.Event()
        self._name = ""

    def start(self, wish: str, name: str) -> None:
        """Bring what ``model pull`` calls ``wish``, to be called ``name`` here; returns at once.

        Raises:
            RefusedError: another one comes.
        """
        if self.name:
            raise RefusedError(f"{self._name} comes already: wait for it, or stop it with x in /model list.")
        self._name, self._unwanted = name, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(wish, name, self._unwanted), name="fetch", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What comes now; empty where nothing does."""
        return self._name if self._thread is not None and self._thread.is_alive() else ""

    def stop(self) -> None:
        """Nobody waits for it any more."""
        self._unwanted.set()

    def wait(self, seconds: float) -> None:
        """Until it has ended, for at most ``seconds``."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, wish: str, name: str, unwanted: threading.Event) -> None:
        def tell(what: str, done: float, total: float) -> None:
            self._put(Fetching(what, done, total, name))

        try:
            tell(f"Fetching {clean_line(name, 64)}", 0, 0)
            failure = fetch_base(wish, tell, unwanted)
            if unwanted.is_set() and failure:
                failure = f"{name} was stopped: /model pull begins again, or goes on where a hub had got to."
            if not failure:
                self._came(name)
                return
        except BaseException as error:
            failure = sentence(error)
        self._put(FetchFailed(failure, name))


def fetch_base(name: str, tell: Callable[[str, float, float], None], cancel: threading.Event) -> str:
    """Run ``lora-chat model pull NAME --json`` and tell its progress; return why it failed, "" if it did not.

    Setting ``cancel`` ends the process; a fetch leaves nothing half-made behind.
    """
    command = [sys.executable, "-P", "-m", "lora_chat", "model", "pull", name, "--yes", "--json"]
    said = f"The base model {name} did not come: run `lora-chat model pull {name}` to see why."
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        threading.Thread(target=_end_when, args=(cancel, process), name="fetch-end", daemon=True).start()
        for line in process.stdout:
            event = _read(line)
            if event.get("event") == "progress":
                tell(str(event["what"]), float(event["done"]), float(event["total"]))
            elif event.get("event") == "failed":
                said = str(event["reason"])
    return said if process.returncode else ""


def _end_when(cancel: threading.Event, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if cancel.wait(0.2):
            process.terminate()
            return


def _read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
