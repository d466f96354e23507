"""What the person writes: what was sent before comes back, and nothing that was written is lost."""

from __future__ import annotations

from tests.tui.conftest import Tell, Window, idle


def test_up_brings_back_what_was_sent_in_earlier_sessions_and_commands_of_this_one(window: Tell) -> None:
    async def first(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        await w.answered("two")
        await idle(w)
        await w.write("/rename other")
        await idle(w)
        await w.press("up")
        assert w.prompt.text == "/rename other"
        w.prompt.write("")

    async def second(w: Window) -> None:
        await w.ready()
        await w.type("half")
        await w.press("up")
        assert w.prompt.text == "two"
        await w.press("up", "up")
        assert w.prompt.text == "one"
        await w.press("down", "down")
        assert w.prompt.text == "half"

    window(first)
    window(second)


def test_what_was_half_written_is_found_again_after_an_earlier_prompt_was_sent(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        await w.type("half")
        await w.press("up", "enter")
        await idle(w)
        await w.press("up", "up")
        assert w.prompt.text == "half"

    window(story)
