"""A program on a pseudo-terminal, seen from outside. Owns its start, its keys and its end; never looks inside."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZE = (120, 36)

BARE = """
from textual.app import App
from textual.widgets import Input, Static
class Bare(App):
    def compose(self):
        yield Static("one")
        yield Static("two")
        yield Static("three")
        yield Input(placeholder="Type a message")
Bare().run()
"""

MARK = b"ype a message"
"""Of the prompt; its first letter may be drawn by itself, under the cursor."""


class NeverCame(Exception):
    """What was waited for was not written in time; holds the last of what was."""


class Window:
    """A process on a pseudo-terminal, read as fast as it writes."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def press(self, keys: bytes) -> None:
        """As the terminal sends them; ``until`` counts from here on."""
        self.began = time.perf_counter()
        os.write(self.master, keys)

    def until(self, mark: bytes, seconds: float = 60) -> float:
        """Seconds from the start, or the last key, until ``mark`` was written.

        Raises:
            NeverCame: not within ``seconds``, or the process ended.
        """
        seen = b""
        while mark not in seen:
            if time.perf_counter() - self.began > seconds:
                raise NeverCame(seen[-2000:])
            if select.select([self.master], [], [], 0.5)[0]:
                try:
                    seen = seen[-8 * len(mark) :] + os.read(self.master, 65536)
                except OSError as error:
                    raise NeverCame(seen[-2000:]) from error
        return time.perf_counter() - self.began

    def settle(self, quiet_s: float = 1.2, seconds: float = 60) -> None:
        """Read until nothing more than a blinking cursor is written for ``quiet_s``."""
        began = last = time.perf_counter()
        while time.perf_counter() - last < quiet_s and time.perf_counter() - began < seconds:
            if select.select([self.master], [], [], 0.1)[0] and len(os.read(self.master, 65536)) > 200:
                last = time.perf_counter()

    def drain(self) -> None:
        """Read whatever comes until the end, on a thread of its own."""

        def read() -> None:
            while True:
                try:
                    if not os.read(self.master, 65536):
                        return
                except OSError:
                    return

        threading.Thread(target=read, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def environment(home: Path) -> dict[str, str]:
    """A terminal with colours, and the home to be used."""
    return os.environ | {"LORA_CHAT_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def ours(home: Path) -> Window:
    """The program as it is started by a person."""
    return Window([sys.executable, "-m", "lora_chat"], environment(home))


def first_paint(home: Path, runs: int) -> dict[str, Any]:
    """Medians of both programs, started in turns."""
    found: list[float] = []
    bare: list[float] = []
    torch = False
    for _ in range(runs):
        window = Window([sys.executable, "-c", BARE], environment(home))
        bare.append(window.until(MARK))
        window.close()
        window = ours(home)
        found.append(window.until(MARK))
        maps = Path(f"/proc/{window.process.pid}/maps")
        torch = torch or (maps.exists() and "libtorch" in maps.read_text())
        window.close()
    median_ours, median_bare = statistics.median(found), statistics.median(bare)
    return {
        "ours_s": round(median_ours, 3),
        "bare_textual_s": round(median_bare, 3),
        "ratio": round(median_ours / median_bare, 2),
        "runs": runs,
        "torch_in_the_process": torch,
    }
