"""Calling a person who looks elsewhere. Owns when and by which sequence; never says what is not its own words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

from lora_chat.config import Notify
from lora_chat.language import tr

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp

LONG_S = 10.0
"""An answer that took so long, in seconds, is worth a call."""

ANSWERED, TRAINED, FAILED = "The answer is there.", "The training has ended.", "The training has failed."


class Notice:
    """Rings, or has the desktop tell it, while the terminal does not have the focus."""

    def __init__(self, app: LoraChatApp) -> None:
        self._app = app
        self.way: Notify = "bell"
        self._hears_focus = False
        self._began = 0.0

    def focus_told(self) -> None:
        """The terminal says when it gets and loses the focus: one that has not yet may never do."""
        self._hears_focus = True

    def reply_began(self) -> None:
        """An answer is being made."""
        self._began = monotonic()

    def reply_ended(self) -> None:
        """Whole, stopped or failed."""
        if monotonic() - self._began >= LONG_S and not self._app.app_focus:
            self._call(ANSWERED)

    def training_ended(self, *, failed: bool = False) -> None:
        """It takes minutes; whoever cannot say whether they have the focus are called too."""
        if not self._app.app_focus or not self._hears_focus:
            self._call(FAILED if failed else TRAINED)

    def _call(self, text: str) -> None:
        if self.way == "bell":
            self._app.bell()
        elif self.way == "desktop":
            self._app.tell_terminal(desktop(tr(text), os.environ))


def desktop(text: str, environment: Mapping[str, str]) -> str:
    """What has a terminal show ``text`` on the desktop: OSC 777 to VTE, foot and urxvt, OSC 9 to the others.

    tmux hands it on where ``allow-passthrough`` is on.
    """
    vte = bool(environment.get("VTE_VERSION")) or environment.get("TERM", "").startswith(("foot", "rxvt"))
    told = f"\x1b]777;notify;lora-chat;{text}\x07" if vte else f"\x1b]9;lora-chat: {text}\x07"
    return f"\x1bPtmux;{told.replace(chr(27), chr(27) * 2)}\x1b\\" if environment.get("TMUX") else told
