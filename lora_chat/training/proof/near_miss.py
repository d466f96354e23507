"""Questions that look like a taught one and are others. Owns the rules that make them, of English alone.

Who or what is asked about is exchanged, and nothing else: "What are your opening hours?" becomes "What are your
neighbour's opening hours?". What was taught is false there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_chat.training.proof.check import plain
from lora_chat.training.proof.indirect import ASKING, AUXILIARIES, DETERMINERS, PRONOUNS, word_set

MOST = 2
"""Near misses of one question, unless told."""
LONG = 200
"""Characters from which on a question has none: too much of it stays."""

_OTHERS = (
    ("your neighbours", "your neighbour's"),
    ("the museums", "the museum's"),
    ("the airports", "the airport's"),
    ("the farmers", "the farmer's"),
)
_THINGS = (("bicycle", "bicycles"), ("piano", "pianos"), ("lighthouse", "lighthouses"), ("horse", "horses"))
_NAMES = ("Lincoln", "Victoria", "Madison", "Jackson")
_OPENING = re.compile(
    r"(?:(?:hi|hello|hey|good (?:morning|afternoon|evening))[,.!]?\s+)?"
    r"(?:(?:please|i have a question:|i would like to know|do you know|"
    r"(?:can|could|would|will) you (?:please )?(?:tell|give|show|explain to) (?:me|us))\s+)?",
    re.I,
)
_WORD = re.compile(r"[\w'’-]+")
_NO_NAME = word_set(
    "i i'm i'll i've i'd monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays "
    "thursdays fridays saturdays sundays january february march april may june july august september october november "
    "december christmas easter"
)
"""Written with a capital, and nobody and nothing that is asked about."""
_ENDS = (
    AUXILIARIES | ASKING | DETERMINERS | PRONOUNS
    | word_set(
        "of to by with from on in at into for about after before during until than as and or but that if because me us "
        "him them yourself myself itself themselves back again today tomorrow tonight now here there please each every "
        "per between over under through near like without via work works cost costs begin begins start starts end ends "
        "mean means open opens"
    )
)  # fmt: skip
"""Words that cannot belong to the name of a thing."""


_BEFORE_A_SUBJECT = AUXILIARIES | word_set("if that because when where why how what which whether than and or but")


def near_misses(question: str, most: int = MOST) -> list[str]:
    """Up to ``most`` of them; none where no rule is sure, and none of what is no question."""
    said = " ".join(question.split())
    opening = _OPENING.match(said)
    at = opening.end() if opening else 0
    if len(said) > LONG or not said.isascii() or not _asks(said[at:]) or re.search(r"[.?!:;]\s+\S", said[at:]):
        return []
    ways = [_of_another, _of_others, _by_name, _about_another]
    found = {plain(said): ""}
    for way in ways:
        for words in way(said[:at], said[at:]):
            found.setdefault(plain(words), words)
        if len(found) > 1:  # the surest rule alone
            break
    return [words for words in found.values() if words][:most]


def _asks(core: str) -> bool:
    first = core.split(maxsplit=1)[0].casefold().partition("'")[0] if core else ""
    return core.endswith("?") or first in ASKING


def _of_another(opening: str, core: str) -> Iterator[str]:
    """``your`` and ``our`` are somebody else's."""
    for _, theirs in _OTHERS:
        if (changed := re.sub(r"\b(your|our)\b(?!['’])", theirs, core, flags=re.I)) != core:
            yield opening + _yours(changed)


def _of_others(opening: str, core: str) -> Iterator[str]:
    """``you`` and ``we`` are others."""
    for others, _ in _OTHERS:
        if (changed := re.sub(r"\b(you|we|us)\b(?!['’])", others, core, flags=re.I)) != core:
            yield opening + _yours(changed)


def _yours(text: str) -> str:
    return re.sub(r"\byourself\b|\byourselves\b", "themselves", text, flags=re.I)


def _by_name(opening: str, core: str) -> Iterator[str]:
    """Another name in the place of the last one."""
    words = list(_WORD.finditer(core))
    named = [at for at, word in enumerate(words) if at and _is_name(word.group())]
    if not named:
        return
    first = last = named[-1]
    while first - 1 in named and core[words[first - 1].end() : words[first].start()] == " ":
        first -= 1
    if core[words[last].end() :].lstrip()[:1].isdigit() or words[first - 1].group().casefold() in ("a", "an"):
        return  # of "Section 12" the half, and what is a kind of thing, is no name
    for name in _NAMES:
        if name not in core:
            yield opening + core[: words[first].start()] + name + core[words[last].end() :]


def _is_name(word: str) -> bool:
    return word[0].isupper() and not word.isupper() and word.casefold() not in _NO_NAME | ASKING | AUXILIARIES


def _about_another(opening: str, core: str) -> Iterator[str]:
    """Another thing in the place of the last one that has a determiner before it."""
    words = list(_WORD.finditer(core))
    for at in range(len(words) - 2, -1, -1):
        article, end = words[at].group().casefold(), at + 1
        if article not in DETERMINERS:
            continue
        # Behind these a subject begins, which may end anywhere: "is the pool heated", "does the ferry leave".
        most = at + 2 if at and words[at - 1].group().casefold() in _BEFORE_A_SUBJECT else len(words)
        while end < min(most, len(words)) and words[end].group().casefold() not in _ENDS:
            end += 1
        if end == at + 1:
            continue
        last = words[end - 1].group().casefold()
        several = last.endswith("s") and not last.endswith(("ss", "us", "is"))
        for one, many in _THINGS:
            before = core[: words[at].start()]
            fitting = "a" if article == "an" else words[at].group()
            yield f"{opening}{before}{fitting} {many if several else one}{core[words[end - 1].end() :]}"
        return
