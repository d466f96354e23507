"""The number of a block of code is one on the screen, for the digit keys, for the mouse and for ``/copy code N``."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from lora_chat.sitting.copying import codes_said
from lora_chat.tui.widgets.body import LONGEST_SHOWN
from lora_chat.tui.widgets.saying import Saying

_LABEL = re.compile(r"(?:^|\s|▏)\S* · (\d+) · copy$")

HOSTILE = {
    "nested lists": "- a\n  - b\n    ```py\n    x\n    ```\n  ```\n  y\n  ```\n\n1. c\n\n       z\n\n```\nend\n```",
    "an item of three spaces": "1. a\n   ```sh\n   x\n   ```\n2. b\n\n   ```\n   y\n   ```\n```\nz\n```",
    "an item whose fence holds an empty line": "- a\n  ```\n  x\n\n  y\n  ```\n- b\n\n      z\n",
    "an item whose fence is not as far in": "- a\n  ```\nx\n  ```\n```\ny\n```\n",
    "quotes": "> ```\n> x\n> ```\n> and\n>\n>     y\n\n> > ~~~\n> > z\n> > ~~~\n\n```\nw\n```",
    "a quote that ends in its fence": "> ```\n> x\ny\n```\nz\n```\n",
    "indented fences": " ```\n x\n```\n\n   ~~~\n    y\n   ~~~\n\n    ```\n    no fence\n    ```\n\n```\nz\n```",
    "indented code": "text\n\n    x\n\n\n    y\n\ntext\n    no code\n\n\tz\n",
    "a fence in a paragraph": "text\n```\nx\n```\ntext ```y``` and ``` z\n```w```\n",
    "an unclosed fence": "```\nx\n```\n````py\n```\ny\n```\nz",
    "a fence with nothing in it": "```\n```\n```py\n\n```\n```",
    "a fence of the other kind inside": "~~~\n```\nx\n~~~\n```\n~~~\ny\n```\n",
    "a tilde fence with ticks": "~~~ a`b` c\nx\n~~~\n``` a`b`\nno fence\n```\ny\n",
    "html": "<pre>\n```\nx\n```\n</pre>\n\n<!--\n```\ny\n```\n-->\n<script>\n\n    z\n</script>\n",
    "a definition": "[a]: b\n    c\n\n[a]:\n```\nx\n```\n",
    "a table": "| a |\n|---|\n| `b` |\n```\nx\n```\n| ``` |\n|---|\n",
    "a heading": "# a\n    x\n\na\n===\n    y\n- - ```\n    z\n    ```\n",
    "carriage returns": "one\r\n\r\n```py\r\nx\r\n```\r\n\r\n~~~\ry\r~~~\r- a\r\n  ```\r\n  z\r\n  ```\r\n",
    "what cannot be seen": "`\u200b``\nx\n```\n\ufeff```\ny\n```\n```\u202e\nz\n```\n",
    "a thought": "<think>\n```\nno\n```\n</think>\n\n```\nx\n```\nand\n```\ny\n```",
    "a thought that ends in its fence": "<think>\n```\nno\n</think>\nx\n```\ny\n```\nz\n```",
    "a thought that never ends": "<think>\n```\nno\n```\n",
    "a thought begun by the template": "```\nno\n```\r\n</think>\r\n\r\n    x\n\n```\ny\n```\n",
    "a piece that is too long to be read": "- "
    + "a" * 5_000
    + "\n  ```\n  x\n  ```\n- b\n  ```\n  y\n  ```\n```\nz\n```",
    "an indented piece that is too long": "    x\n" * 1_000 + "\ny\n\n    z\n\n```\nw\n```\n",
}


class Alone(App[None]):
    """An answer and nothing else."""

    def __init__(self, saying: Saying) -> None:
        super().__init__()
        self.saying = saying

    def compose(self) -> ComposeResult:
        yield self.saying


async def shown(text: str, step: int = 0) -> tuple[list[str], list[int]]:
    """The blocks as the keys and the mouse have them, and the numbers on the screen; given in steps, or whole."""
    saying = Saying("" if step else text, done=not step)
    async with Alone(saying).run_test(size=(60, 20)) as pilot:
        for start in range(0, len(text) if step else 0, step or 1):
            saying.grow(text[start : start + step])
            saying.body._laid_out(60)
        saying.close()
        await pilot.pause()
        page = saying.body._laid_out(60)
        lines = [page.line(y, None).text.rstrip() for y in range(page.height)]
        codes = saying.codes
        assert [saying.code(number) for number in range(1, len(codes) + 2)] == [*codes, None]
        return codes, [int(found[1]) for line in lines if (found := _LABEL.search(line))]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_block_has_one_number(what: str) -> None:
    text = HOSTILE[what]
    wanted = codes_said(text)
    for step in (0, 1, 7):
        if step == 1 and len(text) > 1_000:
            continue
        # A carriage return at the end of a piece would be a line end of its own: what streams has none.
        codes, numbers = asyncio.run(shown(text.replace("\r\n", "\n").replace("\r", "\n") if step else text, step))
        assert codes == wanted
        assert numbers == (list(range(1, len(wanted) + 1)) if len(wanted) > 1 else [])


def test_a_block_has_one_number_in_whatever_is_written() -> None:
    dice = random.Random(7)
    parts = [
        "```",
        "~~~",
        "````",
        "    ",
        "  ",
        "- ",
        "1. ",
        "> ",
        "x",
        "\n",
        "\n",
        "\n\n",
        "\t",
        "<b>",
        "|",
        "`",
        "# ",
    ]
    for _ in range(150):
        text = "".join(dice.choices(parts, k=dice.randint(5, 60)))
        codes, _ = asyncio.run(shown(text, dice.choice((0, 3))))
        assert codes == codes_said(text), repr(text)


def test_most_of_these_have_several_blocks() -> None:
    assert sum(len(codes_said(text)) > 1 for text in HOSTILE.values()) > len(HOSTILE) / 2


def test_a_block_that_is_not_drawn_to_its_end_is_copied_to_its_end() -> None:
    text = "```\na\n```\n```\n" + "x\n" * LONGEST_SHOWN + "```\n```\nbeyond\n```\n"

    async def look() -> None:
        saying = Saying(text)
        async with Alone(saying).run_test(size=(60, 20)) as pilot:
            await pilot.pause()
            assert [saying.code(number) for number in (1, 2, 3)] == [*codes_said(text)[:2], None]
            assert codes_said(text)[1] == "\n".join("x" * LONGEST_SHOWN)

    asyncio.run(look())


def test_there_is_one_reading() -> None:
    """Whoever reads Markdown a second time counts its blocks a second time."""
    package = Path(__file__).parents[2] / "lora_chat"
    readers = [path for path in package.rglob("*.py") if "MarkdownIt(" in path.read_text("utf-8")]
    assert [path.relative_to(package).as_posix() for path in readers] == ["chat/reading.py"]
