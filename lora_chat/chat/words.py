"""Where words stand in a text. Owns what is the same letter (É, e) and what is a whole word; never opens a store."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Thai, Lao, Myanmar, Khmer, kana, CJK ideographs: written without spaces, so the tokenizer sees a sentence as one word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_PARTS = re.compile(r"[^\W_]+")


def is_indexed(word: str) -> bool:
    """Whether the search index can cut ``word`` out of a text; else it is compared with the text itself."""
    return not _UNSPACED.search(word) and any(letter.isalnum() for letter in word)


def spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where ``words`` stand in ``text``, in order, as (start, end); the last one may be a beginning."""
    folded, origins = _folded(text)
    places = [place for pattern in _patterns(tuple(words)) for place in pattern.finditer(folded)]
    found = {(origins[place.start()], origins[place.end() - 1] + 1) for place in places if place.group()}
    return sorted(found)


def holds_all(text: str, words: Sequence[str]) -> bool:
    """Whether each of ``words`` stands in ``text``, by the rule of ``spans``."""
    folded, _ = _folded(text)
    return all(pattern.search(folded) for pattern in _patterns(tuple(words)))


def folded(text: str) -> str:
    """``text`` without case and accents, as all of this compares it."""
    return _folded(text)[0]


def longest_part(words: Sequence[str]) -> str:
    """The longest piece that the folded form of every text with all of ``words`` holds; may be empty."""
    parts = [part for word in words for part in _parts(word)]
    return max(parts, key=len, default="")


def _parts(word: str) -> list[str]:
    """What of a word stands in a text in one piece: letters and digits, or all of it where the index is of no use."""
    same = folded(word)
    return _PARTS.findall(same) if is_indexed(word) else [same]


@lru_cache(maxsize=16)
def _patterns(words: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    found = []
    for number, word in enumerate(words):
        parts = _parts(word)
        if not is_indexed(word):
            found.append(re.compile(re.escape(parts[0])))
            continue
        for place, part in enumerate(parts, 1):
            ends = "" if number == len(words) - 1 and place == len(parts) else r"(?![^\W_])"
            found.append(re.compile(r"(?<![^\W_])" + re.escape(part) + ends))
    return tuple(found)


@lru_cache(maxsize=500)  # what was found for one letter is found for the next
def _folded(text: str) -> tuple[str, Sequence[int]]:
    """``text`` without case and accents, and from which letter of it each comes."""
    if text.isascii():
        return text.lower(), range(len(text))
    letters, origins = [], []
    for place, letter in enumerate(text):
        for part in unicodedata.normalize("NFKD", letter).casefold():
            if not unicodedata.combining(part):
                letters.append(part)
                origins.append(place)
    return "".join(letters), origins
