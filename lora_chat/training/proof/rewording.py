"""A question in other words. Owns the rules that make them, of English alone; whether they are good, a person says.

A rule that cannot be sure of the grammar proposes nothing; what is left then is what goes before any question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from lora_chat.training.proof.check import plain
from lora_chat.training.proof.indirect import ASKING, AUXILIARIES, DETERMINERS, PRONOUNS, indirect, word_set

MOST = 4
"""Other wordings of one question, unless told."""
ALL = 100
"""More than the rules make."""
LONG = 200
"""Characters from which on a question only gets something before it."""

_GREETING = re.compile(
    r"(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening|day))(?: there| all| team)?\s*[,.!:-]+\s*", re.I
)
_PLEASE = re.compile(r",?\s+please(?=[.?!]*$)", re.I)
_SENTENCES = re.compile(r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bMrs)(?<!\bSt)(?<!\bNo)[.?!]+[\"'”’)]*\s+(?=\S)")
_BREAKS = re.compile(r"[,;:()\"“”\n]|\s[-–—]+\s")
_SHORT = {"what's": "what is", "where's": "where is", "who's": "who is", "how's": "how is", "when's": "when is"}

_ORDERS = word_set(
    "write tell give explain translate summarize summarise describe make create recommend suggest send cancel add "
    "convert fix generate rewrite define calculate solve compose continue correct draw choose pick recite teach "
    "introduce invent repeat finish provide replace remove"
)
"""First words that can only be a request."""
_PERHAPS_ORDERS = word_set(
    "name order list change check call answer show help count draft sort find compare say sing read talk track"
)
"""First words that are one where a thing or a person follows."""
_OBJECTS = DETERMINERS | word_set("me us all it them one two three four five six seven eight nine ten")
_TELLS = word_set("i i'm i've i'd i'll my our we the this it it's there")
"""First words of a plain statement."""
_TROUBLE = re.compile(
    r"\b(?:late|broken|damaged|missing|lost|wrong|stuck|delayed|not|never|cannot|\w+n't|nobody|nothing|error|fails?|"
    r"failed|too|empty|torn|cracked|leaks?|no longer|without)\b",
    re.I,
)
_NEVER_TO = word_set("look feel seem compare not be")


def rewordings(question: str, most: int = MOST) -> list[str]:
    """Up to ``most`` other wordings with the same meaning, the boldest first; none where no rule is sure."""
    said, found = question.strip(), {_bare(question): ""}
    for words in _proposed(said):
        found.setdefault(_bare(words), words)
    return [words for words in found.values() if words][:most]


def to_ask(question: str, most: int = MOST) -> list[str]:
    """Every second of them: what a person is offered as a check and an examination asks, so that it is never learnt."""
    return rewordings(question, ALL)[::2][:most]


def to_learn(question: str) -> list[str]:
    """The others: a training may show them beside the question."""
    return rewordings(question, ALL)[1::2]


def _bare(text: str) -> str:
    return plain(text).strip(" .?!")


def _proposed(said: str) -> Iterator[str]:
    straight = said.replace("’", "'")
    core = _PLEASE.sub("", _GREETING.sub("", straight, count=1)).strip()
    core = re.sub(r"^please,?\s+", "", core, flags=re.I)
    greeted = _GREETING.match(straight) is not None
    words = core.rstrip(" .?!").split()
    if not words:
        return
    words = [*_SHORT.get(words[0].casefold(), words[0]).split(), *words[1:]]
    low = [word.casefold() for word in words]
    kind = _kind(low, core)
    if not kind:
        return
    if "\n" in said or len(said) > LONG or _SENTENCES.search(core):
        if kind == "order":
            yield f"Please {_small(straight)}"
        elif not greeted and "\n" not in said:
            yield f"Hello, {_small(straight)}"
        return
    if kind == "question":
        if len(words) > 1 and not core.isupper() and not _BREAKS.search(core) and not _two_at_once(low):
            yield from _questions(words, low)
        if len(words) > 2:
            mark = " ".join(words) + "?"
            yield f"I have a question: {_small(mark)}"
            yield f"Hello, {_small(mark)}"
    elif kind == "order":
        yield from _requests(" ".join(words), core)
    else:
        if _TROUBLE.search(core):
            yield f"I have a problem: {_small(core)}"
        yield f"Hello, {_small(core)}"
        yield f"Just so you know: {_small(core)}"


def _kind(low: list[str], core: str) -> str:
    """What is said: a question, an order, a statement, or empty: perhaps not even English."""
    if low[0] in ASKING:
        return "question"
    if low[0] in AUXILIARIES and len(low) > 2 and "not" not in low[:2]:
        known = low[1] in PRONOUNS | DETERMINERS or (low[0] in ("is", "are") and core.endswith("?") and len(low) == 3)
        return "question" if known and low[0] not in ("don't", "doesn't") else ""
    several = _SENTENCES.search(core) is not None
    if core.endswith("?") or len(low) < 2 or low[1] in ("of", "is", "are", "was"):
        tells = low[0] in _TELLS and len(low) > 2 and (several or not core.endswith("?"))
        return "statement" if tells else ""
    if low[0] in _ORDERS or (low[0] in _PERHAPS_ORDERS and (low[1] in _OBJECTS or low[1].isdigit())):
        return "order"
    return "statement" if low[0] in _TELLS and len(low) > 2 else ""


def _two_at_once(low: list[str]) -> bool:
    """Whether a second question follows the first."""
    return any(word in ("and", "or", "but") and after in ASKING | AUXILIARIES for word, after in pairwise(low))


def _small(text: str) -> str:
    """What goes on a sentence: its first letter small, but for I and what is written in capitals."""
    first = text.split()[0]
    if re.fullmatch(r"I(?:'\w+)?[,.]?", first) or (len(first) > 1 and first.isupper()):
        return text
    return text[0].lower() + text[1:]


def _questions(words: list[str], low: list[str]) -> Iterator[str]:
    rest = " ".join(words[3:])
    begins, verb = tuple(low[:3]), low[3] if len(low) > 3 else ""
    clause = indirect(words)
    if low[:2] in (["what", "is"], ["where", "is"], ["who", "is"]) and clause and low[2] not in PRONOUNS:
        yield f"{words[0].capitalize()}'s {' '.join(words[2:])}?"
    if begins in (("how", "do", "i"), ("how", "can", "i")) and len(low) > 4 and verb not in _NEVER_TO:
        yield f"How {'can' if low[1] == 'do' else 'do'} I {rest}?"
        yield f"Can you tell me how to {rest}?"
        yield f"What is the way to {rest}?"
        yield f"I would like to know how to {rest}."
        return
    if low[0] == "what" and low[1] in ("do", "should", "can") and low[2:4] == ["i", "do"]:
        more = " ".join(words[4:])
        yield f"What should I do {more}".rstrip() + "?"
        yield f"Can you tell me what to do {more}".rstrip() + "?"
        yield f"I would like to know what to do {more}".rstrip() + "."
        return
    if low[:3] == ["how", "much", "does"] and low[-1] == "cost" and clause:
        yield f"What does {' '.join(words[3:])}?"
    if low[:3] in (["how", "much", "is"], ["how", "much", "are"]) and low[3:4] and low[3] in DETERMINERS and clause:
        yield f"What {'does' if low[2] == 'is' else 'do'} {rest} cost?"
    if low[:2] == ["can", "you"]:
        yield from _asked_of_you(words)
        return
    if low[:2] in (["could", "you"], ["would", "you"], ["will", "you"]) and low[2] not in ("like", "be", "prefer"):
        yield from _asked_of_you(words)
        yield f"Can you {' '.join(words[2:])}?"
        return
    if low[:2] == ["can", "i"] and low[2] != "not":
        yield f"Is it possible to {' '.join(words[2:])}?"
    if low[:2] == ["may", "i"]:
        yield f"Can I {' '.join(words[2:])}?"
        yield f"Am I allowed to {' '.join(words[2:])}?"
        return
    if clause and low not in (["how", "are", "you"], ["who", "am", "i"]) and low[1:3] != ["you", "like"]:
        ways = [f"Can you tell me {clause}?", f"Do you know {clause}?", f"I would like to know {clause}."]
        if "you" in low:  # "Do you know when you open?" nobody asks
            del ways[1]
        elif low[0] in ("where", "when", "who", "is", "are"):
            ways[:2] = ways[1::-1]
        yield from ways


def _asked_of_you(words: list[str]) -> Iterator[str]:
    rest = re.sub(r"^please\s+", "", " ".join(words[2:]), flags=re.I)
    first = rest.split()[0].casefold()
    yield f"Could you {rest}?"
    if first in _ORDERS:
        yield f"Please {rest}."
    yield f"Would you be able to {rest}?"


def _requests(order: str, core: str) -> Iterator[str]:
    asked = _small(order)
    yield f"Please {_small(core)}"
    if not _BREAKS.search(core):
        yield f"Could you {asked}?"
        yield f"Can you {asked}?"
        yield f"I would like you to {asked}."
