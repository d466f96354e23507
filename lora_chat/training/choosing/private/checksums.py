"""Checksums that tell a person's numbers from others. Owns the arithmetic of each; never looks for a number."""

from __future__ import annotations

import hashlib
from collections import Counter

_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
    "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
    "LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 "
    "SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {each[:2]: int(each[2:]) for each in _COUNTRIES.split()}
"""Characters of an IBAN by country (SWIFT IBAN registry)."""

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def digits(found: str) -> list[int]:
    """The digits of it, in order."""
    return [int(each) for each in found if "0" <= each <= "9"]


def card(found: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1), after Luhn; 13 to 19 digits."""
    numbers = digits(found)
    doubled = (sum(divmod(2 * each, 10)) for each in numbers[-2::-2])
    return 13 <= len(numbers) <= 19 and (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def iban(found: str) -> bool:
    """Its country's length and check digits (ISO 13616): the number modulo 97 is 1."""
    text = found.replace(" ", "").upper()
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def bitcoin(found: str) -> bool:
    """The checksum of a Bitcoin address: Base58Check, or Bech32 and Bech32m (BIP-173, BIP-350)."""
    return _bech32(found.lower()) if found.lower().startswith("bc1") else _base58check(found)


def _base58check(found: str) -> bool:
    number = 0
    for each in found:
        number = number * 58 + _BASE58.index(each)
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()[:4] == data[21:]


def _bech32(found: str) -> bool:
    check = 1
    for value in [3, 3, 0, 2, 3, *(_BECH32.index(each) for each in found[3:])]:  # "bc", expanded
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


def ssn(found: str) -> bool:
    """No part that the Social Security Administration never gives out."""
    area, group, serial = found.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def nino(found: str) -> bool:
    """A prefix that HM Revenue and Customs gives out."""
    return found[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def dni(found: str) -> bool:
    """The letter of a Spanish DNI or NIE: the number modulo 23."""
    text = found.replace("-", "").upper()
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI[int(number) % 23] == text[-1]


def nir(found: str) -> bool:
    """The key of a French NIR: 97 less the number modulo 97; Corsica counts as 19 and 18."""
    text = found.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
    return text.isdigit() and 97 - int(text[:13]) % 97 == int(text[13:])


def tax_id(found: str) -> bool:
    """A German Steuer-ID: one digit two or three times among ten, and the check digit of ISO 7064 MOD 11,10."""
    numbers = digits(found)
    if len(numbers) != 11 or numbers[0] == 0:
        return False
    most = sorted(Counter(numbers[:10]).values())
    product = 10
    for each in numbers[:10]:
        product = ((each + product) % 10 or 10) * 2 % 11
    return most[-1] in (2, 3) and most[-2] == 1 and (11 - product) % 10 == numbers[10]


def cpf(found: str) -> bool:
    """Both check digits of a Brazilian CPF."""
    numbers = digits(found)
    checks = [sum(n * weight for n, weight in zip(numbers, range(last + 1, 1, -1), strict=False)) for last in (9, 10)]
    return len(set(numbers)) > 1 and [check * 10 % 11 % 10 for check in checks] == numbers[9:]


def pesel(found: str) -> bool:
    """The date in a Polish PESEL and its check digit."""
    numbers = digits(found)
    month, day = numbers[2] * 10 + numbers[3], numbers[4] * 10 + numbers[5]
    weighted = sum(n * weight for n, weight in zip(numbers, (1, 3, 7, 9) * 2 + (1, 3), strict=False))
    return 1 <= month % 20 <= 12 and 1 <= day <= 31 and -weighted % 10 == numbers[10]
