"""Questions inside a sentence: "Where is it?" is "where it is" there. Owns that grammar, of English alone.

Where the subject ends is guessed only where few words leave little to guess; else there is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence


def word_set(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


PRONOUNS = word_set("i you we they he she it there")
_PLURAL = word_set("i you we they")
DETERMINERS = word_set("the a an my your our his her their its this that these those any some")
BE = word_set("is are was were am isn't aren't wasn't weren't")
HAVE = word_set("has have had hasn't haven't hadn't")
MODALS = word_set("can could will would should must may might can't cannot couldn't won't wouldn't shouldn't mustn't")
DO = word_set("do does did don't doesn't didn't")
AUXILIARIES = BE | HAVE | MODALS | DO
ASKING = word_set("what where when who whom whose why which how")
"""Words a question begins with."""
_JOINS = word_set("that if because after before while since unless although so than and or but")
_VERBS = word_set(
    "work cost open close arrive start end begin mean take ship fit look function happen last expire run need"
)
_STATES = word_set(
    "late open closed ready available free due broken damaged missing wrong empty full safe legal allowed possible "
    "included covered delayed lost stuck slow expensive cheap necessary required needed valid located called based "
    "made used kept stored sold held named spelled pronounced calculated measured gone done sent shipped paid "
    "different important supported compatible waterproof normal confirmed cancelled"
)
"""Words that do not belong to the subject before them, where the question ends behind them or one of these follows."""
_FOLLOWS = word_set(
    "of to by with from on in at into for about after before during until than because when if as so too yet here "
    "there now today tomorrow tonight again well more a an the my your me us"
)
_NEGATIONS = word_set("not still always never already")
"""The same, whatever follows."""
_LATER = word_set("now today tomorrow tonight currently here there like for about again")
"""Words that may stand behind a whole subject and are none of it."""
_DANGLING = word_set("of to by with from on in at into up out off over")
_THINGS_IN_ING = word_set(
    "shipping opening billing tracking parking building morning evening meaning thing king string spring ring wedding "
    "meeting setting settings pricing training marketing packaging clothing ending beginning wording spelling heating "
    "engineering programming learning housing ceiling earring nothing something anything everything"
)
_NOUN_ENDS = ("tion", "sion", "ment", "ness", "ity", "sis", "ism", "logy", "phy", "graphy", "ance", "ence", "ship")
_LONGEST = 8


def indirect(words: Sequence[str]) -> str:
    """The question as a clause, after "Can you tell me"; empty where that is not certain.

    ``words`` are those of one question without its mark, beginning with one of ``ASKING`` or an auxiliary.
    """
    low = [word.casefold() for word in words]
    at = next((at for at, word in enumerate(low[:5]) if word in AUXILIARIES), -1)
    if at < 0 or len(words) < at + 2 or any(word in ASKING for word in low[at + 1 :]):
        return _of_the_subject(words, low)
    asked = ["if"] if at == 0 else [low[0], *words[1:at]]
    if at > 1 and any(word in PRONOUNS | _JOINS for word in low[1:at]):
        return ""
    if low[0] == "who" and low[at] in MODALS and low[at + 1] not in PRONOUNS | DETERMINERS and at == 1:
        return " ".join([*asked, *words[1:]])  # who can help me
    clause = _clause(low[at], words[at + 1 :], at, low[0])
    return " ".join([*asked, *clause]) if clause else ""


def _of_the_subject(words: Sequence[str], low: Sequence[str]) -> str:
    """Who wrote Hamlet: the order is that of the clause already."""
    plain = not any(word in AUXILIARIES | ASKING | _JOINS for word in low[1:])
    if len(words) > 2 and plain and (low[0] == "who" or low[:2] == ["what", "happens"]):
        return " ".join([low[0], *words[1:]])
    return ""


def _clause(auxiliary: str, rest: Sequence[str], at: int, asks: str) -> list[str]:
    """Subject, verb and the rest in a clause's order; ``at`` is the auxiliary's place in the question."""
    first = rest[0].casefold()
    pronoun = first in PRONOUNS or (first in ("this", "that") and (len(rest) == 1 or _is_start(rest[1])))
    end = 1 if pronoun else _end(auxiliary, rest, at, asks)
    if not end:
        return []
    subject, more = list(rest[:end]), list(rest[end:])
    if first == "there" and not more:
        return []
    if auxiliary in DO:
        if auxiliary.startswith("did") or not more:
            return []
        if auxiliary in ("don't", "doesn't"):
            return [*subject, auxiliary, *more]
        if (auxiliary == "does") is (first in _PLURAL):
            return []
        return [*subject, conjugated(more[0]) if auxiliary == "does" else more[0], *more[1:]]
    if not more and (auxiliary not in BE or at == 0):
        return []
    return [*subject, auxiliary, *more]


def _end(auxiliary: str, rest: Sequence[str], at: int, asks: str) -> int:
    """How many words the subject has; 0 where that is not certain."""
    low = [word.casefold() for word in rest]
    begins = 2 if low[0] in DETERMINERS else 1
    verbs = auxiliary in DO | MODALS
    follows = _FOLLOWS if verbs else _FOLLOWS - DETERMINERS
    places = [at for at in range(begins, len(low)) if at + 1 == len(low) or low[at + 1] in follows]
    negated = [at for at in range(begins, len(low)) if low[at] in _NEGATIONS]
    if verbs:
        found = [at for at in places if low[at] in _VERBS | {"be"}]
    elif auxiliary in HAVE:
        found = negated or [at for at in places if low[at] in _STATES or _is_past(low[at])]
    else:
        found = negated or [at for at in places if low[at] in _STATES or _is_going_on(low[at])]
    if found or auxiliary not in BE:
        return found[0] if len(found) == 1 and found[0] <= 4 and _is_subject(rest[: found[0]]) else 0
    end = len(rest)
    while end > begins and (low[end - 1] in _LATER or (low[end - 1] == "right" and low[end:] == ["now"])):
        end -= 1
    if (
        at == 0
        or end > _LONGEST
        or auxiliary not in ("is", "are")
        or not _is_subject(rest[:end], whole=True, plural=auxiliary == "are")
    ):
        return 0
    certain = asks in ("what", "where", "who", "how") or end <= 2 or (end == 3 and low[1] in ("next", "last", "first"))
    return end if certain and (asks != "how" or end <= 3) else 0


def _is_subject(words: Sequence[str], *, whole: bool = False, plural: bool = False) -> bool:
    """Whether these can only be one thing's name; ``whole``: nothing but them says that it ends here."""
    low = [word.casefold() for word in words]
    joins = _JOINS - {"and"} if "between" in low else _JOINS
    if any(word in AUXILIARIES | joins | ASKING | PRONOUNS for word in low) or low[-1] in _DANGLING | DETERMINERS:
        return False
    if any(_is_going_on(word) or _is_past(word) for word in low[1:]):
        return False
    if low[0] in DETERMINERS:
        return len(low) > 1 or low[0] in ("this", "that", "these", "those")
    if words[0][0].isupper():
        return all(word[0].isupper() or word[0].isdigit() or word in ("of", "de", "van", "the") for word in words)
    return len(low) == 1 and (not whole or low[0].endswith(_NOUN_ENDS) or (plural and low[0].endswith("s")))


def _is_going_on(word: str) -> bool:
    return len(word) > 4 and word.endswith("ing") and word not in _THINGS_IN_ING


def _is_past(word: str) -> bool:
    return len(word) > 4 and word.endswith("ed") and not word.endswith(("eed", "dred"))


def _is_start(word: str) -> bool:
    return word.casefold() in DETERMINERS | PRONOUNS


def conjugated(verb: str) -> str:
    """With he, she or it: ``works``."""
    irregular = {"have": "has", "do": "does", "go": "goes", "be": "is"}
    if verb in irregular:
        return irregular[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2:-1] not in tuple("aeiou") else f"{verb}s"
