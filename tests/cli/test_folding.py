"""A long line is broken where its words end, or between Chinese letters, and is never wider than the terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from lora_chat.cli.folding import fold


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("short", "short"),
        ("", ""),
        ("  one two three four", "  one two\n    three\n    four"),
        ("说明  在这台机器上实测", "说明  在这\n    台机器\n    上实测"),
        ("  推荐 qwen3，回答得快", "  推荐\n    qwen3，\n    回答得\n    快"),
        ("averyveryverylongword it", "averyveryverylongword\n    it"),
        ("退货。退货。退货。", "退货。退\n    货。退\n    货。"),
        ("他说：“好的。”对吗", "他说：“好\n    的。”\n    对吗"),
    ],
)
def test_it_is_broken_where_one_may(line: str, folded: str) -> None:
    assert fold(line, 10, 4) == folded


@pytest.mark.parametrize("width", [12, 20, 33, 80])
def test_nothing_is_lost_and_nothing_is_wider(width: int) -> None:
    line = "~ 不是实测值：根据这里实测的 smollm2-135m 按大小推算；< 表示更慢，（例如）“这样”，and some words。" * 3
    told = fold(line, width, 2)
    assert all(cell_len(each) <= max(width, 14) for each in told.split("\n"))
    assert "".join(told.split()) == "".join(line.split())
