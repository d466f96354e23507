"""What is told over the talk: the newest few sentences in the same place, and facts with their whole names."""

from __future__ import annotations

from functools import partial

import pytest
from textual.geometry import Region
from textual.widgets._toast import Toast

from lora_chat.tui.notices import LAST, TOLD
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from tests.tui.conftest import Tell, Window


def test_the_newest_of_many_stand_where_the_first_did(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.clear_notifications()
        w.app.tell("sentence 0", lasting=True)
        await w.until(lambda: [each.region.y for each in w.app.screen.query(Toast)])
        first = w.app.screen.query_one(Toast).region.y
        for number in range(1, 12):
            w.app.tell(f"sentence {number}", lasting=True)
            await w.pilot.pause(0.05)

        def shown() -> list[Toast]:
            return list(w.app.screen.query(Toast))

        newest = [f"sentence {number}" for number in range(12 - TOLD, 12)]
        await w.until(lambda: [each._notification.message for each in shown()] == newest)
        await w.until(lambda: shown() and shown()[0].region.y == first)
        assert shown()[-1].region.bottom < 12

    window(story, (80, 24))


def test_the_names_that_one_types_are_whole(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/set")
        await w.see("repetition_penalty   1 (the settings)")

    window(story, (80, 24))


LONG = "The training has ended: it learnt what it had to, and this sentence takes more than one line of a window."


def toasts(w: Window) -> list[Toast]:
    """Those that are drawn now."""
    return [each for each in w.app.screen.query(Toast) if each.region.height]


def hidden(w: Window) -> bool:
    """Whether a sentence stands over the last lines of the talk."""
    end = w.app.chat.talk.views[-1].region.intersection(w.app.chat.talk.region)
    last = Region(end.x, end.bottom - min(LAST, end.height), end.width, min(LAST, end.height))
    return any(each.region.overlaps(last) for each in toasts(w))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
def test_no_sentence_hides_the_end_of_a_short_talk(window: Tell, size: tuple[int, int]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        w.app.clear_notifications()
        w.app.tell(LONG, lasting=True)
        await w.until(lambda: toasts(w) and not hidden(w))
        end = w.app.chat.talk.views[-1].region.bottom
        assert all(end <= each.region.y and each.region.bottom <= w.app.chat.talk.region.bottom for each in toasts(w))
        await w.type("/")  # the completions need that place
        await w.until(lambda: toasts(w)[0].region.y < end)
        await w.press("escape", "ctrl+c")
        await w.until(lambda: toasts(w)[0].region.y >= end)

    window(story, size)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
def test_no_sentence_hides_what_an_answer_adds(window: Tell, says: dict[str, str], size: tuple[int, int]) -> None:
    says["Count."] = " ".join(f"{number:060}" for number in range(60))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.write("Count.")
        await w.until(lambda: w.app.bridge.replying)
        seen = set()
        while w.app.bridge.replying:
            if not w.told:
                w.app.tell(LONG, lasting=True)
                w.app.tell(LONG, lasting=True)
            await w.pilot.pause(0.02)
            await w.until(lambda: not hidden(w), 3)
            end = w.app.chat.talk.views[-1].region.intersection(w.app.chat.talk.region).bottom
            seen |= {each.region.y >= end for each in toasts(w)}
        assert seen == {True, False}, "at first below the end, and at the top where there is no room left there"

    window(story, size)


def test_sentences_that_fit_nowhere_give_way_to_the_newest(window: Tell, says: dict[str, str]) -> None:
    says["Count."] = " ".join(f"{number:040}" for number in range(4))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Count.")
        w.app.clear_notifications()
        for number in range(TOLD):
            w.app.tell(f"{number} {LONG}", lasting=True)
        await w.until(lambda: 0 < len(toasts(w)) == len(w.told) < TOLD and not hidden(w))
        assert w.told[-1].startswith(f"{TOLD - 1} ")

    window(story, (60, 20))


def test_what_was_told_before_a_screen_opens_waits_until_it_closes(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.clear_notifications()
        w.app.tell("the first", refused=True)
        await w.hear("the first")
        await w.press("f2")
        await w.until(lambda: isinstance(w.app.screen, AdaptersScreen))
        await w.until(lambda: not w.told and not toasts(w))
        w.app.tell("the second")
        await w.until(lambda: len(toasts(w)) == 1)
        w.app.push_screen(ConfirmScreen("Install it?", about=[("says", "much")]))
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.until(lambda: not w.told and not toasts(w))
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.screen, AdaptersScreen))
        await w.until(lambda: w.told == ["the second"])
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.until(lambda: sorted(w.told) == ["the first", "the second"] and len(toasts(w)) == 2)

    window(story, (80, 24))


def test_a_sentence_that_comes_after_its_screen_was_covered_waits_too(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.clear_notifications()
        w.app.tell("just before")
        w.app.push_screen(ConfirmScreen("Install it?"))  # at once: the sentence is still on its way
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.pilot.pause(0.2)
        assert not w.told
        await w.press("escape")
        await w.until(lambda: w.told == ["just before"])

    window(story, (80, 24))


def is_open(w: Window, begun: bool) -> bool:
    """Whether what is open has messages, or none where it is not ``begun``."""
    return bool(w.app.chat.talk.views) is begun


def test_what_was_told_of_one_conversation_does_not_stand_over_another(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        for key in ("ctrl+n", "enter"):  # a new one, then that one out of the list
            w.app.tell("There is no code in this conversation.", lasting=True)
            await w.until(lambda: len(toasts(w)) == 1)
            if key == "enter":
                await w.press("ctrl+l", "home")
            await w.press(key)
            await w.until(partial(is_open, w, key == "enter"))
            await w.until(lambda: not w.told and not toasts(w), seconds=8)  # by itself it goes in 20

    window(story, (80, 24))


@pytest.mark.parametrize("width", [40, 60])
def test_a_sentence_is_whole_however_narrow_the_window(window: Tell, width: int) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.clear_notifications()
        w.app.tell(LONG, lasting=True)
        await w.until(lambda: len(toasts(w)) == 1)
        assert w.app.screen.region.contains_region(toasts(w)[0].region)

    window(story, (width, 24))


def test_the_list_that_comes_over_the_talk_is_not_hidden(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        w.app.clear_notifications()
        w.app.tell(LONG, lasting=True)
        await w.until(lambda: len(toasts(w)) == 1)
        await w.press("ctrl+l")
        await w.until(lambda: w.app.chat.list.region.width)
        await w.until(lambda: not toasts(w)[0].region.overlaps(w.app.chat.list.region), seconds=8)

    window(story, (80, 24))
