"""A person at a terminal, which is a pseudo-terminal of the standard library: types keys, reads what is written."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pyte


class Terminal:
    """One program at a terminal of its own, and everything that it writes as one long text."""

    def __init__(
        self, command: list[str], environment: dict[str, str], columns: int = 100, rows: int = 30, *, owned: bool = True
    ) -> None:
        """``owned`` is whether the program is told when the terminal goes."""
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._modes = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=self._slave, stdout=self._slave, stderr=self._slave,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if owned else None,
        )  # fmt: skip
        self.screen = ""
        """Everything that was written."""
        self._read = 0
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def type(self, text: str) -> None:
        """Also of more than the terminal's own buffer holds: what is echoed meanwhile is read."""
        waiting = text.encode()
        while waiting:
            self._receive(0.0)
            if select.select([], [self._master], [], 0.1)[1]:
                waiting = waiting[os.write(self._master, waiting[:256]) :]

    def see(self, text: str, seconds: float = 30) -> None:
        """Wait until ``text`` appears behind what was already seen."""
        self._until(lambda: self.screen.find(text, self._read) >= 0, seconds, repr(text))
        self._read = self.screen.find(text, self._read) + len(text)

    def interrupt(self, times: int = 1) -> None:
        """Ctrl-C, after a moment: CPython notices one that comes within the last key's work at the next key only."""
        time.sleep(0.3)
        self.type("\x03" * times)

    def end(self, seconds: float = 30) -> int:
        """Wait for the program to end; the terminal is as it was before. Return the exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still runs: {self.shown!r}"
            self._receive(0.1)
        while self._receive(0.0):
            pass
        assert "Traceback" not in self.screen
        assert "defect" not in self.screen
        assert termios.tcgetattr(self._slave) == self._modes, "the terminal's modes are not as they were"
        return self.process.returncode

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._slave)
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """Take the program and the terminal away."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            self.hang_up()

    @property
    def shown(self) -> str:
        """What a failure tells: what was not looked at yet."""
        return self.screen[self._read :]

    def _until(self, what: Callable[[], object], seconds: float, wanted: str) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"never saw {wanted}:\n{self.shown}"
            if not self._receive(0.1) and self.process.poll() is not None and not what():
                raise AssertionError(f"it ended without {wanted}:\n{self.shown}")

    def _receive(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        try:
            found = os.read(self._master, 65536) if ready else b""
        except OSError:  # the other side is closed
            return False
        self._hear(found)
        return bool(found)

    def _hear(self, found: bytes) -> None:
        self.screen += self._decode(found)


class Window(Terminal):
    """One program that draws, and its screen as pyte draws it."""

    def __init__(
        self, command: list[str], environment: dict[str, str], columns: int = 120, rows: int = 36, *, owned: bool = True
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        super().__init__(
            command, environment | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}, columns, rows, owned=owned
        )

    @property
    def shown(self) -> str:
        """The screen, without the blanks behind its lines."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def see(self, text: str, seconds: float = 30) -> None:
        """Wait until ``text`` stands on the screen."""
        self._until(lambda: text in self.shown, seconds, repr(text))

    def open_with(self, key: str, text: str) -> None:
        """Press ``key`` until it is heard: one that comes while the window is still arranging itself can be lost."""
        for _ in range(4):
            self.type(key)
            with contextlib.suppress(AssertionError):
                self.see(text, 8)
                return
        self.see(text, 8)

    def not_see(self, text: str, seconds: float = 30) -> None:
        """Wait until ``text`` does not stand on the screen."""
        self._until(lambda: text not in self.shown, seconds, f"it go: {text!r}")

    def say(self, line: str) -> None:
        """Type a line and, once it stands there, Enter."""
        self.type(line)
        self.see(line)
        self.type("\r")

    def end(self, seconds: float = 30) -> int:
        """Also the alternate screen, the mouse and bracketed paste are as they were before."""
        code = super().end(seconds)
        for mode in ("1049", "1000", "1003", "1006", "2004"):
            on, off = (self.screen.rfind(f"\x1b[?{mode}{switch}") for switch in "hl")
            assert on <= off, f"mode {mode} was left on"
        return code

    def _hear(self, found: bytes) -> None:
        super()._hear(found)
        self._stream.feed(found)
