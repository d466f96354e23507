"""From a word to where it was said: the message is chosen, in view, and the word is marked in it."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import Screen

from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.title_bar import TitleBar
from tests.tui.conftest import Tell, Window


def marked(w: Window) -> list[str]:
    """What is marked on the screen, line by line."""
    bodies = [body for view in w.app.chat.talk.views for body in view.query(Body)]
    found = []
    for body in bodies:
        colour = body.get_component_styles("body--found").background.rich_color
        for y in range(body.size.height):
            found += [each.text for each in body.render_line(y) if each.style and each.style.bgcolor == colour]
    return found


async def search(w: Window, words: str) -> None:
    await w.press("ctrl+f")
    await w.until(lambda: isinstance(w.app.screen, SearchScreen))
    await w.type(words)


def long_talk(paths: Paths, *, before: int, after: int) -> None:
    """A conversation of many turns, with one word in the middle, on a branch that is not shown."""
    with Store.open(paths.database) as store, store.as_one():
        id, parent = store.create_conversation(title="Long").id, None
        for number in range(before):
            parent = store.add_message(id, Role.USER, f"question {number}", parent=parent).id
            parent = store.add_message(id, Role.ASSISTANT, f"answer {number}", parent=parent).id
        fork = parent
        parent = store.add_message(
            id, Role.USER, "\n".join(["far"] * 60 + ["the Pärrot", *["away"] * 60]), parent=fork
        ).id
        for number in range(after):
            parent = store.add_message(id, Role.ASSISTANT, f"later {number}", parent=parent).id
        store.add_message(id, Role.USER, "another way", parent=fork)


def test_enter_goes_to_the_message_on_its_branch_and_marks_the_word(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await search(w, "parrot")
        await w.see("the Pärrot")
        await w.press("enter")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.hear("on another branch, which is shown now")
        await w.see("the Pärrot")
        await w.until(lambda: w.app.focused is w.app.chat.talk)
        selected = w.app.chat.talk.selected
        assert selected is not None
        assert "Pärrot" in selected.message.content
        assert marked(w) == ["Pärrot"]
        await w.press("escape")
        await w.until(lambda: marked(w) == [])

    window(story, prepared=lambda: long_talk(tiny, before=30, after=100))


def test_again_in_the_open_conversation_goes_to_another_place(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        for text in ("A crow", "\n".join(["two"] * 40), "A parrot"):
            await w.answered(text)
        for words in ("crow", "parr", "crow"):
            await search(w, words)
            await w.until(lambda: "today" in w.text)
            await w.press("down", "enter")
            await w.until(lambda: w.app.screen is w.app.chat)
            await w.until(lambda words=words: words in str(marked(w)))  # type: ignore[misc]
            selected = w.app.chat.talk.selected
            assert selected is not None
            assert words in selected.message.content
            assert marked(w) == [words]
            await w.until(lambda words=words: f"A {words}" in w.text)  # type: ignore[misc]

    window(story, (80, 24))


def test_a_title_is_found_and_opened(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        await w.write("/rename My parrot")
        await w.hear("It is called")
        await w.write("/new")
        await w.until(lambda: not w.app.chat.talk.views)
        await search(w, "my parr")
        await w.see("the title")
        await w.press("enter")
        await w.until(lambda: len(w.app.chat.talk.views) == 2)

    window(story)


def test_typing_in_a_panel_draws_nothing_beneath_it_anew(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    make = BackgroundScreen.__init__

    def counted(self: BackgroundScreen, screen: Screen[None], color: Color) -> None:
        drawn.append("beneath")
        make(self, screen, color)

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("the first word")
        await search(w, "f")
        await w.see("the first word")
        monkeypatch.setattr(BackgroundScreen, "__init__", counted)
        w.app.chat.query_one(TitleBar).engine = "changed beneath"
        await w.see("changed beneath")
        assert drawn
        await w.still()  # the cursor beneath, too, which blinks
        await w.pilot.pause(0.2)
        drawn.clear()
        for letter in "irst":
            await w.press(letter)
            await w.pilot.pause(0.1)
        assert not drawn

    window(story)
