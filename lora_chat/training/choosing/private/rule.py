"""What a rule for private data is. Owns its fields and how a piece is shown masked; never knows one rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["secret", "money", "contact", "identity", "network", "place"]

GAP = "\udc00"
"""Stands where a placeholder stands: a lone surrogate, which no cleaned text holds (``lora_chat.text``)."""

BEFORE = rf"(?<![\w{GAP}])"
"""Nothing of a word goes before. A placeholder counts as one: so masking never lets another rule find more."""
AFTER = rf"(?![\w{GAP}])"


def two_ends(found: str) -> str:
    """The first two characters and the last: ``DE…0``; of less than eight none."""
    return f"{found[:2]}…{found[-1]}" if len(found) >= 8 else "…"


def beginning(found: str) -> str:
    """The first four characters, which of a key say whose it is: ``ghp_…``."""
    return f"{found[:4]}…"


def nothing(found: str) -> str:
    """No character: of a password each would help to guess it."""
    return "…"


@dataclass(frozen=True)
class Rule:
    """One kind of private data."""

    name: str
    """What ``--keep`` takes: ``e-mail``."""
    kind: Kind
    placeholder: str
    """What replaces it: ``[E-MAIL]``."""
    proof: str
    """What proves that it is one, in a sentence."""
    pattern: re.Pattern[str]
    """Takes time linear in the text. Where it has a group ``private``, only that is replaced."""
    proves: Callable[[str], bool] | None = None
    """A second look at what the pattern found, such as a checksum."""
    parts: bool = False
    """Whether it may hold for a part that ends at a space or hyphen: behind a card's number stands its expiry date."""
    needs: tuple[str, ...] = ()
    """One of these is in every text, in small letters, in which it can find anything. With ``digits`` that lets most
    texts pass most rules: a page of prose takes a tenth of the time."""
    digits: int = 0
    """As many are in such a text at least."""
    hint: Callable[[str], str] = two_ends
    """How a piece is shown to the person without showing it."""


def compiled(pattern: str, *, flags: int = 0) -> re.Pattern[str]:
    """``pattern`` between two edges of words."""
    return re.compile(f"{BEFORE}(?:{pattern}){AFTER}", flags)
