"""The list of conversations: what stands where, and what its keys do."""

from __future__ import annotations

import threading

import pytest

from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.tui.widgets.conversation_list import ConversationList
from lora_chat.tui.widgets.keys import KeysLine
from tests.tui.conftest import Tell, Window, idle


def lines(w: Window) -> list[str]:
    """What the list shows, from the top."""
    return [str(option.prompt).rstrip() for option in w.app.chat.list.options if str(option.prompt).strip()]


def keys(w: Window) -> str:
    return w.app.chat.query_one(KeysLine).render().plain


async def talks(w: Window, *questions: str) -> None:
    await w.ready()
    for question in questions:
        await w.write("/new")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.answered(question)
    await w.until(lambda: len(lines(w)) == len(questions) + 1)


async def to_the_list(w: Window) -> None:
    await w.until(lambda: w.prompt.has_focus)  # where the list has it still, the key hides the list
    await w.press("ctrl+l")
    await w.until(lambda: isinstance(w.app.focused, ConversationList))


def test_p_pins_to_the_top_and_lets_go_again(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await to_the_list(w)
        await w.press("down")
        assert "p pin" in keys(w)
        await w.press("p")
        await w.hear("“First” stands at the top of the list")
        await w.until(lambda: lines(w) == ["Pinned", "◆ First", "Today", "● Second"])
        await w.until(lambda: "p unpin" in keys(w), 5)
        assert "p pin" not in keys(w)
        await w.press("p")
        await w.until(lambda: lines(w) == ["Today", "● Second", "  First"])
        await w.press("p", "enter")
        await w.until(lambda: lines(w) == ["Pinned", "◆ First", "Today", "  Second"])
        await w.write("/pin")
        await w.until(lambda: lines(w) == ["Today", "  Second", "● First"])

    window(story)
    with Store.open(tiny.database) as store:
        assert [each.pinned for each in store.conversations()] == [False, False]


def test_a_puts_away_the_fold_shows_it_and_a_lists_it_again(window: Tell) -> None:
    async def story(w: Window) -> None:
        await talks(w, "First", "Second", "Third")
        await to_the_list(w)
        await w.press("down", "a")
        await w.hear("“Second” is archived")
        await w.until(lambda: lines(w) == ["Today", "● Third", "  First", "▸ Archived"])
        assert "r rename" in keys(w), "the next one is looked at"
        await w.press("down")
        await w.until(lambda: "r rename" not in keys(w))
        assert "a archive" not in keys(w)
        await w.press("enter")
        await w.until(lambda: lines(w) == ["Today", "● Third", "  First", "▾ Archived", "  Second"])
        await w.press("down")
        await w.until(lambda: "a list again" in keys(w))
        await w.press("enter")
        await w.until(lambda: [each.shown.message.content for each in w.app.chat.talk.views][:1] == ["Second"])
        await w.see("archived · tiny-llama")
        await to_the_list(w)
        await w.press("a")
        await w.hear("“Second” is listed again.")
        await w.until(lambda: lines(w) == ["Today", "  Third", "● Second", "  First"])
        await w.not_see("archived · tiny-llama")

    window(story)


def test_archived_unfolds_what_was_put_away_and_the_open_one_is_put_away_by_its_command(window: Tell) -> None:
    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await w.write("/archive")
        await w.hear("“Second” is archived")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.until(lambda: lines(w) == ["Today", "  First", "▸ Archived"])
        await w.write("/archived")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        await w.until(lambda: lines(w)[-1] == "  Second")
        await w.press("enter")
        await w.until(lambda: len(w.app.chat.talk.views) == 2)
        await w.answered("Go on")
        await w.until(lambda: lines(w) == ["Today", "● Second", "  First"])

    window(story)


def test_what_is_archived_is_found_and_marked(window: Tell) -> None:
    async def story(w: Window) -> None:
        await talks(w, "Where is my parrot?")
        await w.write("/archive")
        await w.until(lambda: lines(w)[-1] == "▸ Archived")
        await w.press("ctrl+f")
        await w.type("parrot")
        await w.see("Where is my parrot?  archived")

    window(story)


def test_d_deletes_u_brings_it_back_and_the_list_keeps_the_focus(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await to_the_list(w)
        await w.press("down", "d")
        await w.hear("“First” is deleted: /undo brings it back, until you leave.")
        await w.until(lambda: lines(w) == ["Today", "● Second"])
        await w.press("d")
        await w.hear("“Second” is deleted")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.until(lambda: lines(w) == ["Nothing yet: write a\nmessage, and it is kept."])
        await w.press("u")
        await w.hear("“Second” is back.")
        await w.until(lambda: len(w.app.chat.talk.views) == 2)
        await w.write("/undo")
        await w.until(lambda: lines(w) == ["Today", "● Second", "  First"])

    window(story)
    with Store.open(tiny.database) as store:
        assert [len(store.messages(each.id)) for each in store.conversations()] == [2, 2]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_the_list_that_is_asked_for_while_one_is_opening_stays(window: Tell, size: tuple[int, int]) -> None:
    gate = threading.Event()

    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await to_the_list(w)
        w.app.bridge.run(lambda _: gate.wait(20))
        await w.press("down", "enter")
        await w.until(lambda: w.prompt.has_focus)
        await w.press("ctrl+l")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        assert said_first(w) == "Second"
        gate.set()
        await w.until(lambda: said_first(w) == "First")
        await idle(w)
        assert isinstance(w.app.focused, ConversationList)
        assert w.app.chat.list.display
        await w.press("up", "enter")
        await w.until(lambda: said_first(w) == "Second")
        await w.until(lambda: w.prompt.has_focus)
        assert not w.app.chat.has_class("-list-open"), "nobody asked for it again"

    window(story, size)


def test_what_is_typed_while_one_is_opening_is_written_to_it(window: Tell, tiny: Paths) -> None:
    gate = threading.Event()

    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await w.type("half")
        await to_the_list(w)
        w.app.bridge.run(lambda _: gate.wait(20))
        await w.press("down", "enter")
        await w.until(lambda: w.prompt.has_focus)
        await w.type("daring")
        gate.set()
        await w.until(lambda: said_first(w) == "First")
        await w.until(lambda: w.prompt.text == "daring")
        await to_the_list(w)
        await w.press("up", "enter")
        await w.until(lambda: w.prompt.text == "half")

    window(story)
    with Store.open(tiny.database) as store:
        assert len(store.conversations()) == 2, "no letter of it was a command of the list"


def said_first(w: Window) -> str:
    """The first message that is shown."""
    return next((each.shown.message.content for each in w.app.chat.talk.views), "")


def test_what_was_put_away_is_completed_too(window: Tell, tiny: Paths) -> None:
    with Store.open(tiny.database) as store:
        id = store.create_conversation(title="Pirate limericks").id
        store.update_conversation(id, archived=True)

    async def story(w: Window) -> None:
        await w.ready()
        w.prompt.write("/open limer")
        await w.see("Pirate limericks (archived)")
        await w.press("tab")
        assert w.prompt.text == f"/open {id}"

    window(story)


def test_r_writes_the_command_for_another_one_whose_draft_would_stand_there(window: Tell) -> None:
    async def story(w: Window) -> None:
        await talks(w, "First", "Second")
        await to_the_list(w)
        await w.press("down", "r")
        await w.until(lambda: [each.shown.message.content for each in w.app.chat.talk.views][:1] == ["First"])
        await w.until(lambda: w.prompt.text == "/rename First")
        await w.press("!", "enter")
        await w.until(lambda: "First!" in " ".join(lines(w)))

    window(story)
