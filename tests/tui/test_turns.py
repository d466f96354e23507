"""What is done with turns in the window: a question is asked in other words, a turn goes and comes back."""

from __future__ import annotations

import pytest
from textual.widgets import TextArea

from lora_chat.tui.screens.write_question import WriteQuestion
from lora_chat.tui.widgets.transcript import Transcript
from tests.tui.conftest import LONG, Branch, Tell, Window, idle, texts


async def choose(w: Window, steps_up: int = 0) -> None:
    """Choose the last answer, or a message above it."""
    if not isinstance(w.app.focused, Transcript):
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
    await w.press(*["up"] * steps_up)


async def write_otherwise(w: Window, text: str) -> None:
    await w.press("e")
    await w.until(lambda: isinstance(w.app.screen, WriteQuestion))
    w.app.screen.query_one(TextArea).text = text
    await w.press("ctrl+s")
    await w.until(lambda: w.app.screen is w.app.chat)


def test_e_on_a_question_asks_it_in_other_words_and_the_arrows_go_between(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await w.answered("Two")
        await choose(w, 3)
        await w.press("e")
        await w.until(lambda: isinstance(w.app.screen, WriteQuestion))
        assert w.app.screen.query_one(TextArea).text == "One"
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await write_otherwise(w, "One, please")
        await w.see("‹2/2›")
        await idle(w)
        assert texts(branch) == ["One, please", "One, please"]
        assert "Two" not in w.text
        selected = w.app.chat.talk.selected
        assert selected is not None
        assert selected.message.content == "One, please", "what took its place is chosen"
        await w.press("left")
        await w.see("‹1/2›")
        assert texts(branch) == ["One", "One", "Two", "Two"]
        await w.press("right")
        await w.see("‹2/2›")
        assert texts(branch) == ["One, please", "One, please"]

    window(story, (80, 24))


def test_branch_asks_the_last_question_otherwise(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await w.answered("Two")
        await w.write("/branch Three")
        await w.see("‹2/2›")
        await idle(w)

    window(story)
    assert texts(branch) == ["One", "One", "Three", "Three"]


@pytest.mark.usefixtures("slow")
def test_what_is_refused_is_the_persons_again(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Count"] = LONG
    long = "word " * 599 + "word"

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await choose(w, 1)
        await write_otherwise(w, long)
        await w.hear("tokens")
        await w.until(lambda: w.prompt.text == long)
        await w.until(lambda: [view.text for view in w.app.chat.talk.views] == ["One", "One"])
        w.prompt.write("")
        await w.write("Count")
        await w.see("word3")
        w.app.chat.talk.focus()
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.press("up", "up", "up")
        await write_otherwise(w, "Meanwhile")
        await w.hear("An answer is still being written")
        await w.until(lambda: w.prompt.text == "Meanwhile")
        w.app.bridge.stop_reply()
        await idle(w)

    window(story)
    assert texts(branch)[:3] == ["One", "One", "Count"]


def test_d_deletes_the_chosen_message_with_what_followed_and_u_brings_it_back(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await w.answered("Two")
        await choose(w, 1)
        await w.press("d")
        await w.hear("2 messages are deleted: /undo brings them back, until you leave.")
        await w.until(lambda: [view.text for view in w.app.chat.talk.views] == ["One", "One"])
        selected = w.app.chat.talk.selected
        assert selected is not None
        assert selected.is_answer, "the one before it is chosen"
        assert texts(branch) == ["One", "One"]
        await w.press("u")
        await w.hear("2 messages are back.")
        await w.until(lambda: len(w.app.chat.talk.views) == 4)
        assert texts(branch) == ["One", "One", "Two", "Two"]
        await w.press("u")
        await w.hear("Nothing was deleted")

    window(story)


def test_all_of_a_conversation_can_go_turn_by_turn_and_the_talk_goes_on(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await choose(w, 1)
        await w.press("d")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.press("u")
        await w.until(lambda: len(w.app.chat.talk.views) == 2)
        await w.write("/delete turn")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.answered("Two")

    window(story)
    assert texts(branch) == ["Two", "Two"]


def test_words_that_begin_with_the_keys_are_words(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        for word in ("do", "us", "can"):
            await choose(w)
            await w.type(word)
            await w.until(lambda word=word: w.prompt.text == word)  # type: ignore[misc]
            w.prompt.write("")

    window(story)
    assert texts(branch) == ["One", "One"]


@pytest.mark.usefixtures("slow")
def test_nothing_is_deleted_while_an_answer_is_written(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await w.write("Count")
        await w.see("word3")
        await w.write("/delete turn")
        await w.hear("An answer is still being written here")
        w.app.bridge.stop_reply()
        await idle(w)

    window(story)
    assert len(branch()) == 4
