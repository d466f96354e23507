"""Private data becomes a placeholder; what only looks like it stays."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.errors import UsageError
from lora_chat.training.choosing.private.rule import Rule
from lora_chat.training.choosing.redact import RULES, Hit, Masked, checked_rules, redact

SEED = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
HEX = "0123456789abcdef" * 2
WORDS = "abandon ability able about above absent absorb abstract absurd abuse access accident"
# Put together here, so that no scanner takes this file for a leak.
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nabc\n-----END RSA " + "PRIVATE KEY-----"

PRIVATE = {
    "private-key": [(f"x {PEM} y", "x [PRIVATE KEY] y"), (PEM.replace("RSA ", ""), "[PRIVATE KEY]")],
    "jwt": [(JWT, "[TOKEN]"), (f"token={JWT}.", "token=[TOKEN].")],
    "aws": [("AKIA" + "IOSFODNN7EXAMPLE", "[KEY]")],
    "aws-secret": [("aws_secret_access_key = " + SEED + "+/+/", "aws_secret_access_key = [KEY]")],
    "github": [(f"token ghp_{SEED}", "token [KEY]"), (f"github_pat_{SEED}{SEED}", "[KEY]")],
    "gitlab": [("glpat-abcdefghij0123456789", "[KEY]"), ("gldt-abcdefghij0123456789", "[KEY]")],
    "slack": [
        ("xoxb-" + "123456789012-abcdef", "[KEY]"),
        ("https://hooks.slack.com/" + f"services/T0123ABCD/B0123ABCD/{SEED[:24]}", "[KEY]"),
    ],
    "stripe": [("sk_" + f"live_{SEED}", "[KEY]"), ("whsec_" + SEED, "[KEY]")],
    "anthropic": [(f"sk-ant-api03-{SEED}", "[KEY]")],
    "openai": [(f"sk-proj-{SEED}", "[KEY]"), (f"my key is sk-{SEED}.", "my key is [KEY].")],
    "hugging-face": [(f"hf_{SEED}", "[KEY]")],
    "google": [("AIza" + SEED[:35], "[KEY]"), ("GOCSPX-" + SEED[:28], "[KEY]")],
    "npm": [(f"npm_{SEED}", "[KEY]")],
    "pypi": [("pypi-" + f"AgEIcHlwaS5vcmc{SEED}{SEED}", "[KEY]")],
    "sendgrid": [("SG." + f"{SEED[:22]}.{SEED}{SEED[:7]}", "[KEY]")],
    "twilio": [("AC" + HEX, "[KEY]"), ("SK" + HEX, "[KEY]")],
    "telegram": [(f"110201543:AA{SEED[:33]}", "[KEY]")],
    "discord-hook": [(f"https://discord.com/api/webhooks/123456789012345678/{SEED}{SEED[:32]}", "[KEY]")],
    "discord": [(f"MTA0MjM0NTY3ODkwMTIzNDU2.Gabcde.{SEED}", "[KEY]")],
    "azure": [(f"AccountName=x;AccountKey={SEED}{SEED}{SEED[:14]}==;", "AccountName=x;AccountKey=[KEY];")],
    "database-url": [("use postgres://ada:hunter2@db.example.org:5432/shop now", "use [DATABASE URL] now")],
    "url-password": [("https://ada:hunter2@example.org/x", "https://ada:[PASSWORD]@example.org/x")],
    "bearer": [(f"Authorization: Bearer {SEED}", "Authorization: Bearer [TOKEN]")],
    "basic-auth": [("Authorization: Basic YWRhOmh1bnRlcjI=", "Authorization: Basic [PASSWORD]")],
    "api-key": [(f'"api_key": "{SEED}"', '"api_key": "[KEY]"'), (f"MY_CLIENT_SECRET={SEED}", "MY_CLIENT_SECRET=[KEY]")],
    "password": [
        ("password: hunter2, thanks", "password: [PASSWORD], thanks"),
        ("The Password is: Sw0rdfish!", "The Password is: [PASSWORD]"),
        ("passwort: geheimnis\nweiter", "passwort: [PASSWORD]\nweiter"),
        ('pwd="tr0ub4dor"', 'pwd="[PASSWORD]"'),
    ],
    "seed-phrase": [(f"my seed phrase: {WORDS}", "my seed phrase: [SEED PHRASE]")],
    "iban": [
        ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
        ("IBAN GB29NWBK60161331926819.", "IBAN [IBAN]."),
        ("BE68 5390 0754 7034 EUR 100", "[IBAN] EUR 100"),
    ],
    "card": [
        ("4111 1111 1111 1111", "[CARD]"),
        ("card 4111-1111-1111-1111, thanks", "card [CARD], thanks"),
        ("378282246310005", "[CARD]"),
        ("3782 822463 10005", "[CARD]"),
        ("5555555555554444", "[CARD]"),
        ("4111 1111 1111 1111 12/27", "[CARD] 12/27"),
        ("4111 1111 1111 1111 123", "[CARD] 123"),
        ("order 4000 4111 1111 1111 1111", "order 4000 [CARD]"),
    ],
    "bitcoin": [
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "[WALLET]"),
        ("pay bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq!", "pay [WALLET]!"),
    ],
    "ethereum": [("0x52908400098527886E0F7030069857D2E4169EE7", "[WALLET]")],
    "e-mail": [
        ("Write to ada.lovelace+x@mail.example.co.uk.", "Write to [E-MAIL]."),
        ("a@b.io,c@d.org", "[E-MAIL],[E-MAIL]"),
    ],
    "phone": [
        ("Call +44 20 7946 0958 now", "Call [PHONE] now"),
        ("Call +1 (415) 555-2671", "Call [PHONE]"),
        ("+4915123456789", "[PHONE]"),
        ("+44(0)20 7946 0958", "[PHONE]"),
    ],
    "us-ssn": [("SSN 219-09-9999", "SSN [US SSN]")],
    "uk-nino": [("AB 12 34 56 C", "[UK NINO]"), ("AB123456C", "[UK NINO]")],
    "es-dni": [("DNI 12345678Z", "DNI [ES DNI]"), ("X-1234567-L", "[ES DNI]")],
    "fr-nir": [("2 55 08 14 168 025 38", "[FR NIR]"), ("255081416802538", "[FR NIR]")],
    "de-tax-id": [("86095742719", "[DE TAX ID]"), ("86 095 742 719", "[DE TAX ID]")],
    "br-cpf": [("CPF 529.982.247-25", "CPF [BR CPF]")],
    "pl-pesel": [("PESEL: 44051401359", "PESEL: [PL PESEL]")],
    "passport": [("Passport No. C01234567", "Passport No. [PASSPORT]")],
    "date-of-birth": [
        ("Date of birth: 1990-04-12", "Date of birth: [DATE OF BIRTH]"),
        ("I was born on 12 April 1990.", "I was born on [DATE OF BIRTH]."),
        ("geboren am 3.5.1987", "geboren am [DATE OF BIRTH]"),
        ("DOB 04/12/90", "DOB [DATE OF BIRTH]"),
    ],
    "coordinates": [("GPS: 41.38506, 2.17340", "GPS: [COORDINATES]"), ("lat=41.385, lon=-2.173", "lat=[COORDINATES]")],
    "coordinates-dms": [("41°24'12.2\"N 2°10'26.5\"E", "[COORDINATES]")],
    "ipv4": [("from 93.184.216.34.", "from [IP ADDRESS]."), ("host 81.2.69.142:443", "host [IP ADDRESS]:443")],
    "ipv6": [("2606:2800:220:1:248:1893:25c8:1946", "[IP ADDRESS]"), ("[2a00:1450:4009::200e]", "[[IP ADDRESS]]")],
    "mac": [("00:1A:2B:3C:4D:5E", "[MAC ADDRESS]"), ("00-1a-2b-3c-4d-5e", "[MAC ADDRESS]")],
}
"""Of each rule what it finds, and what becomes of it."""

HARMLESS = {
    "private-key": ["-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----", "-----BEGIN PRIVATE " + "KEY-----"],
    "jwt": ["eyJ is how base64 of JSON begins", "eyJxxxxxxxx.eyJxxxxxxxx.xxxxxxxx", JWT.split(".")[0]],
    "aws": ["AKIA is a prefix", "AKIAIOSFODNN1EXAMPLE", "XAKIAIOSFODNN7EXAMPLE"],
    "aws-secret": ["secret_access_key = short", f"secret_access_key = {SEED}+/+/+"],
    "github": ["ghp_short", f"xghp_{SEED}"],
    "gitlab": ["glpat-short", "gl-pat-abcdefghij0123456789"],
    "slack": ["xoxb-short", "https://hooks.slack.com/services/"],
    "stripe": ["sk_live_short", "sk_mode_" + SEED],
    "anthropic": ["sk-ant-hill"],
    "openai": ["sk-short", "task-force-of-twenty-and-more-people", "sk-force-of-twenty-and-more-people"],
    "hugging-face": ["hf_hub_download_with_retries", "hf_" + "a" * 20],
    "google": ["AIzaShort", "ya29.short"],
    "npm": ["npm_config_registry", f"npm_{SEED[:20]}"],
    "pypi": ["pypi-publish", f"pypi-{SEED}{SEED}"],
    "sendgrid": ["SG.1", f"SG.{SEED}.{SEED}"],
    "twilio": [HEX, "AC" + HEX.upper(), "SK" + HEX + "0"],
    "telegram": ["12345678:AA", "at 12:30:AAaa"],
    "discord-hook": ["https://discord.com/api/webhooks/"],
    "discord": [f"Mabcdefghijklmnopqrstuvw.Gabcde.{SEED}"],
    "azure": ["AccountKey=<your key>==", "AccountKey=short=="],
    "database-url": ["postgres://localhost:5432/shop", "redis://cache"],
    "url-password": ["https://example.org:8080/a@b", "see http://a.b/c:d@e"],
    "bearer": ["bearer of bad tidings-and-more-of-them", "Bearer short1"],
    "basic-auth": ["basic understanding", "Basic training"],
    "api-key": ["api_key = your-api-key-goes-here", "api key: see the docs of your provider"],
    "password": [
        "password: required",
        "password: the one we spoke of",
        "Password: ********",
        "password=$DB_PASSWORD",
        "Your password must be long",
        "password: <secret>",
    ],
    "seed-phrase": ["seed phrase: write it down somewhere", "seed words: one two three"],
    "iban": ["DE89 3704 0044 0532 0130 03", "AB12 CDEF GHIJ KLMN", "ISBN 978-3-16-148410-0"],
    "card": [
        "4111 1111 1111 1112",
        "1234567890123",
        "ISBN 9783161484100",
        "at 1732500000000 ms",
        "9111 1111 1111 1111",
        "4111 11 1111 111111",
    ],
    "bitcoin": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdx", "3" + "A" * 30],
    "ethereum": ["0xdeadbeef", "0x" + "ab" * 32, "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
    "e-mail": ["user@localhost and @someone, a@b", "pip install x@1.2"],
    "phone": ["+100 points and 2+2 is 4", "C++17 and C++20", "1+1234567890"],
    "us-ssn": ["000-12-3456", "666-12-3456", "order 12-345-6789", "123-45-67890", "1-219-09-9999"],
    "uk-nino": ["BG123456C", "AB123456E", "AB12345C"],
    "es-dni": ["12345678A", "part 12345678"],
    "fr-nir": ["2 55 08 14 168 025 39", "155081416802538"],
    "de-tax-id": ["86095742718", "12345678901", "11111111111"],
    "br-cpf": ["529.982.247-26", "111.111.111-11", "529982247"],
    "pl-pesel": ["PESEL 44051401358", "44051401359", "PESEL 44991401359"],
    "passport": ["passport control", "passport 12"],
    "date-of-birth": ["on 2024-12-31", "Einstein was born on 14 March 1879", "due date: 2026-01-01", "born in 1990"],
    "coordinates": ["pi and e are 3.14159, 2.71828", "location: 12.5, 13.25", "GPS: 99.12345, 2.17340"],
    "coordinates-dms": ["an angle of 41°24'", "20° N"],
    "ipv4": ["192.168.10.20", "127.0.0.1", "version 93.184.216.34", "1.2.3.4", "999.184.216.34", "12.10.11.12.13"],
    "ipv6": ["::1", "fe80::1ff:fe23:4567:890a", "at 12:30:45", "std::vector", "2001:db8::1", "2000::/3"],
    "mac": ["00:00:00:00:00:00", "12:30:45", "00:1A:2B:3C:4D:5E:6F", "ff-ff-ff-ff-ff-ff"],
}
"""Of each rule what nearly is what it looks for."""

ORDINARY = [
    "It costs 100 EUR, 1,299.00 USD, +100 points, and 2+2 is 4.",
    "C++17 and C++20; version 1.2.3-4, Chrome 120.0.6099.109, Python 3.11.4",
    "at 12:30 on 2024-12-31, see page 12345; order 4711-0815, invoice 2024/000123",
    "ISBN 978-3-16-148410-0, ISBN-10 3-16-148410-X, RFC 7519, ISO 8601",
    "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709, commit 81b1297, uuid 123e4567-e89b-12d3-a456-426614174000",
    "我的电话是多少？",
    "",
]


def cases(table: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str, str]]:
    return [(rule, text, masked) for rule, each in table.items() for text, masked in each]


def test_every_rule_has_a_name_of_its_own_a_proof_and_examples_of_both_kinds() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names)) >= 25
    assert set(names) == set(PRIVATE) == set(HARMLESS)
    for rule in RULES:
        assert rule.proof
        assert re.fullmatch(r"\[[A-Z -]+\]", rule.placeholder)


@pytest.mark.parametrize(("rule", "text", "masked"), cases(PRIVATE))
def test_private_data_becomes_a_placeholder(rule: str, text: str, masked: str) -> None:
    found = redact(text)
    assert found.text == masked
    assert {hit.rule for hit in found.hits} == {rule}
    assert all(hit.masked for hit in found.hits)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in HARMLESS.items() for text in texts])
def test_what_only_looks_private_stays(rule: str, text: str) -> None:
    assert redact(text).hits == (), rule
    assert redact(text).text == text


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_numbers_stay(text: str) -> None:
    assert redact(text) == Masked(text, ())


def test_pieces_are_counted_and_shown_without_being_shown() -> None:
    found = redact("ada@example.org, 4111 1111 1111 1111 and password: hunter2")
    assert found.text == "[E-MAIL], [CARD] and password: [PASSWORD]"
    assert sorted((hit.rule, hit.shown) for hit in found.hits) == [
        ("card", "41…1"),
        ("e-mail", "a…@e….org"),
        ("password", "…"),
    ]


@pytest.mark.parametrize(("rule", "text", "masked"), cases(PRIVATE))
def test_a_rule_that_is_left_off_reports_what_it_finds_and_leaves_it(rule: str, text: str, masked: str) -> None:
    others = {each.name for each in RULES}
    found = redact(text, keep=others)
    assert found.text == text
    assert rule in {hit.rule for hit in found.hits}
    assert not any(hit.masked for hit in found.hits)


def test_leaving_one_rule_off_leaves_the_others_on() -> None:
    found = redact("a@b.io or +44 20 7946 0958", keep=["e-mail"])
    assert found.text == "a@b.io or [PHONE]"
    assert found.hits == (Hit("phone", "+4…8"), Hit("e-mail", "a…@b….io", masked=False))


def test_a_rule_nobody_knows_is_named_with_the_nearest() -> None:
    assert checked_rules(["e-mail", "card"]) == {"e-mail", "card"}
    with pytest.raises(UsageError, match='no rule "email" for private data; did you mean e-mail'):
        checked_rules(["email"])


SNIPPETS = st.sampled_from(
    [text for each in PRIVATE.values() for text, _ in each]
    + [text for texts in HARMLESS.values() for text in texts]
    + [rule.placeholder for rule in RULES]
    + list("0123456789abcXYZ +-.,:@/=_[]\n'\"°")
)


@settings(deadline=None)
@given(st.lists(SNIPPETS | st.text(max_size=6), max_size=12).map("".join))
def test_masking_what_is_masked_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once.text) == Masked(once.text, ())
    assert (once.text == text) == (not once.hits)


@settings(deadline=None)
@given(st.lists(SNIPPETS, max_size=8).map(" ".join), st.sampled_from(RULES))
def test_with_a_rule_left_off_the_others_find_what_they_find_without_it(text: str, rule: Rule) -> None:
    once = redact(text, [rule.name])
    assert redact(once.text, [rule.name]).text == once.text
    assert all(hit.masked is (hit.rule != rule.name) for hit in once.hits)


@given(st.integers(10**11, 10**12 - 1), st.sampled_from(["", " ", "-"]))
def test_a_number_is_a_card_exactly_if_its_check_digit_is_right(number: int, gap: str) -> None:
    digits = f"456{number}0"
    total = sum(int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits)))
    last = (int(digits[-1]) - total) % 10
    right, wrong = digits[:-1] + str(last), digits[:-1] + str((last + 1) % 10)

    def written(card: str) -> str:
        return f"my card is {gap.join(card[at : at + 4] for at in range(0, 16, 4))} ok"

    assert [hit.rule for hit in redact(written(right)).hits] == ["card"]
    assert "card" not in {hit.rule for hit in redact(written(wrong)).hits}


HARD = [
    *("4", "4 ", "4111 ", "a@", "+1 ", " +1234567890123456789012345", "AB12", "AB12 ", "a.", "eyJ", "+4912345678"),
    *("-----BEGIN PRIVATE " + "KEY-----", "password: ", "seed phrase: abcd ", "seed: ", "abcd ", "born on ", "1."),
    *("2001:", "aa:", "api_key=", "http://a:", "a://", "1 11 ", "lat ", "1" + "a" * 33 + " ", "bearer ", "xox", "_-"),
    *("postgres://a:b", "postgres://a:b@", "[CARD]", "[E-MAIL] ", "12.34.56.78 ", "passwort is: ", "access_key="),
]


@pytest.mark.parametrize("piece", HARD)
def test_what_nearly_is_something_again_and_again_is_looked_through(piece: str) -> None:
    """Were a pattern to backtrack without bound, this would take hours, not the part of a second that it takes."""
    text = piece * (100_000 // len(piece))
    once = redact(text)
    assert once.text.count("[") <= text.count("[") + len(once.hits)


def test_a_megabyte_of_all_of_it_is_looked_through() -> None:
    text = "\n".join(piece * (1_000_000 // len(HARD) // len(piece)) for piece in HARD)
    once = redact(text)
    assert redact(once.text).text == once.text
