"""A screen that is closed closes itself, once, whatever is chosen twice or opens meanwhile."""

from __future__ import annotations

from textual.command import CommandList

from lora_chat.tui.screens.text import TextScreen
from tests.tui.conftest import Tell, Window


def test_a_command_that_is_chosen_twice_in_the_palette_is_done_once(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.press("ctrl+p")
        await w.type("archived")
        await w.not_see("/adapter list")
        commands = w.app.screen.query_one(CommandList)
        chosen = CommandList.OptionSelected(commands, commands.options[0], 0)
        again = CommandList.OptionSelected(commands, commands.options[0], 0)
        for each in (chosen, again):  # a double click
            commands.post_message(each)
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("Still here?")

    window(story)


def test_a_screen_that_is_closed_below_another_closes_only_itself(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        below = TextScreen("/do", "by a plugin", "what was there")
        w.app.push_screen(below)
        await w.see("what was there")
        over = TextScreen("/do", "by a plugin", "what came meanwhile")
        w.app.push_screen(over)
        await w.see("what came meanwhile")
        below.dismiss()
        below.dismiss()
        assert w.app.screen_stack[1:] == [over]
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story)
