"""What is told over the talk: the newest few sentences in the same place, and facts with their whole names."""

from __future__ import annotations

from textual.widgets._toast import Toast

from lora_chat.tui.app import TOLD
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
