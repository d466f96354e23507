"""A reply in two: what was thought and what was said."""

from __future__ import annotations

import pytest

from lora_chat.chat.thought import Parted, answer_of, may_think, parted


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Paris.", Parted("", "Paris.")),
        ("", Parted("", "")),
        (" Paris.\n", Parted("", " Paris.\n")),
        ("<think>\nhm\n</think>\n\nParis.", Parted("hm", "Paris.")),
        ("\n<think>a</think>Paris.", Parted("a", "Paris.")),
        ("<think>\n\n</think>\n\nParis.", Parted("", "Paris.")),
        ("<think>\nhm, a", Parted("hm, a", "", is_open=True)),
        ("<think>a</think>", Parted("a", "")),
        ("<think>a</think>b</think>c", Parted("a", "b</think>c")),
        ("Okay, so.\n</think>\n\nParis.", Parted("Okay, so.", "Paris.")),
        ("Close it with </think> there.", Parted("", "Close it with </think> there.")),
        ("Write <think> first, then\n</think>\nlast.", Parted("", "Write <think> first, then\n</think>\nlast.")),
    ],
)
def test_a_reply_is_parted(text: str, found: Parted) -> None:
    assert parted(text) == found
    assert answer_of(text) == found.answer


@pytest.mark.parametrize(
    ("text", "may"),
    [("", True), ("<thi", True), ("\n<think>", True), ("<think>hm", True), ("<th>", False), ("Hi", False),
     ("<think>hm</think>", False)],
)  # fmt: skip
def test_what_may_still_be_a_thought(text: str, may: bool) -> None:
    assert may_think(text) is may
