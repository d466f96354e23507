"""Private data in what will be learnt. Owns the rules and their placeholders; never keeps what it replaced.

Rules are precise rather than wide: a checksum or a fixed prefix decides wherever there is one. Not promised: that
everything private is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One kind of private data."""

    placeholder: str
    pattern: re.Pattern[str]
    proves: Callable[[str], bool] | None = None
    """A second look at what the pattern found, such as a checksum; it may hold for a part that ends at a gap."""


def _luhn(found: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(each) for each in found if each.isdigit()]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _iban(found: str) -> bool:
    """The check digits of an IBAN (ISO 13616): the number modulo 97 is 1."""
    text = found.replace(" ", "").upper()
    return 15 <= len(text) <= 34 and int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def _phone(found: str) -> bool:
    """As many digits as a number with its country code has (E.164: at most 15): ``+100`` is none."""
    return 8 <= sum(each.isdigit() for each in found) <= 15


RULES = (
    Rule("[PRIVATE KEY]", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----")),
    Rule("[TOKEN]", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),  # JSON web token (RFC 7519)
    Rule("[KEY]", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),  # AWS
    Rule("[KEY]", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),  # GitHub
    Rule("[KEY]", re.compile(r"\bgithub_pat_\w{60,}\b")),
    Rule("[KEY]", re.compile(r"\bglpat-[\w-]{20,}")),  # GitLab
    Rule("[KEY]", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),  # Hugging Face
    Rule("[KEY]", re.compile(r"\bsk-(?:proj-|ant-)?[\w-]{20,}")),  # OpenAI, Anthropic
    Rule("[KEY]", re.compile(r"\bxox[abprs]-[\w-]{10,}")),  # Slack
    Rule("[KEY]", re.compile(r"\bAIza[\w-]{35}\b")),  # Google
    Rule("[KEY]", re.compile(r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}\b")),  # Stripe
    Rule("[E-MAIL]", re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")),
    Rule("[IBAN]", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _iban),
    Rule("[CARD]", re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), _luhn),
    Rule("[PHONE]", re.compile(r"(?<![\w+])\+\d{1,3}(?:[ ./-]?\(?\d{1,4}\)?){2,6}\b"), _phone),  # E.164, written out
)


def redact(text: str) -> tuple[str, int]:
    """Return ``text`` with private data replaced by placeholders, and how many pieces were."""
    hits = 0
    for rule in RULES:
        parts, position = [], 0
        while found := rule.pattern.search(text, position):
            end = _proven_end(found, rule)
            if end is None:  # perhaps it begins later: "order 12 4111 1111 1111 1111"
                parts.append(text[position : found.start() + 1])
                position = found.start() + 1
                continue
            parts += text[position : found.start()], rule.placeholder
            position = end
            hits += 1
        text = "".join(parts) + text[position:]
    return text, hits


def _proven_end(found: re.Match[str], rule: Rule) -> int | None:
    """Where the private part ends: what follows a card's number (its expiry date) can match the pattern as well."""
    if rule.proves is None:
        return found.end()
    gaps = [found.start() + each.start() for each in re.finditer(r"[ -]", found[0])]
    ends = [found.end(), *reversed(gaps)]
    return next((end for end in ends if rule.proves(found.string[found.start() : end])), None)
