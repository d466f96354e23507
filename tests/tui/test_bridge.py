"""Between threads and the event loop: in order, nothing lost, at a pace; one job after another; a watched engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lora_chat.engine.protocol import BaseInfo, Engine
from lora_chat.errors import EngineError
from lora_chat.paths import Paths
from lora_chat.tui.base_messages import BaseMissing
from lora_chat.tui.bridge import Bridge
from lora_chat.tui.desk import Desk
from lora_chat.tui.engine_watch import OFTEN, EngineWatch
from lora_chat.tui.messages import CannotBegin, EngineSeen, LeaveAsked, News, Opened, ReplyGrew, Said, TrainingSeen
from lora_chat.tui.outbox import Outbox
from tests.tui.examples import progress


def delivered(work: Callable[[Outbox], None], seconds: float = 0.3) -> list[tuple[float, News]]:
    """What arrives of the messages that ``work`` puts from a thread of its own, and when."""
    seen: list[tuple[float, News]] = []

    async def run() -> None:
        outbox = Outbox(lambda news: seen.append((time.monotonic(), news)))
        outbox.open()
        await asyncio.to_thread(work, outbox)
        await asyncio.sleep(seconds)
        outbox.close()

    asyncio.run(run())
    return seen


# The outbox


def test_pieces_of_an_answer_are_joined_and_arrive_at_most_30_times_a_second() -> None:
    pieces = [f"{number} " for number in range(2000)]

    def work(outbox: Outbox) -> None:
        for piece in pieces:
            outbox.put(ReplyGrew(1, piece))
            time.sleep(0.0005)

    seen = delivered(work)
    took = seen[-1][0] - seen[0][0]
    assert "".join(cast(ReplyGrew, news).text for _, news in seen) == "".join(pieces)
    assert 5 < len(seen) <= 30 * took + 1


def test_what_comes_between_pieces_keeps_its_place_and_nothing_is_lost() -> None:
    def work(outbox: Outbox) -> None:
        for number in range(300):
            outbox.put(ReplyGrew(number % 3 // 2, str(number)))
            if number % 10 == 0:
                outbox.put(Said(str(number)))

    told = [news for _, news in delivered(work)]
    text = "".join(news.text if isinstance(news, ReplyGrew) else f"<{cast(Said, news).text}>" for news in told)
    expected = "".join(f"{number}<{number}>" if number % 10 == 0 else str(number) for number in range(300))
    assert text == expected


def test_many_threads_lose_nothing_and_each_keeps_its_order() -> None:
    def one(outbox: Outbox, who: int) -> None:
        for number in range(200):
            outbox.put(Said(f"{who}:{number}"))

    def work(outbox: Outbox) -> None:
        threads = [threading.Thread(target=one, args=(outbox, who)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    told = [cast(Said, news).text for _, news in delivered(work)]
    for who in range(8):
        assert [text for text in told if text.startswith(f"{who}:")] == [f"{who}:{number}" for number in range(200)]


def test_the_newest_look_at_a_training_is_told_but_beginning_and_end_both_are() -> None:
    from dataclasses import replace

    ended = replace(progress(), state="failed")

    seen: list[News] = []

    async def run() -> None:
        outbox = Outbox(seen.append)
        outbox.open()
        outbox.put(TrainingSeen(replace(progress(), state="starting", step=0)))
        for step in range(1, 50):  # on the event loop: none is delivered before all are there
            outbox.put(TrainingSeen(replace(progress(), step=step)))
        outbox.put(TrainingSeen(ended))
        while len(seen) < 2:
            await asyncio.sleep(0.01)
        outbox.close()

    asyncio.run(run())
    looks = [cast(TrainingSeen, news).progress for news in seen]
    assert looks[-1] is ended
    assert looks[-2].step == 49
    assert looks[-2].running
    assert len(looks) <= 4


def test_what_is_put_before_it_opens_arrives_and_after_it_closes_nothing_does() -> None:
    seen: list[News] = []

    async def run() -> None:
        outbox = Outbox(seen.append)
        outbox.put(Said("early"))
        outbox.open()
        await asyncio.sleep(0.1)
        outbox.close()
        outbox.put(Said("late"))
        await asyncio.sleep(0.1)

    asyncio.run(run())
    assert [cast(Said, news).text for news in seen] == ["early"]


def test_a_loop_that_is_gone_is_no_error_for_the_thread_that_puts() -> None:
    outbox = Outbox(lambda news: None)

    async def run() -> None:
        outbox.open()

    asyncio.run(run())
    outbox.put(Said("nobody looks"))
    outbox.put(Said("still nobody"))


# The desk


def test_a_desk_does_its_jobs_in_order_and_complains_about_one_without_stopping() -> None:
    done: list[int] = []
    complaints: list[BaseException] = []
    desk = Desk("test", complaints.append)
    for number in range(20):
        desk.put(lambda number=number: done.append(1 // (number - 7) * 0 + number))  # type: ignore[misc]
    desk.close(5)
    assert done == [number for number in range(20) if number != 7]
    assert [type(error) for error in complaints] == [ZeroDivisionError]


def test_closing_a_desk_waits_no_longer_than_told_and_holds_up_nobody() -> None:
    release = threading.Event()
    desk = Desk("test", lambda error: None)
    desk.put(release.wait)
    began = time.monotonic()
    desk.close(0.2)
    assert time.monotonic() - began < 1
    release.set()


# The engine


class Mortal:
    """An engine that is as its test says."""

    def __init__(self) -> None:
        self.state = "running"
        self.loads: list[threading.Thread] = []
        self.readied: list[str] = []
        self.error: BaseException | None = None

    def load(self) -> BaseInfo:
        self.loads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        self.state = "running"
        info = SimpleNamespace(device="cpu", decoding="fast path, int4", load_seconds=0.1, context_window=512)
        return cast(BaseInfo, info)


def watched() -> tuple[Mortal, EngineWatch, list[EngineSeen]]:
    engine, seen = Mortal(), list[EngineSeen]()

    def ready() -> None:
        engine.readied.append(engine.state)

    return engine, EngineWatch(cast(Engine, engine), lambda news: seen.append(cast(EngineSeen, news)), ready), seen


def settled(watch: EngineWatch) -> None:
    while watch._loading:
        time.sleep(0.005)


def test_a_dead_engine_is_told_and_started_again_until_it_dies_too_often() -> None:
    engine, watch, seen = watched()
    watch.load()
    settled(watch)
    for _ in range(OFTEN + 2):
        engine.state = "died"
        watch.check()
        settled(watch)
    assert [each.state for each in seen] == ["loading", "ready"] + ["died", "loading", "ready"] * (OFTEN - 1) + [
        "failed"
    ]
    assert all(thread.daemon for thread in engine.loads)
    assert engine.readied == ["running"] * OFTEN, "each time it can be asked again"
    assert seen[-1].said.endswith("your next message starts it.")


def test_an_engine_that_lives_is_left_alone() -> None:
    engine, watch, seen = watched()
    for _ in range(100):
        watch.check()
    assert (engine.loads, seen) == ([], [])


@pytest.mark.parametrize(
    ("error", "said"), [(EngineError("No memory."), "No memory."), (MemoryError("odd"), "A defect of lora-chat")]
)
def test_whatever_goes_wrong_in_loading_is_a_sentence(home: Paths, error: BaseException, said: str) -> None:
    engine, watch, seen = watched()
    engine.error = error
    watch.load()
    settled(watch)
    assert [each.state for each in seen] == ["loading", "failed"]
    assert seen[-1].said.startswith(said)


# The bridge


def test_a_home_that_cannot_be_opened_says_why_at_once_and_for_each_wish(home: Paths) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("model = [", encoding="utf-8")
    told = _told_by_a_bridge(lambda bridge: bridge.send("Hello"))
    [reason] = [news.reason for news in told if isinstance(news, CannotBegin)]
    assert "config.toml" in reason
    assert [news.text for news in told if isinstance(news, Said)] == [reason]


def test_where_there_can_be_no_chat_one_can_still_leave_and_read_the_help(home: Paths) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("model = 7", encoding="utf-8")
    assert any(isinstance(news, LeaveAsked) for news in _told_by_a_bridge(lambda bridge: bridge.send("/quit")))
    told = _told_by_a_bridge(lambda bridge: bridge.send("/help"))
    assert [news.what for news in told if isinstance(news, Opened)] == ["help"]


def test_without_a_base_it_says_which_one_can_be_fetched(home: Paths) -> None:
    told = _told_by_a_bridge(lambda bridge: bridge.send("Hello"))
    assert [news.entry.name for news in told if isinstance(news, BaseMissing)] == ["smollm2-135m"]
    assert [news.text for news in told if isinstance(news, Said)] == ["The base model is not here yet: fetch it first."]


def test_closing_a_bridge_that_never_began_leaves_nothing_behind(home: Paths) -> None:
    before = {thread for thread in threading.enumerate() if not thread.daemon}
    bridge = Bridge(lambda news: None)
    bridge.close()
    assert {thread for thread in threading.enumerate() if not thread.daemon} == before
    assert not Path(home.database).exists()


def _told_by_a_bridge(wish: Callable[[Bridge], Any]) -> list[News]:
    seen: list[News] = []

    async def run() -> None:
        bridge = Bridge(seen.append)
        bridge.begin()
        wish(bridge)
        done = threading.Event()
        bridge._desk.put(done.set)
        while not done.is_set() or bridge._outbox._scheduled:
            await asyncio.sleep(0.01)
        bridge.close()

    asyncio.run(run())
    return seen
