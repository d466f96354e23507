"""Who somebody is and how to reach them. Owns how each number is written; never checks one by itself."""

from __future__ import annotations

import re

from lora_chat.training.choosing.private import checksums, proofs
from lora_chat.training.choosing.private.rule import AFTER, BEFORE, GAP, Rule, compiled, nothing

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|ene|abr|ago|dic|fév|avr|juin|juil|août|déc)"
)
_DATE = (
    r"[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.)? (?:de )?{_MONTH}\w{{0,7}}\.?,? (?:de )?[0-9]{{4}}"
    rf"|{_MONTH}\w{{0,7}}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}"
)


def _hint_of_mail(found: str) -> str:
    """``j…@e….com``."""
    name, _, host = found.partition("@")
    return f"{name[:1]}…@{host[:1]}….{host.rpartition('.')[2]}"


PEOPLE = (
    Rule(
        "e-mail",
        "contact",
        "[E-MAIL]",
        "a name of at most 64 characters, @, and a domain with its ending",
        re.compile(
            rf"(?<![\w.+{GAP}-])[\w.+-]{{1,64}}@(?:[\w-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}{AFTER}",
        ),
        needs=("@",),
        hint=_hint_of_mail,
    ),
    Rule(
        "phone",
        "contact",
        "[PHONE]",
        "+, a country code, and 8 to 15 digits together (E.164)",
        re.compile(
            rf"(?<![\w+{GAP}])\+[1-9][0-9]{{0,14}}"
            rf"(?:[ ./-]?\([0-9]{{1,5}}\)|[ ./-][0-9]{{1,14}}|(?<=\))[0-9]{{1,14}}){{0,7}}{AFTER}"
        ),
        proofs.phone,
        parts=True,
        needs=("+",),
        digits=8,
    ),
    Rule(
        "us-ssn",
        "identity",
        "[US SSN]",
        "three, two and four digits that the Social Security Administration gives out",
        re.compile(rf"(?<![\w.{GAP}-])[0-8][0-9]{{2}}-[0-9]{{2}}-[0-9]{{4}}(?![\w{GAP}-])"),
        checksums.ssn,
        needs=("-",),
        digits=9,
    ),
    Rule(
        "uk-nino",
        "identity",
        "[UK NINO]",
        "a prefix that is given out, six digits and A to D",
        compiled(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D]"),
        checksums.nino,
        digits=6,
    ),
    Rule(
        "es-dni",
        "identity",
        "[ES DNI]",
        "a DNI or NIE whose letter is right",
        compiled(r"(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[TRWAGMYFPDXBNJZSQVHLCKE]"),
        checksums.dni,
        digits=7,
    ),
    Rule(
        "fr-nir",
        "identity",
        "[FR NIR]",
        "13 digits of sex, year, month and place, and a key that is right",
        compiled(
            r"[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        ),
        checksums.nir,
        digits=13,
    ),
    Rule(
        "de-tax-id",
        "identity",
        "[DE TAX ID]",
        "11 digits, of the first ten one repeated, and a check digit that is right (ISO 7064)",
        compiled(r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"),
        checksums.tax_id,
        digits=11,
    ),
    Rule(
        "br-cpf",
        "identity",
        "[BR CPF]",
        "11 digits with their points and hyphen, and both check digits right",
        compiled(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}"),
        checksums.cpf,
        needs=("-",),
        digits=11,
    ),
    Rule(
        "pl-pesel",
        "identity",
        "[PL PESEL]",
        "written as PESEL, 11 digits with a date and a check digit that is right",
        re.compile(rf"{BEFORE}(?i:pesel)[ \t]{{0,2}}:?[ \t]{{0,2}}(?P<private>[0-9]{{11}}){AFTER}"),
        checksums.pesel,
        needs=("pesel",),
        digits=11,
    ),
    Rule(
        "passport",
        "identity",
        "[PASSPORT]",
        "written as a passport's number",
        re.compile(
            rf"(?i){BEFORE}(?:passport|reisepass|pasaporte|passeport)[ \t]{{0,2}}(?:number|no\.?|nr\.?|#)?[ \t]{{0,2}}"
            rf"(?:is )?[:#]?[ \t]{{0,2}}(?P<private>[A-Z]{{0,2}}[0-9]{{6,9}}){AFTER}"
        ),
        needs=("passport", "reisepass", "pasaporte", "passeport"),
        digits=6,
    ),
    Rule(
        "date-of-birth",
        "identity",
        "[DATE OF BIRTH]",
        "written as a date of birth, in a year in which somebody who lives can be born",
        re.compile(
            rf"(?i){BEFORE}(?:date of birth|birth ?date|birthday|d\.?o\.?b\.?|born(?: on)?|geboren(?: am)?|geburtsdatum"
            r"|née? le|date de naissance|fecha de nacimiento|nacid[oa] el|data de nascimento)[ \t]{0,2}:?[ \t]{0,2}"
            rf"(?:is |was )?(?:on |the )?(?P<private>{_DATE}){AFTER}"
        ),
        proofs.of_a_living,
        hint=nothing,
        needs=("birth", "born", "dob", "d.o", "gebor", "geburt", "née", "né le", "naiss", "nacid", "nacim", "nascim"),
        digits=4,
    ),
    Rule(
        "coordinates",
        "place",
        "[COORDINATES]",
        "decimals of a latitude and a longitude, written as coordinates",
        re.compile(
            rf"(?i){BEFORE}(?:gps|coordinates?|coords?|location|lat(?:itude)?|koordinaten|coordenadas)"
            rf"[a-z /,:=()]{{0,24}}(?P<private>-?[0-9]{{1,2}}\.[0-9]{{3,10}}[ ,;/]{{1,3}}"
            rf"(?:lon(?:gitude)?|lng)?[ :=]{{0,3}}-?[0-9]{{1,3}}\.[0-9]{{3,10}}){AFTER}"
        ),
        proofs.on_earth,
        hint=nothing,
        needs=("gps", "coord", "koord", "loca", "lat"),
        digits=8,
    ),
    Rule(
        "coordinates-dms",
        "place",
        "[COORDINATES]",
        "degrees, minutes and seconds, north or south and east or west",
        compiled(
            r"[0-9]{1,2}°[ ]?[0-9]{1,2}['′][ ]?(?:[0-9]{1,2}(?:\.[0-9]{1,6})?[\"″][ ]?)?[NS][, ]{1,3}"
            r"[0-9]{1,3}°[ ]?[0-9]{1,2}['′][ ]?(?:[0-9]{1,2}(?:\.[0-9]{1,6})?[\"″][ ]?)?[EWO]"
        ),
        needs=("°",),
        hint=nothing,
    ),
    Rule(
        "ipv4",
        "network",
        "[IP ADDRESS]",
        "four numbers to 255 that the whole internet can reach, two of several digits, and no version",
        re.compile(
            rf"(?<![\w.{GAP}-])(?<!version )(?<!Version )(?<!release )(?<!section )"
            rf"(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}(?![\w{GAP}-]|\.[0-9])"
        ),
        proofs.public_address,
        needs=(".",),
        digits=6,
    ),
    Rule(
        "ipv6",
        "network",
        "[IP ADDRESS]",
        "an address of the internet's 2000::/3 (RFC 4291)",
        re.compile(
            rf"(?<![\w:.{GAP}])[23][0-9A-Fa-f]{{3}}:(?:[0-9A-Fa-f]{{0,4}}:){{1,6}}[0-9A-Fa-f]{{0,4}}(?![\w:{GAP}])"
        ),
        proofs.public_address,
        needs=(":",),
        digits=1,
    ),
    Rule(
        "mac",
        "network",
        "[MAC ADDRESS]",
        "six pairs of hexadecimal digits that are not all the same",
        re.compile(
            rf"(?<![\w:{GAP}-])[0-9A-Fa-f]{{2}}(?:(?::[0-9A-Fa-f]{{2}}){{5}}|(?:-[0-9A-Fa-f]{{2}}){{5}})(?![\w:{GAP}-])"
        ),
        proofs.device,
        needs=(":", "-"),
    ),
)
