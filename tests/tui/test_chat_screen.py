"""The talk as a person has it: write, send, read, stop; every key, any size."""

from __future__ import annotations

import asyncio

import pytest
from textual import events

from lora_chat.chat.conversation import Status
from lora_chat.tui.keymap import Keymap
from lora_chat.tui.screens.adapter_picker import AdapterPicker
from lora_chat.tui.screens.help import HelpScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.training import TrainingScreen
from lora_chat.tui.teaching import keys
from tests.tui.conftest import LONG, Branch, Tell, Window, idle, texts

# Saying something


def test_a_message_is_answered_kept_and_told_in_the_bars(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Where is my parcel?"] = "It is **at sea**."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where is my parcel?")
        await w.see("It is at sea.")
        await w.see("2 % of 512 context")
        await w.see("first 0.")
        await w.until(lambda: w.text.splitlines()[0].split()[:5] == ["lora-chat", "Where", "is", "my", "parcel?"])
        assert "tiny-llama" in w.text.splitlines()[0]
        last = w.text.splitlines()[-1]
        assert "tok/s · first 0." in last
        assert w.text.count("tok/s") == 1
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
        await w.see("● Count")  # the list has it while it is answered
        assert w.app.bridge.replying
        await w.press("escape")
        await w.see("stopped")
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
        await w.hear("ctrl+q quits.")
        await w.write("Count")
        await w.see("word1")
        await w.press("ctrl+c")
        await w.see("stopped")

    window(story)


@pytest.mark.usefixtures("slow")
def test_what_cannot_be_sent_now_stays_in_the_prompt(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        await w.see("word1")
        await w.write("And then?")
        await w.hear("esc stops it, then send this")
        assert w.prompt.text == "And then?"
        await w.press("escape")
        await idle(w)
        await w.press("enter")
        await w.until(lambda: w.prompt.text == "")
        await w.until(lambda: len(branch()) == 4)

    window(story)
    assert texts(branch)[2] == "And then?"


def test_two_messages_in_one_burst_lose_neither(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        for key in ["o", "n", "e", "enter", "t", "w", "o", "enter"]:
            w.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await w.until(lambda: w.app.chat.answer is not None)
        await w.until(lambda: w.prompt.text == "two" or len(branch()) == 4)
        await idle(w)
        if w.prompt.text:
            await w.press("enter")
        await w.until(lambda: len(branch()) == 4)
        await idle(w)

    window(story)
    assert texts(branch) == ["one", "one", "two", "two"]


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


def test_ctrl_j_begins_a_line_a_paste_is_one_message_and_up_brings_them_back(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.press("a", "ctrl+j", "b", "enter")
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)
        w.app.post_message(events.Paste("one\r\ntwo\nthree"))
        await w.until(lambda: w.prompt.document.line_count == 3)
        await w.press("enter")
        await w.until(lambda: len(branch()) == 4)
        await idle(w)
        await w.type("draft")
        await w.press("up")
        assert w.prompt.document.lines == ["one", "two", "three"]
        await w.press("up", "up", "up")
        assert w.prompt.text == "a\nb"
        await w.press("down", "down", "down", "down")
        assert w.prompt.text == "draft"

    window(story)
    assert texts(branch)[::2] == ["a\nb", "one\ntwo\nthree"]


# The window


def test_every_key_of_the_help_opens_what_it_says(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello parrot")
        for key, screen in {"ctrl+g": AdapterPicker, "ctrl+f": SearchScreen, "f1": HelpScreen}.items():
            await w.press(key, *[key] * (key != "f1"))
            await w.until(lambda screen=screen: isinstance(w.app.screen, screen))  # type: ignore[misc]
            await w.pilot.pause(0.15)
            assert len(w.app.screen_stack) == 2, key
            await w.press("escape")
            await w.until(lambda: w.app.screen is w.app.chat)
        await w.press("ctrl+p")
        await w.see("/adapter list")
        await w.press("escape")
        await w.press("ctrl+t")
        await w.hear("No training is running")
        assert not any(isinstance(screen, TrainingScreen) for screen in w.app.screen_stack)
        await w.press("ctrl+f")
        await w.until(lambda: isinstance(w.app.screen, SearchScreen))
        await w.type("parr")
        await w.see("today")
        await w.press("enter")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story)
    named = " ".join(key for key, _ in keys(Keymap()))
    assert all(key in named for key in ("ctrl+r", "ctrl+e", "ctrl+g", "ctrl+t", "ctrl+l", "ctrl+n", "ctrl+f", "ctrl+p"))


@pytest.mark.usefixtures("slow")
def test_the_window_may_be_of_any_size_while_an_answer_grows(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Count"] = " ".join(f"word{number}" for number in range(30))

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        for size in [(20, 5), (200, 60), (80, 24), (21, 6), (200, 5), (20, 60), (100, 30)] * 2:
            await w.pilot.resize_terminal(*size)
            await asyncio.sleep(0)
        await w.see("word29")
        await idle(w)

    window(story)
    assert texts(branch)[-1] == says["Count"]
