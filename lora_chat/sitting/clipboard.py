"""The ways to the clipboard. Owns which there are, in what order they are tried and what is said of the one that was
taken; never decides what is copied, and never writes to the terminal itself.

A program that answers for what it did comes first where it sits beside the person. Through a connection it would fill
the clipboard of the wrong machine: there the terminal is asked (OSC 52), which says nothing back, or tmux, which does.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.files import write_durably
from lora_chat.text import clean

LONGEST_OSC = 74_994
"""Bytes of base64 that a terminal is sent: several take no more in one sequence."""

_PATIENCE_S = 5.0
"""A program that has not taken the text by then is not waited for."""

_DEAF = ("", "dumb", "linux", "unknown")
"""Terminals, as ``TERM`` names them, that have no clipboard."""


@dataclass(frozen=True)
class Tool:
    """A program that takes a text for the clipboard on its standard input."""

    command: tuple[str, ...]
    display: str = ""
    """The variable that names the display it needs; empty where it needs none: then it serves this machine alone."""
    encoding: str = "utf-8"

    def serves(self, environ: Mapping[str, str]) -> bool:
        """Whether it could reach the person's clipboard from here."""
        return bool(environ.get(self.display)) if self.display else not _is_remote(environ)

    def take(self, text: str) -> bool:
        """Give it ``text``; whether it is here and took it."""
        program = shutil.which(self.command[0])
        if program is None:
            return False
        try:
            # Some go on in the background, to serve the text: a pipe of theirs would never end.
            done = subprocess.run(
                [program, *self.command[1:]],
                input=text.encode(self.encoding, "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE_S,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


TOOLS = (
    Tool(("wl-copy",), "WAYLAND_DISPLAY"),
    Tool(("xclip", "-selection", "clipboard"), "DISPLAY"),
    Tool(("xsel", "--clipboard", "--input"), "DISPLAY"),
    Tool(("pbcopy",)),
    Tool(("clip.exe",), encoding="utf-16"),
)
"""Asked in this order."""

TMUX = Tool(("tmux", "load-buffer", "-w", "-"), "TMUX")
"""Passes it on to the terminal outside (3.2 and later), also where programs in it may not."""

Way = tuple[str, Callable[[], bool]]
"""What is said of it, and how it is taken; whether it could be."""


def copy(text: str, file: Path, environ: Mapping[str, str], tell_terminal: Callable[[str], object] | None) -> str:
    """Put ``text`` where the person can paste it from; returns the sentence that says where that is.

    ``tell_terminal`` writes an escape sequence to the person's terminal; None where there is none. ``file`` is what is
    left where there is no clipboard.

    Raises:
        RefusedError: there is no clipboard, and the file cannot be written.
    """
    much = f"{len(text):,} character{'' if len(text) == 1 else 's'}"
    for said, take in _ways(text, environ, tell_terminal):
        if take():
            return f"Copied {much} {said}."
    try:
        write_durably(file, clean(text).encode())
    except OSError as error:
        raise RefusedError(
            f"There is no clipboard here, and {file} cannot be written ({error.strerror}): make room for it."
        ) from error
    return f"Copied {much} to {file}: no clipboard takes them here."


def osc52(text: str, environ: Mapping[str, str]) -> str:
    """What asks a terminal to put ``text`` on the clipboard; base64 leaves nothing in it that could steer one.

    tmux takes the sequence itself where ``set-clipboard`` is on, and hands it to the terminal outside where
    ``allow-passthrough`` is: it gets both.

    Source: xterm's control sequences (OSC Ps = 5 2), tmux(1).
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\x07"
    doubled = plain.replace("\x1b", "\x1b\x1b")
    return f"{plain}\x1bPtmux;{doubled}\x1b\\" if environ.get("TMUX") else plain


def _ways(text: str, environ: Mapping[str, str], tell_terminal: Callable[[str], object] | None) -> Iterator[Way]:
    """Those that could work here, the surest first."""
    tools = [_through(tool, text) for tool in TOOLS if tool.serves(environ)]
    terminal = list(_terminal(text, environ, tell_terminal))
    yield from [*terminal, *tools] if _is_remote(environ) else [*tools, *terminal]


def _through(tool: Tool, text: str) -> Way:
    return f"with {tool.command[0]}", lambda: tool.take(text)


def _terminal(text: str, environ: Mapping[str, str], tell_terminal: Callable[[str], object] | None) -> Iterator[Way]:
    if _base64_length(text) > LONGEST_OSC:
        return
    if TMUX.serves(environ):
        yield _through(TMUX, text)
    if tell_terminal is None or not (environ.get("TMUX") or _can_osc52(environ)):
        return
    said = "through tmux (OSC 52)" if environ.get("TMUX") else "through the terminal (OSC 52)"

    def tell() -> bool:
        tell_terminal(osc52(text, environ))
        return True

    yield said, tell


def _base64_length(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // 3) * 4


def _can_osc52(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is none of those that are known to have no such sequence; none can be asked."""
    screen = bool(environ.get("STY"))  # GNU screen passes nothing on
    terminal = environ.get("TERM", "" if os.name == "posix" else "windows")
    return not screen and terminal not in _DEAF and environ.get("TERM_PROGRAM") != "Apple_Terminal"


def _is_remote(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
