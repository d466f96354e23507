"""Private data in what will be learnt. Owns how it is replaced by placeholders; never keeps what it replaced.

Rules are precise rather than wide: a checksum or a fixed prefix decides wherever there is one. Not promised: that
everything private is found.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lora_chat.errors import UsageError, did_you_mean
from lora_chat.training.choosing.private.money import MONEY
from lora_chat.training.choosing.private.people import PEOPLE
from lora_chat.training.choosing.private.rule import GAP, Rule
from lora_chat.training.choosing.private.secrets import SECRETS

RULES: tuple[Rule, ...] = (*SECRETS, *PEOPLE, *MONEY)
"""In the order in which they look: the address of a database is no e-mail's, a French NIR's key says more than a card's
check digit."""

_PLACEHOLDER = re.compile("|".join(re.escape(each) for each in sorted({rule.placeholder for rule in RULES})))

_DIGIT = re.compile("[0-9]")


@dataclass(frozen=True)
class Hit:
    """One piece of private data that a rule found."""

    rule: str
    shown: str
    """Enough of it to know it again, and no more: ``j…@e….com``."""
    masked: bool = True
    """False where the person left the rule off."""


@dataclass(frozen=True)
class Masked:
    """A text without the private data that was found in it."""

    text: str
    hits: tuple[Hit, ...]


def redact(text: str, keep: Collection[str] = ()) -> Masked:
    """Replace private data by placeholders; what the rules named in ``keep`` find is reported and stays.

    Doing it twice changes nothing: rules look again until none finds anything, and take placeholders, also those that
    were there before, for the words they stand for.
    """
    there: list[str] = _PLACEHOLDER.findall(text)
    text = _PLACEHOLDER.sub(GAP, text.replace(GAP, ""))
    hits: list[Hit] = []
    sieve, looking = _Sieve(text), True
    while looking:
        looking = False
        for rule in RULES:
            if rule.name in keep or not sieve.lets(rule):
                continue
            spans = list(_spans(text, rule))
            if spans:
                looking = True
                hits += [Hit(rule.name, rule.hint(text[start:end])) for start, end in spans]
                text, there = _replace(text, spans, rule.placeholder, there)
    return Masked(_restore(text, there), (*hits, *_kept(text, keep)))


def _kept(text: str, keep: Collection[str]) -> Iterator[Hit]:
    """What the rules that are left off would have found, each piece once."""
    sieve = _Sieve(text)
    for rule in RULES:
        if rule.name in keep and sieve.lets(rule):
            spans = list(_spans(text, rule))
            yield from (Hit(rule.name, rule.hint(text[start:end]), masked=False) for start, end in spans)
            text, _ = _replace(text, spans, "", [""] * text.count(GAP))


class _Sieve:
    """Which rules can find anything in a text at all."""

    def __init__(self, text: str) -> None:
        self._lower = text.lower()
        self._digits = len(_DIGIT.findall(text))

    def lets(self, rule: Rule) -> bool:
        """Whether it is worth looking."""
        if self._digits < rule.digits:
            return False
        return not rule.needs or any(need in self._lower for need in rule.needs)


def checked_rules(names: Collection[str]) -> frozenset[str]:
    """``names``, each of a rule.

    Raises:
        UsageError: one is none, naming the nearest.
    """
    known = [rule.name for rule in RULES]
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f": choose from {', '.join(known)}."
            raise UsageError(f'There is no rule "{name}" for private data{near}')
    return frozenset(names)


def _spans(text: str, rule: Rule) -> Iterator[tuple[int, int]]:
    """Where each piece begins and ends, in order; none holds a placeholder."""
    group = "private" if "private" in rule.pattern.groupindex else 0
    position = 0
    while found := rule.pattern.search(text, position):
        start = found.start(group)
        end = _proven_end(found[group], rule)
        if end is None:  # perhaps it begins later: "order 4000 4111 1111 1111 1111"
            position = found.start() + 1
            continue
        yield start, start + end
        position = start + end


def _proven_end(found: str, rule: Rule) -> int | None:
    """Where the private part ends: what follows it can match the pattern as well."""
    if rule.proves is None:
        return len(found)
    gaps = [each.start() for each in re.finditer("[ -]", found)] if rule.parts else []
    ends = [len(found), *reversed(gaps)]
    return next((end for end in ends if rule.proves(found[:end])), None)


def _replace(text: str, spans: list[tuple[int, int]], placeholder: str, there: list[str]) -> tuple[str, list[str]]:
    """``text`` with a gap for each span, and what all its gaps stand for."""
    pieces, stand_for, position, gap = [], [], 0, 0
    for start, end in spans:
        before = text[position:start]
        more = gap + before.count(GAP)
        stand_for += [*there[gap:more], placeholder]
        pieces += [before, GAP]
        position, gap = end, more
    return "".join([*pieces, text[position:]]), [*stand_for, *there[gap:]]


def _restore(text: str, there: list[str]) -> str:
    first, *rest = text.split(GAP)
    return first + "".join(placeholder + after for placeholder, after in zip(there, rest, strict=True))
