"""A text on the screen: Markdown that is calm, the same however it came, and copied as it was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import SELECT_ALL, Selection

from lora_chat.chat.reading import LONGEST_READ
from lora_chat.tui.widgets.body import LONGEST_SHOWN, Body

WIDTH = 60


class Alone(App[None]):
    """A body and nothing else."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body
        self.copied: list[str] = []

    def on_body_copy_wanted(self, event: Body.CopyWanted) -> None:
        self.copied.append(event.code)

    def compose(self) -> ComposeResult:
        yield self._body


def body_text(text: str, width: int = WIDTH, *, chunks: list[str] | None = None, markdown: bool = True) -> list[str]:
    """What a body shows, given whole or in ``chunks``."""
    body = Body("" if chunks else text, markdown=markdown, done=not chunks)

    async def main() -> list[str]:
        async with Alone(body).run_test(size=(width, 20)) as pilot:
            for chunk in chunks or []:
                body.grow(chunk)
                body._laid_out(width)
            body.close()
            await pilot.pause()
            page = body._laid_out(width)
            return [page.line(y, None).text.rstrip() for y in range(page.height)]

    return asyncio.run(main())


def use(text: str, look: Callable[[Alone, Pilot[None]], Awaitable[None]]) -> None:
    """Show ``text`` and let ``look`` use it."""

    async def main() -> None:
        app = Alone(Body(text))
        async with app.run_test(size=(WIDTH, 20)) as pilot:
            await pilot.pause()
            await look(app, pilot)

    asyncio.run(main())


EVERYTHING = """# Title

Some *em*, **strong**, ~~struck~~ and `code`.
A second line.

- one
- two
  - inner

  more of two
- three

7. seven
7. eight

Text before:
- a list at once
```python
def f(x):  # comment

    return "s"
```
> quoted
> twice

| a | bb |
|---|---:|
| 1 | 2 |

---

~~~
open to the end
"""


def test_markdown_is_calm() -> None:
    assert body_text(EVERYTHING) == [
        "Title",
        "",
        "Some em, strong, struck and code.",
        "A second line.",
        "",
        " • one",
        " • two",
        "    ◦ inner",
        "",
        "   more of two",
        " • three",
        "",
        " 7. seven",
        " 8. eight",
        "",
        "Text before:",
        " • a list at once",
        "",
        " python · 1 · copy",
        " def f(x):  # comment",
        "",
        '     return "s"',
        "",
        "▏ quoted",
        "▏ twice",
        "",
        "a     bb",
        "───  ───",
        "1      2",
        "",
        "────────────",
        "",
        " code · 2 · copy",
        " open to the end",
    ]


def test_long_lines_hang_under_their_beginning() -> None:
    assert body_text("- " + "word " * 9, 20) == [" • word word word", "   word word word", "   word word word"]
    assert body_text("> " + "word " * 5, 14) == ["▏ word word", "▏ word word", "▏ word"]


def test_a_table_is_fitted_into_the_width() -> None:
    table = "| name | what |\n|---|---|\n| x | " + "long words " * 8 + "|\n"
    lines = body_text(table, 30)
    assert max(map(len, lines)) <= 30
    assert lines[0] == "name  what"
    assert lines[2].startswith("x     long words")
    assert " ".join(lines).count("words") == 8


def test_columns_stand_on_the_side_they_ask_for() -> None:
    lines = body_text("| a | right | middle |\n|---|---:|:---:|\n| x | 3 | y |\n")
    assert lines[0] == "a    right  middle"
    assert lines[2] == "x        3    y"


@pytest.mark.parametrize("size", [1, 7, 40])
def test_streamed_text_looks_the_same_as_loaded_text(size: int) -> None:
    chunks = [EVERYTHING[at : at + size] for at in range(0, len(EVERYTHING), size)]
    assert body_text(EVERYTHING, chunks=chunks) == body_text(EVERYTHING)


