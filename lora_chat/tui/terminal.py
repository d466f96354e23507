"""The terminal's end of the window on POSIX. Owns reading what is typed and pasted; never what a key does.

Textual's own reading ends the program at a byte that is no UTF-8, takes the escape sequences inside a paste for keys,
and never notices that the terminal has gone. Its writing ends with an error once that has happened, and then the window
waited for ever for room in the queue of what nobody writes any more: with SIGHUP comes SIGCONT, which draws all anew.
"""

from __future__ import annotations

import codecs
import os
import re
import selectors
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp

BEGIN, END = "\x1b[200~", "\x1b[201~"
"""What a terminal puts around a paste (bracketed paste, DEC mode 2004)."""

_STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Controls that no text needs: all but tab, newline and carriage return."""


class Pastes:
    """Takes the controls out of pastes, in whatever pieces they come."""

    def __init__(self) -> None:
        self._pasting = False
        self._before = ""
        """The end of what was typed, which may be the beginning of ``BEGIN``."""
        self._held = ""
        """The end of what was pasted, which may be the beginning of ``END``."""

    def clean(self, data: str) -> str:
        """The next piece of input, harmless where it is pasted."""
        out = ""
        data = self._held + data
        self._held = ""
        while data:
            piece, data = self._pasted(data) if self._pasting else self._typed(data)
            out += piece
        return out

    def _typed(self, data: str) -> tuple[str, str]:
        """(what can be passed on, what is left): nothing waits here, or the escape key would."""
        at = (self._before + data).find(BEGIN)
        if at < 0:
            self._before = (self._before + data)[1 - len(BEGIN) :]
            return data, ""
        end = at + len(BEGIN) - len(self._before)
        self._before, self._pasting = "", True
        return data[:end], data[end:]

    def _pasted(self, data: str) -> tuple[str, str]:
        text, end, rest = data.partition(END)
        if end:
            self._pasting = False
            return _STEERING.sub("", text) + END, rest
        kept = next((size for size in range(len(END) - 1, 0, -1) if data.endswith(END[:size])), 0)
        self._held = data[len(data) - kept :]
        return _STEERING.sub("", data[: len(data) - kept]), ""


class Lasting:
    """A terminal's file on which writing never fails; what is written after it has gone is nowhere."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """As far as there is a terminal."""
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """As far as there is a terminal."""
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """Of the file itself."""
        return self._file.fileno()


class Terminal(LinuxDriver):
    """Textual's driver with a reading of its own, and a writing that outlives the terminal."""

    _app: LoraChatApp

    def __init__(self, app: App[Any], **named: Any) -> None:
        super().__init__(app, **named)
        self._file: Any = Lasting(self._file)

    def run_input_thread(self) -> None:
        """Read until the window closes or the terminal goes."""
        parser, pastes = XTermParser(self._debug), Pastes()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:  # the one that knows terminals on every system
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    if not (read := self._read()):
                        self._app.call_later(self._app.terminal_gone)
                        return
                    if text := pastes.clean(decode(read)):
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
            if selector.select(0.1):
                self._read()  # what was typed too late is not the shell's

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 65536)
        except OSError:  # EIO: hung up
            return b""
