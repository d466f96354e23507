"""What was thought before an answer: folded while it comes and after, opened by a key or a click, never learnt."""

from __future__ import annotations

import pytest

from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.widgets.saying import Saying
from tests.tui.conftest import Tell, Window

THOUGHT = "<think>\nThe person asks for a capital. Paris it is.\n</think>\n\nIt is **Paris**."


def fed(*pieces: str, closed: bool = True) -> Saying:
    saying = Saying(done=False)
    for piece in pieces:
        saying.grow(piece)
    if closed:
        saying.close()
    return saying


def seen(saying: Saying) -> tuple[str, str, str]:
    """The line of the fold, and the body's text."""
    line = str(saying._fold.render()) if saying._fold is not None else ""
    return line, saying._body.text, saying.text


@pytest.mark.parametrize("size", [1, 2, 5, 7, 1000])
def test_however_it_comes_it_ends_the_same(size: int) -> None:
    pieces = [THOUGHT[at : at + size] for at in range(0, len(THOUGHT), size)]
    assert seen(fed(*pieces)) == ("▸ thought, 43 characters", "It is **Paris**.", THOUGHT)
    assert seen(fed(*pieces)) == seen(Saying(THOUGHT))


def test_white_space_in_the_middle_of_an_answer_stays() -> None:
    for begun, then in (("<think>a</think>\n\nOne.\n\n", "Two"), ("<think>a</think>```py\n", "x = 1\n```")):
        saying = Saying(begun, done=False)  # as when a conversation is opened again meanwhile
        saying.grow(then)
        saying.close()
        assert saying._body.text == saying.text.removeprefix("<think>a</think>").lstrip()


def test_while_it_thinks_there_is_no_answer() -> None:
    assert seen(fed("<think>\nThe per", closed=False)) == ("▸ thinking, 7 characters", "", "<think>\nThe per")
    assert seen(fed("<think>\nThe per")) == ("▸ thought, 7 characters", "", "<think>\nThe per")


def test_what_is_no_thought_is_shown_at_once() -> None:
    assert seen(fed("<th", "ead> is a tag", closed=False)) == ("", "<thead> is a tag", "<thead> is a tag")
    assert seen(fed("Hello", " there", closed=False)) == ("", "Hello there", "Hello there")


def test_a_thought_without_a_beginning_is_folded_once_it_is_whole() -> None:
    text = "Okay, so.\n</think>\n\nParis."
    assert seen(fed("Okay, so.", "\n</think>\n\nParis.")) == ("▸ thought, 9 characters", "Paris.", text)


def test_in_the_window_a_key_unfolds_it(window: Tell, says: dict[str, str]) -> None:
    says["capital?"] = THOUGHT

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("capital?")
        await w.see("▸ thought, 43 characters")
        assert "The person asks" not in w.text
        assert "<think>" not in w.text
        await w.press("escape", "t")
        await w.see("The person asks for a capital.")
        await w.press("t")
        await w.not_see("The person asks")
        await w.pilot.click("Fold")
        await w.see("The person asks for a capital.")

    window(story)


def test_the_answer_that_is_written_in_its_place_begins_without_it(window: Tell, says: dict[str, str]) -> None:
    says["capital?"] = THOUGHT

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("capital?")
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.see("It is **Paris**.")
        assert "The person asks" not in w.text

    window(story)
