"""What was typed and is refused is the person's again: in the prompt, or where it was written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Input, TextArea

from lora_chat.chat.store import Store
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.sitting import commands
from lora_chat.sitting.sitting import Sitting
from lora_chat.tui.messages import NotTaken
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from tests.tui.conftest import Branch, Tell, Window, idle, texts
from tests.tui.test_turns import choose


def refuse(sitting: Sitting, rest: str) -> None:
    raise RefusedError("It is refused: try it later.")


def test_every_command_gives_back_what_was_typed_behind_it(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    table = commands.COMMANDS
    monkeypatch.setattr(commands, "COMMANDS", tuple(replace(each, run=refuse) for each in table))

    async def story(w: Window) -> None:
        await w.ready()
        for each in table:
            if each.argument:
                line = f"/{each.words} some words, and more"
                await w.write(line)
                await w.hear("It is refused")
                await w.until(lambda line=line: w.prompt.text == line)  # type: ignore[misc]
                w.app.clear_notifications()
        for line in ("/retry", "/edit", "/quit"):  # nobody misses those
            await w.write(line)
            await w.hear("It is refused")
            assert w.prompt.text == ""
            w.app.clear_notifications()

    window(story)


def test_a_defect_loses_nothing_either(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(w: Window) -> None:
        await w.ready()

        def breaks(*_: object) -> None:
            raise RuntimeError("nobody foresaw it")

        monkeypatch.setattr(Sitting, "say", breaks)
        await w.write("Many words")
        await w.until(lambda: w.told and w.prompt.text == "Many words")

    window(story)


def test_a_refused_branch_stands_in_the_prompt_again(window: Tell, branch: Branch) -> None:
    too_long = "/branch " + "word " * 1_000

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/branch in other words")
        await w.hear("There is no question yet")
        await w.until(lambda: w.prompt.text == "/branch in other words")
        await w.answered("One")
        w.prompt.write(too_long)  # what no base could read is refused only where it is read
        await w.press("enter")
        await w.until(lambda: w.told)
        await w.until(lambda: w.prompt.whole == too_long)
        await idle(w)
        assert texts(branch) == ["One", "One"]

    window(story)


@pytest.mark.usefixtures("slow")
def test_what_is_refused_while_an_answer_is_written_comes_back(window: Tell, says: dict[str, str]) -> None:
    says["Count."] = "word " * 200

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count.")
        await w.until(lambda: w.app.chat._answering)
        for line in ("/branch Count once more.", "/edit What I wanted.", "A message"):
            await w.write(line)
            await w.until(lambda line=line: w.told and w.prompt.text == line)  # type: ignore[misc]
            w.app.clear_notifications()
        await w.press("ctrl+c")
        await idle(w)

    window(story)


def test_what_was_written_since_stays_and_up_has_the_command(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("hello")
        w.app.chat.on_not_taken(NotTaken("/rename Parcels"))
        assert w.prompt.text == "hello"
        await w.press("up")
        await w.until(lambda: w.prompt.text == "/rename Parcels")

    window(story)


def test_an_answer_that_cannot_be_kept_is_in_the_prompt(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await choose(w)
        await w.press("e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        with Store.open(tiny.database) as store:  # by another program
            store.delete_conversation(store.conversations()[0].id)
        w.app.screen.query_one(TextArea).text = "What I wanted,\nin two lines"
        await w.press("ctrl+s")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.until(lambda: w.told and w.prompt.text == "/edit What I wanted,\nin two lines")

    window(story)


def test_what_could_not_be_installed_stands_in_the_line_again(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.press("f2")
        await w.until(lambda: isinstance(w.app.screen, AdaptersScreen))
        await w.press("i")
        w.app.screen.query_one(Input).value = "/nowhere/at/all"
        await w.press("enter")
        await w.hear("/nowhere/at/all")
        await w.press("i")
        assert w.app.screen.query_one(Input).value == "/nowhere/at/all"

    window(story)
