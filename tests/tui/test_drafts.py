"""What stands unsent is there when one returns, however one left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from lora_chat.chat.store import Store
from lora_chat.chat.written import NEW, draft_of, keep_draft
from lora_chat.errors import StoreError
from lora_chat.paths import Paths
from lora_chat.tui.drafts import Drafts
from tests.chat.conftest import talk
from tests.cli.conftest import command, environment
from tests.tui.conftest import Tell, Window, idle


def kept(paths: Paths, conversation: str = NEW) -> str:
    with Store.open(paths.database) as store:
        return draft_of(store, conversation)


def test_each_conversation_has_its_own_and_the_new_one_too(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        one = w.app.chat._open
        await w.type("of one")
        await w.press("ctrl+n")
        await w.until(lambda: w.app.chat._open is None)
        await w.until(lambda: w.prompt.text == "")
        await w.type("of the new one")
        w.app.bridge.run(lambda sitting: sitting.open(one or ""))
        await w.until(lambda: w.prompt.text == "of one")
        await w.type(", more")
        await w.press("ctrl+n")
        await w.until(lambda: w.prompt.text == "of the new one")
        w.app.bridge.run(lambda sitting: sitting.open(one or ""))
        await w.until(lambda: w.prompt.text == "of one, more")
        w.app.bridge.run(lambda sitting: sitting.open(one or ""))  # that is open already
        await idle(w)
        assert w.prompt.text == "of one, more"

    window(story)


def test_what_is_typed_before_the_next_one_is_shown_is_of_that_one(
    window: Tell, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.tui.screens.keeping.SOON_S", 300.0)

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        one = w.app.chat._open or ""
        await w.type("old")
        gate = threading.Event()
        w.app.bridge.run(lambda _: gate.wait(30))
        await w.press("ctrl+n")
        await w.type(" and new")
        gate.set()
        await w.until(lambda: w.app.chat._open is None)
        await idle(w)
        assert w.prompt.text == " and new"
        await w.until(lambda: (kept(tiny, one), kept(tiny)) == ("old", " and new"))
        gate.clear()
        w.app.bridge.run(lambda _: gate.wait(30))
        w.prompt.write("")
        await w.write(f"/open {one}")
        await w.type("er")
        gate.set()
        await w.until(lambda: w.app.chat._open == one)
        await idle(w)
        assert w.prompt.text == "older"

    window(story)


def test_it_is_there_at_the_next_start_and_gone_once_it_was_sent(window: Tell, tiny: Paths) -> None:
    async def write(w: Window) -> None:
        await w.ready()
        await w.type("half")
        await w.press("ctrl+j")
        await w.type("written")

    async def send(w: Window) -> None:
        await w.ready()
        assert w.prompt.text == "half\nwritten"
        await w.press("enter")
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)

    async def look(w: Window) -> None:
        await w.ready()
        assert w.prompt.text == ""

    window(write)
    window(send)
    assert kept(tiny) == ""
    window(look)


def test_at_a_pause_it_is_on_the_disk_and_what_is_only_looked_up_is_not(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        id = w.app.chat._open or ""
        await w.type("half")
        await w.until(lambda: kept(tiny, id) == "half")
        await w.press("up")
        assert w.prompt.text == "one"
        await w.pilot.pause(0)
        w.app.bridge.drafts.write()
        await idle(w)
        assert kept(tiny, id) == "half"
        await w.type(" and more")
        await w.until(lambda: kept(tiny, id) == "one and more")

    window(story)


def test_it_goes_with_its_conversation_but_what_still_stands_in_the_prompt_stays(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("one")
        await idle(w)
        id = w.app.chat._open or ""
        await w.type("half")
        await w.until(lambda: kept(tiny, id) == "half")
        w.app.bridge.run(lambda sitting: sitting.delete(id))
        await w.until(lambda: w.app.chat._open is None)
        await idle(w)
        assert w.prompt.text == "half"
        await w.until(lambda: kept(tiny) == "half")
        assert kept(tiny, id) == ""

    window(story)


def test_what_the_first_message_left_is_of_the_conversation_that_it_began(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("one")
        await w.type("and")
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)
        await w.until(lambda: kept(tiny, w.app.chat._open or "-") == "and")
        assert kept(tiny) == ""

    window(story)


def test_what_was_typed_before_the_draft_arrived_stands_behind_it(window: Tell, tiny: Paths) -> None:
    with Store.open(tiny.database) as store:
        keep_draft(store, NEW, "from before")

    async def story(w: Window) -> None:
        await w.ready()
        assert w.prompt.text.splitlines()[0] == "from before"
        await w.type("!")
        assert w.prompt.text == "from before!"

    window(story)


def test_a_command_s_beginning_from_the_palette_does_not_take_a_message_s_place_for_good(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("half")
        w.app.chat.asking.fill("/rename ")
        await w.press("escape", "up")
        assert w.prompt.text == "half"

    window(story)


def test_a_disk_that_refuses_is_told_once_and_the_draft_comes_with_the_next_pause(
    tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def do(job: Callable[[], object]) -> None:
        try:
            job()
        except StoreError as error:
            refused.append(str(error))

    def full(*_: object) -> None:
        raise StoreError("No space is left.")

    with Store.open(tiny.database) as store:
        id = talk(store, "one", "1")[0].conversation
        drafts = Drafts(do)
        drafts.note(NEW, "half")
        drafts.write()  # nothing is open yet
        drafts.store = store
        with monkeypatch.context() as patched:
            patched.setattr("lora_chat.chat.written.keep_draft", full)
            drafts.write()
            drafts.note(id, "other")
            drafts.write()
            assert refused == ["No space is left."]
            assert drafts.of(NEW) == "half"
            drafts.close()
        drafts.write()
        assert (draft_of(store, NEW), draft_of(store, id)) == ("half", "other")
        assert len(refused) == 1


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("way", ["hangs up", "is killed"])
def test_it_outlives_a_terminal_that_closes_and_a_program_that_is_killed(tiny: Paths, way: str) -> None:
    from tests.terminal import Window as Terminal

    first = Terminal(command(), environment(tiny))
    first.see("teach me")
    first.type("\r")
    first.see("sends;")
    first.type("half written")
    first.see("half written")
    if way == "is killed":
        pause = threading.Event()
        for _ in range(300):
            if kept(tiny) == "half written":
                break
            pause.wait(0.1)
        first.process.kill()
    else:
        first.process.send_signal(signal.SIGHUP)
    first.process.wait(30)
    first.close()
    assert kept(tiny) == "half written"
    second = Terminal(command(), environment(tiny))
    second.see("half written")
    second.close()
