"""A language's sentences. Owns how one is found by its English, holes and all; which are spoken its files say.

``zh/*.toml`` hold ``"English {} with {} holes" = "…{1}…{0}…"``. A hole is what changes, such as a name; ``{0:tr}`` is a
hole whose own text is said in that language too, such as a count with its noun.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

HOLE = "{}"

LONGEST = 4_000
"""Characters of a sentence; what is longer was not written by this program alone."""

_PLACE = re.compile(r"\{(\d)(:tr)?\}")
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=\S)")


class Catalogue:
    """What English sentences are in another language."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        self._whole = {english: said for english, said in sentences.items() if HOLE not in english}
        holed = [(english.split(HOLE), said) for english, said in sentences.items() if HOLE in english]
        # The one that says most itself comes first: "{} of {} examples" before "{} examples".
        self._holed = sorted(
            ((max(pieces, key=len), pieces, said) for pieces, said in holed),
            key=lambda each: -sum(map(len, each[1])),
        )
        self.say = lru_cache(maxsize=4096)(self._say)
        """The sentence in this language; as it is where it is not known."""

    def _say(self, text: str) -> str:
        if not text or len(text) > LONGEST:
            return text
        found = self._find(text)
        if found is not None:
            return found
        stripped = text.strip()
        if stripped != text:
            return text.replace(stripped, self._say(stripped), 1) if stripped else text
        parts = _SENTENCE_END.split(text)
        if len(parts) == 1:
            return text
        said = [self._find(part) for part in parts]
        return "".join(
            (new if new is not None else old) + ("" if new is not None else " ")
            for old, new in zip(parts, said, strict=True)
        ).rstrip()

    def _find(self, text: str) -> str | None:
        if text in self._whole:
            return self._whole[text]
        for longest, pieces, said in self._holed:
            if longest in text:
                holes = held(pieces, text)
                if holes is not None:
                    return self._filled(said, holes)
        return None

    def _filled(self, said: str, holes: Sequence[str]) -> str:
        def fill(place: re.Match[str]) -> str:
            hole = holes[int(place[1])]
            return self._say(hole) if place[2] else hole

        return _PLACE.sub(fill, said)


def held(pieces: Sequence[str], text: str) -> list[str] | None:
    """What stands between ``pieces`` where ``text`` consists of them; None where it does not.

    Each piece is taken at its first place, so this is linear in ``text``, whatever it holds.
    """
    first, *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return None
    end = len(text) - len(last)
    holes, at = [], len(first)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return None
        holes.append(text[at:found])
        at = found + len(piece)
    return [*holes, text[at:end]]


def load(language: str) -> Catalogue:
    """The files of ``language``."""
    return Catalogue(sentences(language))


def sentences(language: str) -> dict[str, str]:
    """All that the files of ``language`` say, by its English."""
    found: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / language).glob("*.toml")):
        found |= tomllib.loads(path.read_text(encoding="utf-8"))
    return found
