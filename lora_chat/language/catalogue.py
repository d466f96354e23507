"""A language's sentences. Owns how one is found by its English, holes and all; which are spoken its files say.

``zh/*.toml`` hold ``"English {} with {} holes" = "…{1}…{0}…"``. A hole is what changes, such as a name; ``{0:tr}`` is a
hole whose own text is said in that language too, such as a reason; ``{0:n}`` is a figure, so that ``"{} of {}"`` is
found in "3 of 8" and not in "King of Pirates", ``{0:c}`` such a count with its noun, and ``{0:w}`` one word.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from pathlib import Path

HOLE = "{}"

LONGEST = 4_000
"""Characters of a sentence; what is longer was not written by this program alone."""

_DEEPEST = 5
"""Sentences within each other; what has more was not written by this program alone."""

PLACE = re.compile(r"\{(\d)(:\w+)?\}")
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=[^\s(])")
_FIGURE = re.compile(r"[~<>≈×+-]?\d(?:[\d.,]*\d)?(?: ?[A-Za-z%]{1,9})?")
_FIGURES = re.compile(r"(?=.*\d)[\d.,:()<>~+–→% -]+")
"""Without a word: ``2:04`` and ``0.021 (0.012–0.034)``."""
_KINDS = {":n": _FIGURE, ":c": re.compile(r"\d(?:[\d.,]*\d)?(?: [A-Za-z/]+| [\d.,]*\d)*"), ":w": re.compile(r"\S+")}
_SAID = frozenset({":tr", ":c"})
_ENDING = re.compile(r"[a-z ]{0,8}")
_CHINESE, _LATIN = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[A-Za-z0-9`]")
_NAMED = re.compile(r"(?:(?![;:.] ).)*", re.DOTALL)
_NAME = re.compile(r"\S+|“.*”")
_COMMAND = re.compile(r"/\w|lora-chat ")
_SIGNS = ((" · ", " · "), ("; ", "；"), (", ", "，"))
_LAST = ((" and ", "和"), (" or ", "或"))


class Catalogue:
    """What English sentences are in another language."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        self._whole = {english: said for english, said in sentences.items() if HOLE not in english}
        holed = [(english.split(HOLE), said) for english, said in sentences.items() if HOLE in english]
        # The one that says most itself comes first, above all at its beginning.
        self._holed = sorted(
            ((max(pieces, key=len), pieces, said, _kinds(pieces, said)) for pieces, said in holed),
            key=lambda each: (-sum(map(len, each[1])) - 2 * len(each[1][0]), len(each[1])),
        )
        self.say = lru_cache(maxsize=4096)(self._say)
        """The sentence in this language; as it is where it is not known."""
        self._match = lru_cache(maxsize=1024)(self._matched)

    def _say(self, text: str, depth: int = 0) -> str:
        if not text or len(text) > LONGEST:
            return text
        stripped = text.strip()
        if stripped != text:
            found = self._find(text, depth)
            return found or (text.replace(stripped, self._say(stripped, depth), 1) if stripped else text)
        parts = _SENTENCE_END.split(text)
        if len(parts) == 1:
            return self._known(text, depth) or text
        several = [self._known(part, depth) for part in parts]
        apart = reduce(
            lambda left, right: _joined(f"{left} ", right),
            (part if said is None else said for part, said in zip(parts, several, strict=True)),
        )
        return _best(self._find(text, depth), apart) or text

    def _known(self, text: str, depth: int, *, names: bool = False) -> str | None:
        """One sentence, or phrases in a row; ``names`` takes for one of these also a word that nobody knows."""
        if text in self._whole:
            return self._whole[text]
        body, end = (text[:-1], "。") if text.endswith(".") else (text, "")
        forms = [(text, ""), (_small(text), ""), (body, end), (_small(body), end)]
        holes = next((holes for form, _ in forms if (holes := self._match(form)[1])), ())
        if end and holes and holes[-1].endswith("."):  # the full stop is the sentence's and not the hole's
            forms = [*forms[2:], *forms[:2]]
        one = next((found + stop for form, stop in forms if (found := self._part(form, depth)) is not None), None)
        if one is not None and not any(sign in hole for hole in holes for sign, _ in _SIGNS):
            return one
        row = self._row(body, depth, names=names and one is None)
        return _best(one, None if row is None else row + end)

    def _part(self, text: str, depth: int) -> str | None:
        """A sentence, or one behind a name: ``pirate: it is a link``."""
        found = self._find(text, depth)
        if found is not None:
            return found
        if not text.endswith(".") and (found := self._find(f"{text}.", depth)) is not None:
            return found.removesuffix("。")  # a sentence that stands inside another
        name, colon, rest = text.partition(": ")
        if not colon:
            return None
        begun, said = self._find(name, depth), self._find(rest, depth)
        if said is None and begun is not None and _COMMAND.match(rest):
            return f"{begun}：{rest}"
        begun = name if begun is None and " " not in name else begun
        return None if said is None or begun is None else f"{begun}：{said}"

    def _row(self, text: str, depth: int, *, names: bool) -> str | None:
        """Phrases that stand in a row, each of them known or, with ``names``, one word."""
        sign, theirs = next(((sign, theirs) for sign, theirs in (*_SIGNS, *_LAST) if sign in text), ("", ""))
        if not sign or ((sign, theirs) in _LAST and not names):
            return None
        said = list[str]()
        for at, part in enumerate(text.split(sign)):
            new = self._part(part, depth)
            if new is None and not at:
                new = self._part(_small(part), depth)
            if new is None and ((names and at) or sign == " · "):
                new = self._row(part, depth, names=names)
            if new is None and not ((_NAME if names else _FIGURE).fullmatch(part) or _FIGURES.fullmatch(part)):
                return None
            said.append(part if new is None else new)
        return reduce(lambda left, right: _joined(_joined(left, theirs), right), said)

    def _find(self, text: str, depth: int) -> str | None:
        if text in self._whole:
            return self._whole[text]
        said, holes = self._match(text)
        return self._filled(said, holes, depth) if said else None

    def _matched(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The words for a sentence with holes and what is in these; empty where none is like ``text``."""
        for longest, pieces, said, kinds in self._holed:
            if longest in text:
                holes = held(pieces, text)
                if holes is not None and all(kind.fullmatch(holes[each]) for each, kind in kinds.items()):
                    return said, tuple(holes)
        return "", ()

    def _filled(self, said: str, holes: Sequence[str], depth: int) -> str:
        """A hole that is said in this language stands in the sentence as if it had been written there."""
        whole, at = "", 0
        for place in PLACE.finditer(said):
            whole = _joined(whole, said[at : place.start()])
            hole, at = holes[int(place[1])], place.end()
            whole = _joined(whole, self._inside(hole, depth + 1)) if place[2] in _SAID else whole + hole
        return _joined(whole, said[at:])

    def _inside(self, hole: str, depth: int) -> str:
        bare = hole.strip()
        if depth > _DEEPEST:
            return hole
        found = None if _SENTENCE_END.search(bare) else self._known(bare, depth, names=True)
        if found is None:
            found = self._say(bare, depth)
        return hole if found == bare else found


def _best(*said: str | None) -> str | None:
    """That in which the least is still English; None where there is none."""
    return min((each for each in said if each is not None), key=lambda each: len(_LATIN.findall(each)), default=None)


def _small(text: str) -> str:
    """A phrase as it is known, which got a capital where it begins a sentence."""
    return text[:1].lower() + text[1:]


def _joined(left: str, right: str) -> str:
    """Chinese next to Chinese without a space, next to Latin letters with one."""
    before, after = left.rstrip(" "), right.lstrip(" ")
    last, first = before[-1:], after[:1]
    if _CHINESE.match(first) and (_CHINESE.match(last) or last in "。；：？！，、）”"):
        return before + after
    if last and last in "。？！" and left + right != before + after:
        return before + after
    if last in ".?!" and _CHINESE.match(first):  # behind a sentence that nobody knows
        return f"{before} {after}" if last else after
    if (_CHINESE.match(last) and _LATIN.match(first)) or (_LATIN.match(last) and _CHINESE.match(first)):
        return f"{before} {after}"
    return left + right


def _kinds(pieces: Sequence[str], said: str) -> dict[int, re.Pattern[str]]:
    """What the holes must hold of which that is known: figures, and endings of the plural, which are not said."""
    named = {int(place[1]): place[2] for place in PLACE.finditer(said)}
    last = len(pieces) - 2
    named_first = [0] if not pieces[0] else []
    named_last = [last] if not pieces[-1] and not pieces[-2].endswith(": ") else []
    rims = {each: _NAMED for each in (*named_first, *named_last) if named.get(each, ":tr") is None}
    endings = {each: _ENDING for each in range(last + 1) if each not in named and pieces[each][-1:].isalpha()}
    return rims | endings | {each: _KINDS[kind] for each, kind in named.items() if kind in _KINDS}


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
