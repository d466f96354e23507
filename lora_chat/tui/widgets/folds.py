"""Long texts that stand as a few words. Owns which words stand for which text; never draws."""

from __future__ import annotations

import re

from lora_chat.language import tr

LINES, CHARACTERS = 12, 2_000
"""What has more of either is folded."""

HELD = 50
"""Texts that are held; older ones that stand nowhere are forgotten."""


class Folds:
    """Labels, such as ``[pasted 214 lines]``, each with the text it stands for."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._unfolded: set[str] = set()

    @staticmethod
    def is_long(text: str) -> bool:
        """Whether ``text`` would hide what is written beside it."""
        return text.count("\n") + 1 > LINES or len(text) > CHARACTERS

    def fold(self, text: str, shown: str) -> str:
        """The label for ``text`` from now on; one that stands in ``shown`` for another text is not given again."""
        lines = text.removesuffix("\n").count("\n") + 1  # a newline at the end begins none
        count = tr(f"{lines:,} lines" if lines >= LINES else f"{len(text):,} characters")
        number, label = 1, tr(f"[pasted {count}]")
        while (label in shown and self._texts.get(label) != text) or self._texts.get(label, text) != text:
            number += 1
            label = tr(f"[pasted {count}, {number}]")
        self._texts[label] = text
        self._unfolded.discard(label)
        for old in list(self._texts)[:-HELD]:
            if old not in shown:
                del self._texts[old]
        return label

    def whole(self, shown: str) -> str:
        """``shown`` with each text in its label's place; labels inside of these texts are text."""
        return self._labels().sub(lambda found: self._texts[found[0]], shown) if self._texts else shown

    def again(self, whole: str) -> str:
        """``whole`` with what was folded before folded again, but for what the person unfolded."""
        for label, text in self._texts.items():
            if label not in self._unfolded:
                whole = whole.replace(text, label)
        return whole

    def unfold(self, label: str) -> str:
        """The text of ``label``, which ``again`` leaves alone from now on."""
        self._unfolded.add(label)
        return self._texts[label]

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where labels stand in ``line``: (begin, end), in characters."""
        return [found.span() for found in self._labels().finditer(line)] if self._texts else []

    def _labels(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(label) for label in self._texts))
