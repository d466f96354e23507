"""What goes wrong beside the person: the window lives, says so in a sentence, and keeps what there is."""

from __future__ import annotations

import os
import signal
import stat
import sys

import pytest
from textual import events

from lora_chat.chat.conversation import Role, Status
from lora_chat.chat.store import Store
from lora_chat.engine.process import ProcessEngine
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.widgets.title_bar import TitleBar
from tests.tui.conftest import Branch, Tell, Window

LONG = " ".join(f"word{number}" for number in range(400))


# Defects


def test_a_defect_in_the_work_is_one_sentence_and_its_traceback_is_kept_privately(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.bridge.run(lambda sitting: vars(sitting)["nothing foreseen"])
        await w.hear("A defect of lora-chat, please report it: KeyError: 'nothing foreseen'")
        await w.answered("Hello")
        assert "Traceback" not in w.text

    window(story)
    log = tiny.logs / "defects.log"
    assert "KeyError: 'nothing foreseen'" in log.read_text(encoding="utf-8")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_defect_in_the_window_ends_it_with_one_sentence_and_without_a_traceback(
    tiny: Paths, says: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from lora_chat.errors import LoraChatError
    from lora_chat.tui import app as window_app

    def broken(self: LoraChatApp) -> None:
        self.call_later(lambda: 1 // 0)

    monkeypatch.setattr(LoraChatApp, "on_ready", broken, raising=False)
    run = LoraChatApp.run
    monkeypatch.setattr(LoraChatApp, "run", lambda self: run(self, headless=True))
    with pytest.raises(LoraChatError, match="A defect of lora-chat, please report it: ZeroDivisionError"):
        window_app.run(None, None)
    shown = capfd.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert stat.S_IMODE((tiny.logs / "defects.log").stat().st_mode) == 0o600


# The engine process


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_killed_engine_is_told_started_again_and_answers_again(
    tiny: Paths, tiny_llama: InstalledBase, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    (tiny.config).write_text(
        'model = "tiny-llama"\nmax_tokens = 400\ntemperature = 2.0\ntop_p = 1.0\n', encoding="utf-8"
    )

    async def run() -> None:
        app = LoraChatApp()
        try:
            async with app.run_test(size=(100, 30), notifications=True) as pilot:
                w = Window(app, pilot)
                await w.ready()
                engine = app.bridge._require().engine
                assert isinstance(engine, ProcessEngine)
                await w.until(lambda: engine.pid and not app.chat.query_one(TitleBar).engine, 60)
                first = engine.pid
                assert first
                os.kill(first, signal.SIGKILL)
                await w.hear("The engine process ended; it is being started again.")
                await w.until(lambda: engine.pid not in (None, first), 30)
                await w.not_see("starting again", 60)
                await w.not_see("loading", 60)
                app.clear_notifications()

                await w.write("/set seed 3")
                second = engine.pid
                assert second
                os.kill(second, signal.SIGSTOP)  # before it is asked: the whole answer takes it milliseconds
                await w.write("Hello")
                await w.until(lambda: app.bridge.replying, 60)
                await w.until(lambda: engine._child and engine._child._answers)  # and it was asked
                await w.type("still")
                assert w.prompt.text == "still"
                os.kill(second, signal.SIGKILL)
                await w.until(lambda: not app.bridge.replying)
                await w.see("✗ The engine process was killed by SIGKILL")
                failed = branch()[-1]
                assert failed.status is Status.FAILED
                w.prompt.write("")
                await w.answered("Hello again")
                assert branch()[-1].status is Status.DONE
        finally:
            app.bridge.close()

    asyncio.run(run())


# Two programs on one home


def test_what_another_program_writes_meanwhile_is_kept_and_what_it_deletes_is_noticed(
    window: Tell, tiny: Paths, branch: Branch
) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("One")
        with Store.open(tiny.database) as other:
            current = other.conversations()[0]
            asked = other.add_message(current.id, Role.USER, "From elsewhere", parent=current.head)
            other.add_message(current.id, Role.ASSISTANT, "Heard.", parent=asked.id)
        await w.answered("Two")
        await w.see("From elsewhere")
        assert [message.content for message in branch()] == ["One", "One", "From elsewhere", "Heard.", "Two", "Two"]
        with Store.open(tiny.database) as other:
            other.delete_conversation(current.id)
        await w.answered("Three")
        await w.hear("This conversation was deleted elsewhere")
        await w.not_see("From elsewhere")

    window(story)
    assert [message.content for message in branch()] == ["Three", "Three"]


@pytest.mark.usefixtures("slow")
def test_a_conversation_deleted_while_it_is_answered_is_gone_without_a_complaint(
    window: Tell, says: dict[str, str], tiny: Paths
) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        await w.see("word2")
        await w.write("/delete")
        await w.hear("“Count” is deleted: /undo brings it back, until you leave.")
        await w.until(lambda: not w.app.bridge.replying)
        await w.until(lambda: not w.app.chat.talk.views)
        assert all("deleted" in each for each in w.told)
        assert w.prompt.text == ""
        w.app.post_message(events.Key("x", "x"))
        await w.until(lambda: w.prompt.text == "x")

    window(story)
    with Store.open(tiny.database) as store:
        assert store.conversations() == []


# A home that cannot be used


@pytest.mark.parametrize("mistake", ['theme = "pink"', "temperature = [", 'model = "no-such-base"'])
def test_why_there_can_be_no_chat_stays_to_be_read(window: Tell, tiny: Paths, mistake: str) -> None:
    async def story(w: Window) -> None:
        await w.see("✗")
        w.app.clear_notifications()
        await w.see("config.toml" if "base" not in mistake else "no-such-base")
        assert not w.told
        await w.write("Hello")
        await w.until(lambda: w.prompt.text == "Hello")
        await w.press("ctrl+c")
        assert w.prompt.text == ""
        await w.press("up")
        assert w.prompt.text == "Hello"
        await w.write("/quit")
        await w.until(lambda: w.app._exit)

    window(story, prepared=lambda: tiny.config.write_text(mistake, encoding="utf-8"))


def test_no_more_than_a_few_sentences_stand_over_the_talk(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        for number in range(7):
            w.app.tell(f"Sentence {number}.")
        await w.pilot.pause()
        assert w.told == ["Sentence 4.", "Sentence 5.", "Sentence 6."]

    window(story)
