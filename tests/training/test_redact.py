"""Private data becomes a placeholder; what only looks like it stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.training.redact import redact

SEED = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"

PRIVATE = [
    ("Write to ada.lovelace+x@mail.example.co.uk.", "Write to [E-MAIL]."),
    ("a@b.io,c@d.org", "[E-MAIL],[E-MAIL]"),
    ("Call +44 20 7946 0958 now", "Call [PHONE] now"),
    ("Call +1 (415) 555-2671", "Call [PHONE]"),
    ("+4915123456789", "[PHONE]"),
    ("4111 1111 1111 1111", "[CARD]"),
    ("card 4111-1111-1111-1111, thanks", "card [CARD], thanks"),
    ("378282246310005", "[CARD]"),
    ("4111 1111 1111 1111 12/27", "[CARD] 12/27"),
    ("4111 1111 1111 1111 123", "[CARD] 123"),
    ("order 12 4111 1111 1111 1111", "order 12 [CARD]"),
    ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
    ("IBAN GB29NWBK60161331926819.", "IBAN [IBAN]."),
    ("BE68 5390 0754 7034 EUR 100", "[IBAN] EUR 100"),
    (f"token ghp_{SEED}", "token [KEY]"),
    (f"github_pat_{SEED}{SEED}", "[KEY]"),
    ("AKIAIOSFODNN7EXAMPLE", "[KEY]"),
    (f"hf_{SEED}", "[KEY]"),
    (f"sk-proj-{SEED}", "[KEY]"),
    (f"sk-ant-{SEED}", "[KEY]"),
    ("glpat-abcdefghij0123456789", "[KEY]"),
    ("xoxb-123456789012-abcdef", "[KEY]"),
    ("AIza" + SEED[:35], "[KEY]"),
    ("sk_" + f"live_{SEED}", "[KEY]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "[TOKEN]"),
    ("x -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- y", "x [PRIVATE KEY] y"),
]

HARMLESS = [
    "It costs 100 EUR, +100 points, and 2+2 is 4.",
    "C++17 and C++20; version 1.2.3-4",
    "at 12:30 on 2024-12-31, see page 12345",
    "4111 1111 1111 1112",  # the check digit is wrong
    "1234567890123",
    "DE89 3704 0044 0532 0130 03",
    "AB12 CDEF GHIJ KLMN",
    "user@localhost and @someone, a@b",
    "sk-short and ghp_short and hf_hub",
    "task-force-of-twenty-and-more-people",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "eyJ is how base64 of JSON begins",
    "我的电话是多少？",
    "",
]


@pytest.mark.parametrize(("text", "masked"), PRIVATE)
def test_private_data_becomes_a_placeholder(text: str, masked: str) -> None:
    found, hits = redact(text)
    assert found == masked
    assert hits == masked.count("[")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_private_stays(text: str) -> None:
    assert redact(text) == (text, 0)


def test_pieces_are_counted() -> None:
    text, hits = redact("a@b.io, 4111 1111 1111 1111 and +44 20 7946 0958")
    assert (text, hits) == ("[E-MAIL], [CARD] and [PHONE]", 3)


@given(st.text())
def test_masking_what_is_masked_changes_nothing(text: str) -> None:
    once, hits = redact(text)
    assert redact(once) == (once, 0) or hits  # a placeholder can bring two halves of another together
    assert (once == text) == (hits == 0)


@given(st.integers(10**12, 10**18), st.sampled_from(["", " ", "-"]))
def test_a_number_is_a_card_exactly_if_its_check_digit_is_right(number: int, gap: str) -> None:
    digits = str(number)
    total = sum(int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits)))
    last = (int(digits[-1]) - total) % 10
    right, wrong = digits[:-1] + str(last), digits[:-1] + str((last + 1) % 10)
    assert redact(f"my card is {gap.join([right[:6], right[6:]])} ok")[1] == 1
    assert redact(f"my card is {wrong} ok")[1] == 0


@pytest.mark.parametrize("text", ["4" * 50_000, "a@" * 20_000, "+1 " * 20_000, "AB12" * 10_000, "a." * 30_000 + "@"])
def test_a_long_text_takes_no_time(text: str) -> None:
    began = time.monotonic()
    redact(text)
    assert time.monotonic() - began < 5
