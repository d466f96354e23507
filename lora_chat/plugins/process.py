"""The process of one plugin, seen from the program. Owns starting it, its time, what it prints, and its end.

A thread cannot be killed and a printed line cannot be taken back from the screen; a process can, and has no screen.
What a plugin prints goes to ``logs/plugin-NAME.log``. It begins a session of its own, so that what it started ends
with it; one that takes itself out of that is beyond reach: plugins have the person's rights.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lora_chat.paths import make_private
from lora_chat.plugins import limits
from lora_chat.plugins.finding import Plugin
from lora_chat.text import clean_line

LONGEST_ITEM = 64_000_000
"""Bytes of one conversation or piece of text."""
_AHEAD = 4
"""Items that are read before they are wanted; what is more waits in the plugin."""
_LARGEST_LOG = 64_000
_TICK_S = 0.05

Answers = Callable[[str, list[Any]], Any]
"""Says what a plugin asks in the middle of a call: the kind, and what belongs to it."""

Lives = Callable[[], object]
"""What differs from one look to the next while a plugin that says nothing is at work all the same."""


class BrokenPlugin(Exception):
    """Why it must not run any more."""


class RefusedByPlugin(Exception):
    """Its own no, in its own words."""


class StoppedPlugin(Exception):
    """The person did not want to wait for it: it did nothing wrong."""


class PluginProcess:
    """One plugin that runs. One call at a time."""

    def __init__(self, plugin: Plugin, logs: Path) -> None:
        self.plugin = plugin
        self._log = make_private(logs) / f"plugin-{plugin.name}.log"
        self._told: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._ended = False
        self._process = _spawn(self._log)
        threading.Thread(target=self._listen, name=f"plugin-{plugin.name}", daemon=True).start()
        begins = {"name": plugin.name, "root": str(plugin.root), "module": plugin.module}
        self._send(begins)

    def start(self, cancel: threading.Event | None = None) -> Any:
        """Wait until it is imported; returns what it registered, as it says. Raises as ``call``."""
        return value_of(self._answers(limits.START_S, _nothing, cancel))

    def call(
        self,
        kind: str,
        *rest: Any,
        limit_s: float,
        answers: Answers | None = None,
        cancel: threading.Event | None = None,
        lives: Lives | None = None,
    ) -> Generator[Any, None, Any]:
        """Ask for something and yield its items; the generator's value is what came at the end.

        Raises:
            BrokenPlugin: it raised, printed, ended, or gave no sign of life for ``limit_s``.
            RefusedByPlugin: it says no.
            StoppedPlugin: ``cancel`` was set.
        """
        self._send({"call": [kind, *rest]})
        return (yield from self._answers(limit_s, answers or _nothing, cancel, lives))

    def end(self) -> None:
        """End it, whatever it does, and what it has started."""
        if self._ended:
            return
        self._ended = True
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        while True:  # so that the thread which reads from it ends
            try:
                self._told.get_nowait()
            except queue.Empty:
                break
        with suppress(OSError):
            if self._log.stat().st_size > _LARGEST_LOG:
                os.truncate(self._log, _LARGEST_LOG)

    def _send(self, what: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):  # it is gone, which the answer says
            pipe.write(json.dumps(what).encode("ascii") + b"\n")
            pipe.flush()

    def _listen(self) -> None:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        with pipe, suppress(OSError, ValueError):
            while (line := pipe.readline(LONGEST_ITEM)) and not self._ended:
                self._told.put(line)
        with suppress(queue.Full):
            self._told.put(b"", timeout=None if not self._ended else 0)

    def _answers(
        self, limit_s: float, answers: Answers, cancel: threading.Event | None, lives: Lives | None = None
    ) -> Generator[Any, None, Any]:
        while True:
            told = self._next(limit_s, cancel, lives)
            match told:
                case {"item": item}:
                    yield item
                case {"ask": [str(kind), *rest]}:
                    self._send({"answer": answers(kind, rest)})
                case {"done": value}:
                    return value
                case {"refused": str(sentence)}:
                    raise RefusedByPlugin(sentence)
                case {"failed": str(reason)}:
                    raise BrokenPlugin(clean_line(reason, 240))
                case _:
                    raise BrokenPlugin("it answered what nobody asked")

    def _next(self, limit_s: float, cancel: threading.Event | None, lives: Lives | None) -> Any:
        """The next thing it says; what it printed is looked for at each turn, so that it fills no disk."""
        until, was = time.monotonic() + limit_s, lives and lives()
        while True:
            try:
                line: bytes | None = self._told.get(timeout=_TICK_S)
            except queue.Empty:
                line = None
            if cancel is not None and cancel.is_set():  # before its end is looked at, which may be the program's doing
                raise StoppedPlugin
            if printed := self._printed():
                raise BrokenPlugin(f"it printed “{printed}”, which would spoil the screen")
            if line == b"":
                raise BrokenPlugin(f"its process ended by itself ({self._how()})")
            if line is not None:
                try:
                    return json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise BrokenPlugin(f"what it answered is broken or longer than {LONGEST_ITEM:,} bytes") from error
            if time.monotonic() > until and lives and (now := lives()) != was:
                until, was = time.monotonic() + limit_s, now
            if time.monotonic() > until:
                raise BrokenPlugin(f"it gave no sign of life for {limit_s:g} seconds")

    def _how(self) -> str:
        try:
            return _told(self._process.wait(1))
        except subprocess.TimeoutExpired:
            return "it closed its pipe"

    def _printed(self) -> str:
        try:
            with self._log.open("rb") as file:
                said = file.read(2000)
        except OSError:
            return ""
        return (clean_line(said.decode("utf-8", "replace"), 60) or "an empty line") if said else ""


def _spawn(log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-B", "-u", "-W", "ignore", "-m", "lora_chat.plugins.worker"]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=handle,
            env=os.environ | {"PYTHONUTF8": "1"},
            start_new_session=os.name == "posix",
        )
    finally:
        os.close(handle)


def value_of(answers: Generator[Any, None, Any]) -> Any:
    """What came at the end of a call whose items do not matter. Raises as ``PluginProcess.call``."""
    while True:
        try:
            next(answers)
        except StopIteration as end:
            return end.value


def _nothing(kind: str, rest: list[Any]) -> Any:
    raise BrokenPlugin(f"it asked for {clean_line(kind, 40)} where nobody answers")


def _told(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"code {code}"
