"""How full the context is, and where it is cut: what the window shows of it, and what it never does for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from textual.widgets import Static

from lora_chat.chat.conversation import Message, Rating, Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Worn
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.sitting import Sitting
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.widgets.message import CUT
from lora_chat.tui.widgets.title_bar import TitleBar
from lora_chat.tui.widgets.transcript import Transcript
from tests.tui.conftest import Branch, Tell, Window, idle

WINDOW = 60
FULL = "The context was full"
AGAIN = " ".join(["word"] * 8)
"""Said back, an exchange takes 18 tokens: the fourth one is the first that is cut."""


def sitting(w: Window) -> Sitting:
    return w.app.bridge._require()


def narrow(w: Window, window: int = WINDOW) -> None:
    """Let the base have a small window from now on."""
    sitting(w).session = replace(sitting(w).session, window=window)


def used(w: Window) -> int:
    """What the gauge is at."""
    return w.app.chat.query_one(TitleBar).used


def tokens(branch: list[Message], system: str = "") -> int:
    """As the scripted engine counts: words, and one for each message."""
    texts = [each.content for each in branch if each.content] + ([system] if system else [])
    return sum(len(text.split()) + 1 for text in texts)


def marked(w: Window) -> list[int]:
    """The messages above which the mark stands, as it is drawn."""
    views = [view for view in w.app.chat.talk.views if view.query(".cut")]
    for view in views:
        mark, *rest = view.query(".cut").results(Static)
        assert rest == []
        assert str(mark.content) == CUT
        assert view.children[0] is mark
    return [view.shown.message.id for view in views]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every sentence that was ever told."""
    sentences: list[str] = []
    tell = LoraChatApp.tell

    def remember(self: LoraChatApp, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        sentences.append(text)
        tell(self, text, refused=refused, lasting=lasting)

    monkeypatch.setattr(LoraChatApp, "tell", remember)
    return sentences


async def talked(w: Window, turns: int) -> None:
    for number in range(turns):
        await w.answered(f"{number} {AGAIN[5:]}")
        await idle(w)


# The mark


def test_the_mark_stands_above_the_first_message_that_is_read_and_is_told_once(
    window: Tell, branch: Branch, told: list[str]
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        sitting(w).pending["max_tokens"] = 10
        await talked(w, 3)
        assert (marked(w), told) == ([], [])
        await talked(w, 1)
        first = branch()[4].id
        assert marked(w) == [first]
        assert told == [f"{FULL}: the 4 oldest messages are no longer read."]
        await w.answered("short")
        await idle(w)
        assert marked(w) == [first]
        await w.until(lambda: CUT[4:20] in w.text)
        assert len(told) == 1
        await talked(w, 2)
        assert marked(w) == [branch()[-1].context_start] != [first]
        assert len(told) == 2

    window(story, (100, 50))


def test_the_mark_is_still_there_when_the_conversation_is_opened_again(
    window: Tell, branch: Branch, told: list[str]
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 4)
        before = marked(w)
        assert len(before) == 1
        conversation = branch()[0].conversation
        w.app.bridge.run(lambda sitting: sitting.new())
        await w.until(lambda: not w.app.chat.talk.views)
        w.app.bridge.run(lambda sitting: sitting.open(conversation))
        await w.until(lambda: w.app.chat.talk.views)
        await idle(w)
        assert marked(w) == before
        assert len([each for each in told if FULL in each]) == 1

    window(story, (100, 50))


def slow_to_count(
    monkeypatch: pytest.MonkeyPatch, these: Callable[[tuple[Turn, ...]], bool]
) -> tuple[threading.Event, threading.Event]:
    """An engine that counts ``these`` messages when it may, as one that is loading does: (it waits, it may go on)."""
    waits, release = threading.Event(), threading.Event()

    class Counts(EchoEngine):
        def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
            if these(messages):
                waits.set()
                assert release.wait(20)
            return super().count_tokens(messages)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Counts(base))
    return waits, release


def test_the_mark_stays_while_the_next_reply_waits_to_be_counted(
    window: Tell, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, release = slow_to_count(monkeypatch, lambda messages: bool(messages) and messages[-1].content == "wait")

    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 4)
        before = marked(w)
        await w.write("wait")
        await w.until(waits.is_set)
        looked = threading.Event()
        w.app.bridge.run(lambda _: w.app.bridge.changed())
        w.app.bridge.run(lambda _: looked.set())
        await w.until(looked.is_set)
        await w.pilot.pause(0.15)
        assert len(w.app.chat.talk.views) == 10
        assert marked(w) == before != []
        release.set()
        await w.until(lambda: not w.app.bridge.replying)
        await idle(w)
        assert marked(w) == before

    try:
        window(story, (100, 50))
    finally:
        release.set()


def test_another_branch_that_was_not_cut_has_no_mark(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 4)
        [cut] = marked(w)
        narrow(w, 512)
        await w.press("ctrl+r")
        await w.see("‹2/2›")
        await idle(w)
        assert branch()[-1].context_start is None
        assert marked(w) == []
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.press("left")
        await w.see("‹1/2›")
        await idle(w)
        assert marked(w) == [cut]
        await w.press("right")
        await w.see("‹2/2›")
        await idle(w)
        assert marked(w) == []

    window(story, (100, 50))


def test_a_message_that_is_too_long_comes_back_and_moves_no_mark(window: Tell, told: list[str]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 4)
        before, gauge = marked(w), used(w)
        long = " ".join(["long"] * WINDOW)
        await w.write(long)
        await w.until(lambda: any("shorten it" in each for each in told))
        await idle(w)
        assert w.prompt.text == long
        assert "61 tokens" in told[-1]
        assert (marked(w), used(w)) == (before, gauge)
        assert len(w.app.chat.talk.views) == 8

    window(story, (100, 50))


# The gauge


def test_the_gauge_is_exactly_what_the_next_prompt_begins_with(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        for turns in (1, 3):
            w.app.bridge.run(lambda sitting: sitting.new())
            await w.until(lambda: not w.app.chat.talk.views)
            await talked(w, turns)
            assert used(w) == tokens(branch()) == 18 * turns
        first = sitting(w).store.conversations()[-1].id
        w.app.bridge.run(lambda sitting: sitting.open(first))
        await w.until(lambda: len(w.app.chat.talk.views) == 2)
        await idle(w)
        assert used(w) == 18

    window(story)


def test_after_a_cut_the_gauge_is_what_is_left(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 4)
        assert used(w) == tokens(branch()[4:])

    window(story)


@dataclass
class Dead:
    """What an engine that died was asked all the same."""

    asked: list[str] = field(default_factory=list)
    dead: bool = False


@pytest.fixture
def mortal(window: Tell, monkeypatch: pytest.MonkeyPatch) -> Dead:
    found = Dead()

    class Mortal(EchoEngine):
        """Has a process that can die, which any call would start again."""

        @property
        def state(self) -> str:
            return "died" if found.dead else "running"

        @property
        def is_running(self) -> bool:
            return not found.dead

        def count_tokens(self, messages: tuple[Turn, ...], *, continues: bool = False) -> int:
            if found.dead:
                found.asked.append("count")
            return super().count_tokens(messages)

        def prepare(
            self, messages: tuple[Turn, ...], adapter: Worn | None = None, cancel: threading.Event | None = None
        ) -> int:
            if found.dead:
                found.asked.append("prepare")
            return super().prepare(messages, adapter, cancel)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Mortal(base))
    return found


def test_a_dead_engine_is_not_started_to_read_ahead(window: Tell, mortal: Dead) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await talked(w, 1)
        w.app.bridge._watch = None  # it died too often to be started by itself
        mortal.dead = True
        w.app.bridge.run(lambda sitting: sitting.update(system="Be brief."))
        await idle(w)
        w.app.bridge.run(lambda sitting: sitting.new())
        await idle(w)
        w.app.bridge.run(lambda sitting: sitting.open(sitting.store.conversations()[0].id))
        await idle(w)
        assert mortal.asked == []
        assert w.told == []
        mortal.dead = False
        w.app.bridge.run(lambda sitting: sitting.prefill())
        await idle(w)
        assert used(w) == 18 + 3

    window(story)


def test_wearing_an_adapter_with_a_system_prompt_changes_the_gauge_and_taking_it_off_changes_it_back(
    window: Tell, worn: str, tiny: Paths, branch: Branch
) -> None:
    system = " ".join(["kind"] * 40)
    manifest = tiny.adapters / worn / "adapter.toml"
    manifest.write_text(manifest.read_text("utf-8") + f'\n[chat]\nsystem_prompt = "{system}"\n', "utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        await talked(w, 1)
        plain = used(w)
        assert plain == tokens(branch())
        await w.write(f"/adapter use {worn}")
        await w.until(lambda: w.app.chat.worn)
        await idle(w)
        assert used(w) == tokens(branch(), system) == plain + 41
        await w.write("/adapter off")
        await w.until(lambda: not w.app.chat.worn)
        await idle(w)
        assert used(w) == plain

    window(story)


def test_before_anything_is_said_the_gauge_shows_only_what_is_much(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await idle(w)
        assert used(w) == 0
        w.app.bridge.run(lambda sitting: sitting.update(system="Be brief."))
        await idle(w)
        assert used(w) == 0
        w.app.bridge.run(lambda sitting: sitting.update(system=" ".join(["kind"] * 40)))
        await idle(w)
        assert used(w) == 41

    window(story)


def test_after_quick_changes_the_gauge_is_the_newest_conversations(
    window: Tell, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's count comes last: it is counted when the other has long been."""
    slow = [False]
    held, release = slow_to_count(monkeypatch, lambda messages: slow[0] and len(messages) == 6)

    async def story(w: Window) -> None:
        await w.ready()
        for turns in (1, 2, 3):
            w.app.bridge.run(lambda sitting: sitting.new())
            await w.until(lambda: not w.app.chat.talk.views)
            await talked(w, turns)
        longest, middle, shortest = (each.id for each in sitting(w).store.conversations())
        slow[0] = True
        w.app.bridge.run(lambda sitting: sitting.open(longest))
        await w.until(held.is_set)
        for id in (shortest, middle, longest, middle):
            w.app.bridge.run(lambda sitting, id=id: sitting.open(id))  # type: ignore[misc]
        await w.until(lambda: used(w) == 36)
        release.set()
        await idle(w)
        assert len(w.app.chat.talk.views) == 4
        assert used(w) == 36

    try:
        window(story)
    finally:
        release.set()


# What one asks about it


def test_context_says_what_is_read_and_what_is_left_out(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await talked(w, 1)
        await w.write("/context")
        await w.see("18 of 60 tokens, 30 %")
        assert "2 are read" in w.text
        assert "nothing" in w.text
        assert "at most 42 tokens" in w.text
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await talked(w, 3)
        await w.write("/context")
        await w.see("36 of 60 tokens, 60 %")
        assert "4 are read" in w.text
        assert "the 4 oldest, which no longer fit" in w.text

    window(story)


def test_context_is_told_where_the_last_answer_filled_the_window(
    window: Tell, says: dict[str, str], told: list[str]
) -> None:
    says["Long?"] = " ".join(["word"] * 70)

    async def story(w: Window) -> None:
        await w.ready()
        narrow(w)
        await w.answered("Long?")
        await idle(w)
        assert used(w) == 73
        await w.write("/context")
        await w.see("73 of 60 tokens")
        assert "at most 0 tokens" in w.text
        assert told == []
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.answered("And now?")
        await idle(w)
        assert told == [f"{FULL}: the 2 oldest messages are no longer read."]

    window(story)


def test_what_changes_nothing_of_the_prompt_leaves_the_gauge_where_it_is(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await talked(w, 1)
        w.app.bridge.run(lambda sitting: sitting.update(system=" ".join(["kind"] * 40)))
        await idle(w)
        assert used(w) == 18 + 41
        w.app.bridge.run(lambda sitting: sitting.rate(sitting.last_answer(), Rating.GOOD))
        await idle(w)
        assert used(w) == 18 + 41
        w.app.bridge.run(lambda _: w.app.bridge.changed())
        await idle(w)
        assert used(w) == 18 + 41

    window(story)
