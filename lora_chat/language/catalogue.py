"""A language's sentences. Owns how one is found by its English, holes and all; which are spoken its files say.

``zh/*.toml`` hold ``"English {} with {} holes" = "…{1}…{0}…"``. A hole is what changes, such as a name; ``{0:tr}`` is a
hole whose own text is said in that language too, such as a reason; ``{0:n}`` is a figure, so that ``"{} of {}"`` is
found in "3 of 8" and not in "King of Pirates", ``{0:c}`` such a count with its noun, and ``{0:w}`` one word.
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

PLACE = re.compile(r"\{(\d)(:\w+)?\}")
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=\S)")
_FIGURE = re.compile(r"[~<>≈×+-]?\d[\d.,]*(?: ?[A-Za-z%]{1,9})?")
_KINDS = {":n": _FIGURE, ":c": re.compile(r"\d[\d.,]*(?: [a-z]+| [\d.,]*\d)*"), ":w": re.compile(r"\S+")}
_SAID = frozenset({":tr", ":c"})
_ENDING = re.compile(r"[a-z ]{0,8}")
_CHINESE, _LATIN = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[A-Za-z0-9`]")
_SEVERAL = re.compile("[;,.] ")
_QUOTED = re.compile("“.*”")
_COMMAND = re.compile(r"/\w|lora-chat ")
_SIGNS = (("; ", "；"), (", ", "，"))
_LAST = ((" and ", " 和 "), (" or ", " 或 "))


class Catalogue:
    """What English sentences are in another language."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        self._whole = {english: said for english, said in sentences.items() if HOLE not in english}
        holed = [(english.split(HOLE), said) for english, said in sentences.items() if HOLE in english]
        # The one that says most itself comes first: "{} of {} examples" before "{} examples".
        self._holed = sorted(
            ((max(pieces, key=len), pieces, said, _kinds(pieces, said)) for pieces, said in holed),
            key=lambda each: (-sum(map(len, each[1])), len(each[1])),
        )
        self.say = lru_cache(maxsize=4096)(self._say)
        """The sentence in this language; as it is where it is not known."""

    def _say(self, text: str) -> str:
        if not text or len(text) > LONGEST:
            return text
        found = self._known(text)
        if found is not None:
            return found
        stripped = text.strip()
        if stripped != text:
            return text.replace(stripped, self._say(stripped), 1) if stripped else text
        parts = _SENTENCE_END.split(text)
        if len(parts) == 1:
            return text
        said = [self._known(part) for part in parts]
        return "".join(
            (new if new is not None else old) + ("" if new is not None else " ")
            for old, new in zip(parts, said, strict=True)
        ).rstrip()

    def _known(self, text: str, *, names: bool = False) -> str | None:
        """One sentence, or phrases in a row; ``names`` takes for one of these also a word that nobody knows."""
        if text in self._whole:
            return self._whole[text]
        body, end = (text[:-1], "。") if text.endswith(".") else (text, "")
        forms = ((text, ""), (_small(text), ""), (body, end), (_small(body), end))
        holes = next((holes for form, _ in forms if (holes := self._match(form)[1])), [])
        if any("; " in hole for hole in holes) and (said := self._row(body, "; ", "；", names=False)) is not None:
            return said + end
        for form, stop in forms:
            if (found := self._part(form)) is not None:
                return found + stop
        said = self._listed(body, names=names)
        return None if said is None else said + end

    def _part(self, text: str) -> str | None:
        """A sentence, or one behind a name: ``pirate: it is a link``."""
        found = self._find(text)
        if found is not None:
            return found
        name, colon, rest = text.partition(": ")
        said = self._find(rest) if colon else None
        if said is None and _COMMAND.match(rest) and (known := self._find(name)) is not None:
            return f"{known}：{rest}"
        return None if said is None or _SEVERAL.search(name) else f"{self._find(name) or name}：{said}"

    def _listed(self, text: str, *, names: bool) -> str | None:
        for sign, theirs in (*_SIGNS, *(_LAST if names else ())):
            if sign in text:
                return self._row(text, sign, theirs, names=names)
        return None

    def _row(self, text: str, sign: str, theirs: str, *, names: bool) -> str | None:
        said = self._each(text.split(sign), names=names) if sign in text else None
        return None if said is None else theirs.join(said)

    def _each(self, parts: Sequence[str], *, names: bool) -> list[str] | None:
        said, known = list[str](), names
        for part in parts:
            new = self._part(part)
            if new is None and part is parts[0]:
                new = self._part(_small(part))
            if new is None and names and part is not parts[0]:
                new = self._listed(part, names=True)
            if new is None and " " in part and not (names and _QUOTED.fullmatch(part)):
                return None
            known = known or new is not None
            said.append(part if new is None else new)
        return said if known else None

    def _find(self, text: str) -> str | None:
        if text in self._whole:
            return self._whole[text]
        said, holes = self._match(text)
        return self._filled(said, holes) if said else None

    def _match(self, text: str) -> tuple[str, list[str]]:
        """The words for a sentence with holes and what is in these; empty where none is like ``text``."""
        for longest, pieces, said, kinds in self._holed:
            if longest in text:
                holes = held(pieces, text)
                if holes is not None and all(kind.fullmatch(holes[each]) for each, kind in kinds.items()):
                    return said, holes
        return "", []

    def _filled(self, said: str, holes: Sequence[str]) -> str:
        """A hole that is said in this language stands in the sentence as if it had been written there."""
        whole, at = "", 0
        for place in PLACE.finditer(said):
            whole = _joined(whole, said[at : place.start()])
            hole, at = holes[int(place[1])], place.end()
            whole = _joined(whole, self._inside(hole)) if place[2] in _SAID else whole + hole
        return _joined(whole, said[at:])

    def _inside(self, hole: str) -> str:
        found = self._known(hole, names=True)
        return found if found is not None else self._say(hole)


def _small(text: str) -> str:
    """A phrase as it is known, which got a capital where it begins a sentence."""
    return text[:1].lower() + text[1:]


def _joined(left: str, right: str) -> str:
    """Chinese next to Chinese without a space, next to Latin letters with one."""
    before, after = left.rstrip(" "), right.lstrip(" ")
    last, first = before[-1:], after[:1]
    if _CHINESE.match(last) and _CHINESE.match(first):
        return before + after
    if (_CHINESE.match(last) and _LATIN.match(first)) or (_LATIN.match(last) and _CHINESE.match(first)):
        return f"{before} {after}"
    return left + right


def _kinds(pieces: Sequence[str], said: str) -> dict[int, re.Pattern[str]]:
    """What the holes must hold of which that is known: figures, and endings of the plural, which are not said."""
    named = {int(place[1]): place[2] for place in PLACE.finditer(said)}
    endings = {each: _ENDING for each in range(len(pieces) - 1) if each not in named and pieces[each][-1:].isalpha()}
    return endings | {each: _KINDS[kind] for each, kind in named.items() if kind in _KINDS}


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
