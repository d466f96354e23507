"""What was written before, and the way through it. Owns the order and what is half written on the way; never draws."""

from __future__ import annotations

from collections.abc import Sequence

REMEMBERED = 200
"""Prompts that up brings back."""


class Recall:
    """A row of texts, oldest first, and behind them the place where one writes."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._place = 0
        """The text that is shown; the length is the place where one writes."""
        self._half: dict[int, str] = {}
        """What stood at a place that was left, where it differs from what was sent there."""

    def know(self, earlier: Sequence[str]) -> None:
        """Put what was sent in earlier sessions, newest first, before what was remembered in this one."""
        room = max(REMEMBERED - len(self._texts), 0)
        new = [text for text in earlier if text not in self._texts][:room][::-1]
        self._texts = new + self._texts
        self._place += len(new)
        self._half = {place + len(new): text for place, text in self._half.items()}

    def add(self, text: str) -> None:
        """Remember ``text`` as the newest; what is half written elsewhere is remembered before it."""
        for each in [*(self._half[place] for place in sorted(self._half)), text]:
            if each.strip():
                self._texts = [other for other in self._texts if other != each] + [each]
        self._texts = self._texts[-REMEMBERED:]
        self._half = {}
        self._place = len(self._texts)

    def older(self, standing: str) -> str | None:
        """Go one back from ``standing``, which is kept where it was changed; None where there is nothing older."""
        return self._go(self._place - 1, standing) if self._place > 0 else None

    def newer(self, standing: str) -> str | None:
        """Go one on; None from the place where one writes."""
        return self._go(self._place + 1, standing) if self._place < len(self._texts) else None

    def unsent(self, standing: str) -> str:
        """What the person would miss: ``standing``, or what is half written where that was only looked up."""
        if self._place < len(self._texts) and standing == self._texts[self._place]:
            return self._half.get(len(self._texts), "")
        return standing

    def _go(self, place: int, standing: str) -> str:
        if standing != self._at(self._place):
            self._half[self._place] = standing
        self._place = place
        return self._half.pop(place, self._at(place))

    def _at(self, place: int) -> str:
        return self._texts[place] if place < len(self._texts) else ""
