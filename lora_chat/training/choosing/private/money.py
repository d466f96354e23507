"""Accounts, cards and wallets. Owns how each is written; never checks one by itself."""

from __future__ import annotations

from lora_chat.training.choosing.private import checksums
from lora_chat.training.choosing.private.rule import Rule, compiled

# A Visa card begins with 4, Mastercard with 22 to 27 or 5, American Express, Diners and JCB with 3, others with 6: a
# time in milliseconds with 1, an ISBN with 97. Written as one number, in fours, or as American Express does.
_CARD = (
    r"(?:[3456][0-9]{3}|2[2-7][0-9]{2})"
    r"(?:[0-9]{9,15}|(?: [0-9]{4}){3}(?: [0-9]{1,3})?|(?:-[0-9]{4}){3}(?:-[0-9]{1,3})?|([ -])[0-9]{6}\1[0-9]{4,5})"
)

MONEY = (
    Rule(
        "iban",
        "money",
        "[IBAN]",
        "its country's length, and check digits that are right (ISO 13616)",
        compiled(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"),
        checksums.iban,
        parts=True,
        digits=2,
    ),
    Rule(
        "card",
        "money",
        "[CARD]",
        "a card network's first digits, 13 to 19 of them, and a check digit that is right (ISO/IEC 7812-1)",
        compiled(_CARD),
        checksums.card,
        parts=True,
        digits=13,
    ),
    Rule(
        "bitcoin",
        "money",
        "[WALLET]",
        "an address of Bitcoin whose checksum is right (Base58Check, BIP-173, BIP-350)",
        compiled(r"[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71}|BC1[02-9AC-HJ-NP-Z]{11,71}"),
        checksums.bitcoin,
        needs=("1", "3"),
    ),
    Rule(
        "ethereum", "money", "[WALLET]", "0x and 40 hexadecimal digits", compiled(r"0x[0-9a-fA-F]{40}"), needs=("0x",)
    ),
)
