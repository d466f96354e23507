"""A long paste stands as a few words, is one thing for every key, and is sent whole."""

from __future__ import annotations

import pytest
from textual import events

from lora_chat.tui.widgets.folds import CHARACTERS, HELD, LINES, Folds
from tests.tui.conftest import Branch, Tell, Window, idle, texts

LONG = "\n".join(f"line {number}" for number in range(214))
LABEL = "[pasted 214 lines]"


async def paste(w: Window, text: str) -> None:
    w.app.post_message(events.Paste(text))
    await w._done_with_that()


# What stands for what


def test_a_label_stands_for_its_text_and_another_of_that_size_has_another() -> None:
    folds = Folds()
    first = folds.fold(LONG, "")
    second = folds.fold(LONG.upper(), first)
    assert (first, second) == (LABEL, "[pasted 214 lines, 2]")
    assert folds.whole(f"a {first} b {second} c {first}") == f"a {LONG} b {LONG.upper()} c {LONG}"
    assert folds.fold(LONG, "") == first
    assert folds.fold("line\n" * 99, "") == "[pasted 99 lines]", "a newline at the end begins no line"
    assert folds.fold("x" * 2_431, "") == "[pasted 2,431 characters]"


def test_a_label_that_the_person_wrote_or_that_was_pasted_stays_text() -> None:
    folds = Folds()
    assert folds.whole(f"I wrote {LABEL}") == f"I wrote {LABEL}"
    label = folds.fold(LONG, f"I wrote {LABEL}: ")
    assert label == "[pasted 214 lines, 2]"
    assert folds.whole(f"I wrote {LABEL}: {label}") == f"I wrote {LABEL}: {LONG}"
    other = f"{LONG}\n{label}"
    assert folds.whole(folds.fold(other, "")) == other


def test_what_was_folded_is_folded_again_until_the_person_unfolds_it() -> None:
    folds = Folds()
    label = folds.fold(LONG, "")
    assert folds.again(f"> {LONG}!") == f"> {label}!"
    folds.unfold(label)
    assert folds.again(LONG) == LONG
    assert folds.whole(label) == LONG, "undo may bring the label back"


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("\n" * (LINES - 1), False),
        ("\n" * LINES, True),
        ("x" * CHARACTERS, False),
        ("x" * (CHARACTERS + 1), True),
    ],
)
def test_how_much_is_long(text: str, long: bool) -> None:
    assert Folds.is_long(text) is long


def test_what_stands_somewhere_is_held_however_much_is_pasted() -> None:
    folds = Folds()
    label = folds.fold(LONG, "")
    for number in range(HELD + 5):
        folds.fold("x" * (3_000 + number), label)
    assert folds.whole(label) == LONG
    assert folds.whole("[pasted 3,000 characters]") == "[pasted 3,000 characters]"


# In the prompt


def test_a_long_paste_is_shown_short_sent_whole_and_up_has_it_folded_again(window: Tell, branch: Branch) -> None:
    short = "\n".join(f"line {number}" for number in range(20))

    async def story(w: Window) -> None:
        await w.ready()
        await w.type("Read ")
        await paste(w, short.replace("\n", "\r\n"))
        await w.type(" now")
        assert w.prompt.text == "Read [pasted 20 lines] now"
        await w.hear("unfolds what was pasted")
        await w.see("Read [pasted 20 lines] now")
        await w.press("enter")
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)
        await w.press("up")
        assert w.prompt.text == "Read [pasted 20 lines] now"
        assert w.prompt.whole == f"Read {short} now"

    async def later(w: Window) -> None:
        await w.ready()
        await w.press("up")
        assert w.prompt.text == f"Read {short} now"

    window(story)
    assert texts(branch)[0] == f"Read {short} now"
    window(later)


def test_keys_go_over_it_in_one_step_and_delete_it_as_one(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("ab")
        await w.press("left")
        await paste(w, LONG)
        assert w.prompt.text == f"a{LABEL}b"
        await w.press("left")
        assert w.prompt.cursor_location == (0, 1)
        await w.press("right")
        assert w.prompt.cursor_location == (0, 1 + len(LABEL))
        await w.press("ctrl+left")
        assert w.prompt.cursor_location in ((0, 0), (0, 1))
        w.prompt.move_cursor((0, 1 + len(LABEL)))
        await w.press("backspace")
        assert w.prompt.text == "ab"
        await w.press("ctrl+z")
        assert w.prompt.text == f"a{LABEL}b"
        w.prompt.move_cursor((0, 1))
        await w.press("delete")
        assert w.prompt.text == "ab"
        await w.press("ctrl+z")
        w.prompt.insert("x", (0, 5))
        assert w.prompt.text == f"a{LABEL}xb"
        w.prompt.delete((0, 5), (0, len(w.prompt.text)))
        assert w.prompt.text == "a"

    window(story)


def test_ctrl_o_and_a_click_unfold_it(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("a ")
        await paste(w, LONG)
        await w.type(" b")
        await w.press("ctrl+o")
        assert w.prompt.text == w.prompt.whole == f"a {LONG} b"
        await w.press("ctrl+z")
        assert w.prompt.text == f"a {LABEL} b"
        assert w.prompt.whole == f"a {LONG} b"
        await w.pilot.click(w.prompt, offset=(6, 0))
        assert w.prompt.text == f"a {LONG} b"
        await w.press("ctrl+c", "up")
        assert w.prompt.text == f"a {LONG} b"

    window(story)


def test_the_draft_is_whole_and_so_is_what_is_too_long(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await paste(w, LONG)
        await paste(w, "x" * 199_000)
        await w.hear("a message takes up to 200,000")
        assert w.prompt.text == LABEL

    async def later(w: Window) -> None:
        await w.ready()
        assert w.prompt.text == LONG

    window(story)
    window(later)