def test_streaming_in_any_pieces_changes_nothing() -> None:
    chance = random.Random(5)
    parts = [
        "\n",
        "\n\n",
        "- a",
        "1. b",
        "```",
        "```py\n",
        "~~~",
        "    ",
        "> q",
        "| a | b |\n|---|---|\n",
        "word *em* ",
        "#",
        "`",
    ]
    for _ in range(12):
        chunks = [chance.choice(parts) for _ in range(30)]
        assert body_text("", chunks=chunks) == body_text("".join(chunks)), chunks


def test_every_word_of_an_answer_is_shown() -> None:
    words = [f"w{number}" for number in range(300)]
    chance = random.Random(9)
    text = "".join(
        word + chance.choice([" ", "\n", "\n\n", "\n- ", "\n1. ", "\n> ", "\n```\n", " *", " | "]) for word in words
    )
    shown = " ".join(body_text(text)).split()
    assert [word for word in (each.strip("*") for each in shown) if word in set(words)] == words


def test_a_piece_too_long_to_read_is_shown_as_written() -> None:
    text = "**b** " * (LONGEST_READ // 6 + 1)
    assert body_text(text)[0].startswith("**b** **b**")
    assert body_text("**b** " * 3) == ["b b b"]


def test_a_text_without_end_is_cut_and_says_so() -> None:
    lines = body_text("x" * (LONGEST_SHOWN + 1234), markdown=False)
    assert lines[-1] == "… 1,234 more characters"


def test_wide_characters_keep_the_width() -> None:
    lines = body_text("日本語の文章" * 10, 21)
    assert all(len(line) <= 10 for line in lines)
    assert "".join(lines) == "日本語の文章" * 10


# Code

TWO = "```python\nx = 1\n```\nthen\n\n- in a list:\n  ```sh\n  ls -l\n  ```\n"


def test_a_line_over_a_block_says_what_it_holds_and_its_number_where_there_are_several() -> None:
    assert body_text("```python extra\nx = 1\n```")[0] == " python · copy"
    assert body_text("```\nx = 1\n```")[0] == " code · copy"
    assert [line.strip() for line in body_text(TWO) if "copy" in line] == ["python · 1 · copy", "sh · 2 · copy"]
    long = body_text("```" + "x" * 200 + "\n1\n```")
    assert long[0].endswith("… · copy")


@pytest.mark.parametrize("size", [1, 7])
def test_the_first_block_gets_its_number_once_a_second_one_begins(size: int) -> None:
    chunks = [TWO[at : at + size] for at in range(0, len(TWO), size)]
    assert body_text(TWO, chunks=chunks) == body_text(TWO)


def test_a_click_on_the_line_over_a_block_copies_that_block() -> None:
    async def look(app: Alone, pilot: Pilot[None]) -> None:
        body = app.query_one(Body)
        lines = [body._laid_out(WIDTH).line(y, None).text for y in range(body.size.height)]
        for y, line in enumerate(lines):
            if "copy" in line or "x = 1" in line:
                await pilot.click(Body, offset=(3, y))
        await pilot.pause()
        assert app.copied == body.codes == ["x = 1", "ls -l"]

    use(TWO, look)


# Copying


def test_selected_text_is_copied_as_it_was_written() -> None:
    text = "```\n" + "long code line " * 10 + "\nsecond\n```\n\n- item"

    async def look(app: Alone, pilot: Pilot[None]) -> None:
        body = app.query_one(Body)
        copied = body.get_selection(SELECT_ALL)
        assert copied is not None
        assert copied[0] == "long code line " * 10 + "\nsecond\n\n • item"
        part = body.get_selection(Selection(Offset(5, 1), Offset(9, 1)))
        assert part is not None
        assert part[0] == "code"
        app.screen.selections = {body: Selection(Offset(0, 2), Offset(6, 2))}
        await pilot.pause()
        assert any("second" in strip.text for strip in app.screen._compositor.render_strips())

    use(text, look)


def test_the_screen_knows_which_character_is_under_the_mouse() -> None:
    async def look(app: Alone, pilot: Pilot[None]) -> None:
        widget, offset = app.screen.get_widget_and_offset_at(3, 1)
        assert isinstance(widget, Body)
        assert offset == Offset(60 + 3, 0)  # the first line holds 60 characters of the paragraph

    use("word " * 20, look)
