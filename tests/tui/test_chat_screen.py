"""The talk as a person has it: write, read, stop, ask again, correct, judge, look elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from textual import events
from textual.widgets import TextArea

from lora_chat.chat.conversation import Message, Status
from lora_chat.tui.screens.write_answer import WriteAnswer
from tests.tui.conftest import Tell, Window

Branch = Callable[[], list[Message]]

LONG = " ".join(f"word{number}" for number in range(80))


def texts(branch: Branch) -> list[str]:
    return [message.content for message in branch()]


async def idle(w: Window) -> None:
    """Until nothing is being answered and the newest look at the conversation has arrived."""
    await w.until(lambda: not w.app.bridge.replying and not w.app.chat._answering)
    await w.pilot.pause(0.1)


# Saying something


def test_a_message_is_answered_kept_and_told_in_the_bars(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Where is my parcel?"] = "It is **at sea**."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where is my parcel?")
        await w.see("It is at sea.")
        await w.see("2 % of 512 context")
        assert w.text.splitlines()[0].split()[:5] == ["lora-chat", "Where", "is", "my", "parcel?"]
        assert "tiny-llama" in w.text.splitlines()[0]
        last = w.text.splitlines()[-1]
        assert "tok/s · first 0.0 s" in last
        assert "● Where is my parcel?" in w.text
        assert w.prompt.text == ""

    window(story)
    assert texts(branch) == ["Where is my parcel?", "It is **at sea**."]


@pytest.mark.usefixtures("slow")
def test_an_answer_grows_and_esc_keeps_what_there_is(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        await w.see("word3")
        assert w.app.bridge.replying
        assert "● Count" in w.text, "the list has it while it is answered"
        await w.press("escape")
        await w.see("stopped", 3)
        await idle(w)
        assert w.prompt.has_focus
        await w.answered("Go on")
        await w.see("Go on")

    window(story)
    _, stopped, *_ = branch()
    assert stopped.status is Status.STOPPED
    assert stopped.content.startswith("word0 word1 word2 word3")
    assert "word79" not in stopped.content


@pytest.mark.usefixtures("slow")
def test_ctrl_c_stops_the_answer_and_otherwise_says_how_to_leave(window: Tell, says: dict[str, str]) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.press("ctrl+c")
        await w.see("ctrl+q quits.")
        await w.write("Count")
        await w.see("word1")
        await w.press("ctrl+c")
        await w.see("stopped", 3)

    window(story)


@pytest.mark.usefixtures("slow")
def test_what_cannot_be_sent_now_stays_in_the_prompt(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        await w.see("word1")
        await w.write("And then?")
        await w.see("esc stops it, then send this")
        assert w.prompt.text == "And then?"
        await w.press("escape")
        await idle(w)
        await w.press("enter")
        await w.until(lambda: w.prompt.text == "")
        await w.until(lambda: len(branch()) == 4)

    window(story)
    assert texts(branch)[2] == "And then?"


def test_fast_typing_and_enter_in_one_burst_sends_all_of_it(window: Tell, branch: Branch) -> None:
    said = "the quick brown fox jumps over the lazy dog"

    async def story(w: Window) -> None:
        await w.ready()
        for letter in said:
            w.app.post_message(events.Key("space" if letter == " " else letter, letter))
        w.app.post_message(events.Key("enter", None))
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)

    window(story)
    assert texts(branch)[0] == said


# What can be done with an answer


def test_ctrl_e_edits_into_the_wanted_answer_beside_the_old_one(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Where?"] = "No idea."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where?")
        await w.press("ctrl+e", "ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.pilot.pause(0.2)
        assert [type(screen) for screen in w.app.screen_stack].count(WriteAnswer) == 1
        assert w.app.screen.query_one(TextArea).text == "No idea."
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        w.app.screen.query_one(TextArea).text = "At 12 Harbour Street."
        await w.press("ctrl+s")
        await w.see("you wrote in place of an answer")
        await w.see("‹2/2›")

    window(story)
    answer = branch()[-1]
    assert answer.content == "At 12 Harbour Street."
    assert (answer.edited_from, answer.adapter, answer.base) == (answer.id - 1, None, None)


# Elsewhere


def test_the_window_may_be_of_any_size_while_an_answer_grows(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        for size in [(20, 5), (200, 60), (80, 24), (21, 6), (200, 5), (20, 60), (100, 30)] * 2:
            await w.pilot.resize_terminal(*size)
            await asyncio.sleep(0)
        await w.see("word79")
        await idle(w)

    window(story)
    assert texts(branch)[-1] == LONG
