"""What a piece of text decodes to or means. Owns those second looks; never looks for a piece."""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import json
import math
import re
from typing import Any


def phone(found: str) -> bool:
    """As many digits as a number with its country code has (E.164: at most 15): ``+100`` is none."""
    return 8 <= sum(each.isdigit() for each in found) <= 15


def token(found: str) -> bool:
    """The header of a JSON web token is JSON and names its algorithm (RFC 7519)."""
    try:
        header: Any = json.loads(_unbase64(found.split(".")[0]))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def basic(found: str) -> bool:
    """It decodes to ``user:password`` (RFC 7617)."""
    try:
        return bool(re.fullmatch(r"[^:\x00-\x1f]+:[^\x00-\x1f]+", _unbase64(found).decode()))
    except ValueError:
        return False


def discord(found: str) -> bool:
    """Its first part decodes to the bot's number."""
    try:
        return _unbase64(found.split(".")[0]).isdigit()
    except ValueError:
        return False


def mixed(found: str) -> bool:
    """Letters and digits: no word or number of a sentence."""
    return any(each.isdigit() for each in found) and any(each.isalpha() for each in found)


def random_like(found: str) -> bool:
    """Digits, capitals and small letters: no words with hyphens."""
    return mixed(found) and found != found.lower() and found != found.upper()


def written_password(found: str) -> bool:
    """Not one of the words that stand where a password would be."""
    return found.lower() not in _NO_PASSWORD and not re.fullmatch(r"[*•.xX_-]+|[$%<{\[].*", found)


_NO_PASSWORD = {
    *("required", "optional", "none", "null", "true", "false", "string", "text", "bool", "forgotten", "unknown"),
    *("hidden", "incorrect", "invalid", "wrong", "missing", "empty", "secret", "password", "changeme", "redacted"),
}


def seed_words(found: str) -> bool:
    """As many words as BIP-39 has, and hardly any twice."""
    words = re.findall(r"[a-z]+", found)
    return len(words) in (12, 15, 18, 21, 24) and len(set(words)) > len(words) * 0.7


def public_address(found: str) -> bool:
    """An address that the whole internet can reach, with two numbers of several digits: ``1.2.3.4`` is a version."""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    if found.endswith("::"):  # a whole network's: 2000::/3
        return False
    return address.is_global and (address.version == 6 or sum(len(part) > 1 for part in found.split(".")) >= 2)


def device(found: str) -> bool:
    """Not the address of nobody or of everybody."""
    return len(set(re.findall(r"\w\w", found.lower()))) > 1


def on_earth(found: str) -> bool:
    """A latitude and a longitude."""
    north, east = (float(each) for each in re.findall(r"-?\d+\.\d+", found)[:2])
    return math.fabs(north) <= 90 and math.fabs(east) <= 180


def of_a_living(found: str) -> bool:
    """A year in which somebody who lives can have been born."""
    years = re.findall(r"(?<![0-9])[0-9]{4}(?![0-9])", found)
    return all(1905 <= int(year) <= datetime.datetime.now(tz=datetime.UTC).year for year in years)


def _unbase64(text: str) -> bytes:
    """Of either alphabet, with or without padding. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
