"""Text without spaces is broken between any two wide characters, but not before a comma."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rich._wrap import divide_line
from rich.cells import cell_len

from lora_chat.tui.breaking import divided


def lines(text: str, width: int) -> list[str]:
    edges = [0, *divided(text, width), len(text)]
    return [text[begin:end].rstrip() for begin, end in pairwise(edges)]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("按 Enter 发送输入框中的内容。", 16, ["按 Enter 发送输", "入框中的内容。"]),
        ("我们九点开门，五点关门", 12, ["我们九点开", "门，五点关门"]),
        ("他说“你好”就走了", 8, ["他说“你", "好”就走", "了"]),
        ("中文 abcdefghijkl 中文", 8, ["中文", "abcdefgh", "ijkl 中", "文"]),
        ("\u3000\u3000缩进", 4, ["", "缩进"]),
        ("，" * 5, 4, ["，，", "，，", "，"]),
    ],
)
def test_wide_text_fills_its_lines(text: str, width: int, expected: list[str]) -> None:
    assert lines(text, width) == expected


@pytest.mark.parametrize("width", range(2, 40))
def test_nothing_is_lost_or_too_wide(width: int) -> None:
    text = "The 回答（见 `docs/bases.md`），很长很长： averyveryverylongwordindeed，“好”。   日本語も👍🏽 e\u0301 ok"
    edges = [0, *divided(text, width), len(text)]
    assert edges == sorted(set(edges))
    assert all(cell_len(line) <= width for line in lines(text, width))


@pytest.mark.parametrize("width", range(1, 30))
def test_other_text_is_broken_as_ever(width: int) -> None:
    text = "Any sturdy box is fine. Put the label on theveryoutsideofit — and ‹so› on…"
    assert divided(text, width) == divide_line(text, width)
