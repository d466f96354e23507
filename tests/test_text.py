"""Nothing foreign steers a terminal or deceives the eye; everything honest stays."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.text import clean, clean_line, spelt

ANY = st.text(st.characters() | st.sampled_from("\ud800\x1b\x9b\u202e\u2066\ufeff\r\n\t\U000e0041\u200d"))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]52;c;aGk=\x07", "]52;c;aGk="),
        ("\x9b2J and \x9d0;title\x9c", "2J and 0;title"),
        ("safe\u202etxt.exe\u2066\u2069", "safetxt.exe"),
        ("hid\U000e0041\U000e0042den\u2062", "hidden"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("nul\0, surrogate\ud800, delete\x7f, bell\x07, back\x08", "nul, surrogate, delete, bell, back"),
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("para\u2029graph\u2028", "paragraph"),
        ("👨\u200d👩\u200d👧 日本語 é e\u0301 עברית ‌می‌خواهم", "👨\u200d👩\u200d👧 日本語 é e\u0301 עברית ‌می‌خواهم"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),  # markup is the screen's matter
    ],
)
def test_what_is_harmful_goes_and_the_rest_stays(text: str, kept: str) -> None:
    assert clean(text) == kept


@given(ANY)
def test_what_is_left_steers_nothing_and_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert not any(unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t" for each in cleaned)
    assert not any(unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                   for each in cleaned)  # fmt: skip
    assert clean(cleaned) == cleaned


@given(ANY, st.integers(1, 50))
def test_a_line_is_one_line_and_no_longer_than_asked(text: str, longest: int) -> None:
    line = clean_line(text, longest)
    assert len(line.splitlines()) <= 1
    assert len(line) <= longest
    assert clean_line(text).startswith(line.removesuffix("…"))


def test_a_cut_line_says_so() -> None:
    assert clean_line("one  two\nthree", 8) == "one two…"
    assert clean_line("one  two\nthree") == "one two three"
    assert clean_line("one two", 7) == "one two"


def test_what_repr_refuses_is_spelt_all_the_same() -> None:
    assert spelt([1, "a"]) == "[1, 'a']"
    assert spelt(16**5000) == "0x1" + "0" * 5000
    assert spelt([16**5000]) == "what is too long to be written"
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert spelt(deep) == "what is too long to be written"
