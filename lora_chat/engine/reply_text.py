"""Text out of token ids as they come. Owns what can be shown already; never runs a model and never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lora_chat.models.prompt import PromptFormat

_NEIGHBOURS = 4
"""Ids decoded again with each new one: a decoder may write a word differently at the beginning of a text."""


class ReplyText:
    """Turns token ids into text: whole characters only, nothing past a stop string. Linear in the reply's length."""

    def __init__(self, prompt: PromptFormat, stops: Iterable[str]) -> None:
        self._prompt = prompt
        self._held = StopHeld(stops)
        self._window: list[int] = []
        self._shown = ""
        """The window's text that was passed on."""

    def go_on(self, text: str, ids: Sequence[int]) -> None:
        """Begin behind ``text``, whose prompt ends in ``ids``: a stop string may have begun in it."""
        self._window = list(ids[-_NEIGHBOURS:])
        self._shown = self._prompt.decode(self._window)
        self._held.go_on(text)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was reached."""
        return self._held.stopped

    def add(self, token: int) -> str:
        """Take one more id and return what can be shown now: often a piece, sometimes nothing yet."""
        if self._prompt.is_control(token):
            return ""
        self._window.append(token)
        text = self._prompt.decode(self._window)
        if text.endswith("\ufffd"):  # half a character: its other bytes come with the next token
            return ""
        piece = text[len(self._shown) :]
        self._window = self._window[-_NEIGHBOURS:]
        self._shown = self._prompt.decode(self._window)
        return self._held.add(piece)

    def finish(self) -> str:
        """Return what was held back."""
        rest = self._prompt.decode(self._window)[len(self._shown) :]
        return self._held.add(rest) + self._held.finish()


class StopHeld:
    """Passes text on up to the first stop string, holding back what may be the beginning of one."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._waiting = ""
        self._there = 0
        """How many characters at the beginning of what waits are the text's already."""
        self.stopped = False

    def go_on(self, text: str) -> None:
        """Begin behind ``text``, which is not passed on again."""
        self._waiting = text[max(0, len(text) - self._longest) :]
        self._waiting = self._waiting[len(self._waiting) - self._beginning() :]
        self._there = len(self._waiting)

    def add(self, piece: str) -> str:
        """Take more text and return what is surely before any stop string."""
        if self.stopped:
            return ""
        self._waiting += piece
        ends = [at for at in map(self._waiting.find, self._stops) if at >= 0]
        self.stopped = bool(ends)
        cut = min(ends) if ends else len(self._waiting) - self._beginning()
        passed, self._waiting = self._waiting[:cut], "" if ends else self._waiting[cut:]
        return self._new(passed)

    def finish(self) -> str:
        """Return what was held back: no stop string came of it."""
        rest, self._waiting = self._waiting, ""
        return self._new(rest)

    def _new(self, passed: str) -> str:
        there, self._there = self._there, max(0, self._there - len(passed))
        return passed[there:]

    def _beginning(self) -> int:
        """Characters at the end with which a stop string may begin."""
        lengths = range(min(self._longest - 1, len(self._waiting)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(self._waiting[-n:]) for stop in self._stops)), 0)
