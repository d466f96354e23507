"""Where words stand in a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.chat.words import holds_all, spans


def marked(text: str, words: str) -> str:
    """``text`` with brackets around what is found."""
    for start, end in reversed(spans(text, words.split())):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return text


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("The cart and the car.", "car", "The [car]t and the [car]."),
        ("The cart and the car.", "car the", "[The] cart and [the] [car]."),
        ("scar", "car", "scar"),
        ("Un CAFÉ noir", "cafe", "Un [CAFÉ] noir"),
        ("Die Straße", "strasse", "Die [Straße]"),
        ("e\u0301t\u00e9", "ete", "[e\u0301t\u00e9]"),
        ("今天天气很好", "天气", "今天[天气]很好"),
        ("order 4711-b", "4711-b", "order [4711]-[b]"),
        ("100% of it", "%", "100[%] of it"),
        ("a.b", ".", "a[.]b"),
        ("nothing", "", "nothing"),
    ],
)
def test_words_are_found_as_the_search_finds_them(text: str, words: str, expected: str) -> None:
    assert marked(text, words) == expected


def test_all_words_must_be_there() -> None:
    assert holds_all("Return of order 4711", ["order", "ret"])
    assert not holds_all("Return of order 4711", ["ret", "order"]), "only the last may be a beginning"
    assert not holds_all("Return of order 4711", ["order", "parcel"])


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_places_lie_in_the_text_in_order(text: str, words: list[str]) -> None:
    found = spans(text, words)
    assert found == sorted(found)
    assert all(0 <= start < end <= len(text) for start, end in found)
