"""What is done with answers and conversations: ask again, correct, judge, look elsewhere, come back."""

from __future__ import annotations

import pytest
from textual import events
from textual.widgets import TextArea

from lora_chat.chat.conversation import Rating, Status
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.widgets.conversation_list import ConversationList
from lora_chat.tui.widgets.transcript import Transcript
from tests.tui.conftest import LONG, Branch, Tell, Window, idle, texts

# What can be done with an answer


def test_retry_makes_a_sibling_and_the_arrows_switch_the_kept_branch(
    window: Tell, tiny: Paths, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.services import Services

    class Changing(EchoEngine):
        """Another answer each time."""

        asked = 0

        def _words(self, request, seed):  # type: ignore[no-untyped-def]
            self.asked += 1
            return [f"answer-{self.asked}"]

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Changing(base))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Which?")
        await w.see("answer-1")
        await idle(w)
        await w.press("ctrl+r")
        await w.see("answer-2")
        await w.see("‹2/2›")
        await idle(w)
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.press("left")
        await w.see("‹1/2›")
        assert "answer-1" in w.text
        assert texts(branch) == ["Which?", "answer-1"]
        await w.press("right")
        await w.see("‹2/2›")
        assert texts(branch) == ["Which?", "answer-2"]
        await w.press("ctrl+r")
        await w.see("‹3/3›")
        await idle(w)

    window(story)
    with Store.open(tiny.database) as store:
        kept = [message.content for message in store.messages(store.conversations()[0].id)]
    assert kept == ["Which?", "answer-1", "answer-2", "answer-3"]


def test_the_answer_that_takes_the_place_of_the_chosen_one_is_chosen(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Which?")
        await w.write("/edit Another")
        await w.see("‹2/2›")
        await w.press("escape", "left")
        await w.see("‹1/2›")
        await w.press("right")
        await w.see("‹2/2›", 1)

    window(story)


def test_ctrl_e_edits_into_the_wanted_answer_beside_the_old_one(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Where?"] = "No idea."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where?")
        await w.press("ctrl+e", "ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.pilot.pause(0.2)
        assert [type(screen) for screen in w.app.screen_stack].count(WriteAnswer) == 1
        assert w.app.screen.query_one(TextArea).text == "No idea."
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.press("ctrl+e")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        w.app.screen.query_one(TextArea).text = "At 12 Harbour Street."
        await w.press("ctrl+s")
        await w.see("you wrote in place of an answer")
        await w.see("‹2/2›")

    window(story)
    answer = branch()[-1]
    assert answer.content == "At 12 Harbour Street."
    assert (answer.edited_from, answer.adapter, answer.base) == (answer.id - 1, None, None)


def test_g_and_b_rate_the_chosen_answer_and_again_takes_it_back(window: Tell, branch: Branch) -> None:
    def rating() -> Rating | None:
        return branch()[-1].rating

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.press("escape", "g")
        await w.until(lambda: rating() is Rating.GOOD)
        await w.until(lambda: w.app.chat.talk.views[-1].shown.message.rating is Rating.GOOD)
        await w.press("b")
        await w.until(lambda: rating() is Rating.BAD)
        await w.until(lambda: w.app.chat.talk.views[-1].shown.message.rating is Rating.BAD)
        await w.press("b")
        await w.until(lambda: rating() is None)
        await w.press("escape")
        await w.until(lambda: w.prompt.has_focus)

    window(story)


# Elsewhere


@pytest.mark.usefixtures("slow")
def test_an_answer_is_whole_after_looking_elsewhere_meanwhile(window: Tell, says: dict[str, str], tiny: Paths) -> None:
    says["Count"] = " ".join(f"word{number}" for number in range(40))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("First")
        await w.press("ctrl+n")
        await w.not_see("First\n")
        await w.write("Count")
        await w.see("word2")
        counted = w.app.chat.answer
        assert counted is not None
        await w.write("/open " + str(w.app.chat.asking.conversations[-1][0]))
        await w.not_see("word2")
        await w.pilot.pause(0.3)
        assert "word" not in w.text
        await w.write(f"/open {counted.conversation}")
        await w.see("word2")
        await idle(w)
        await w.see("word39")
        shown = w.app.chat.talk.views[-1].text
        assert shown == says["Count"]
        assert w.app.chat.talk.views[-1].shown.message.status is Status.DONE

    window(story)


@pytest.mark.usefixtures("slow")
def test_a_new_conversation_right_after_enter_does_not_show_the_old_ones_answer(
    window: Tell, says: dict[str, str]
) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        for _ in range(3):
            await w.write("Count")
            w.app.chat.action_new()
            await w.until(lambda: w.app.chat._answering and not w.app.chat.talk.views)
            for _ in range(10):
                await w.pilot.pause(0.03)
                assert not w.app.chat.talk.views, w.text
            w.app.bridge.stop_reply()
            await idle(w)
            assert not w.app.chat.talk.views

    window(story)


def test_the_list_opens_renames_deletes_and_comes_over_the_talk_where_it_is_narrow(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("First thing")
        await w.press("ctrl+n")
        await w.answered("Second thing")
        assert "First thing" not in w.text
        await w.press("ctrl+l")
        await w.see("First thing")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        await w.press("down", "enter")
        await w.until(lambda: w.app.chat.talk.views[0].text == "First thing")
        await w.until(lambda: w.prompt.has_focus)
        await w.press("ctrl+l", "r")
        await w.until(lambda: w.prompt.text == "/rename First thing")
        await w.type("s")
        await w.press("enter")
        await w.hear("It is called First things now.")
        await w.press("ctrl+l", "up", "d")
        await w.hear("“Second thing” is deleted")
        await w.not_see("Second thing")
        assert w.app.chat.list.highlighted_option, "another one is looked at: the keys work on"
        await w.press("n")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.press("ctrl+l", "escape")
        await w.until(lambda: w.prompt.has_focus)

    window(story, (80, 24))


def test_whoever_writes_while_the_answers_have_the_focus_writes_in_the_prompt(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.press("escape")
        await w.until(lambda: w.app.chat.talk.has_focus)
        await w.type("big /train")
        await w.until(lambda: w.prompt.text == "big /train")
        assert w.prompt.has_focus
        w.prompt.write("")
        w.app.chat.talk.focus()
        await w.until(lambda: w.app.chat.talk.has_focus)
        for letter in "good":
            w.app.post_message(events.Key(letter, letter))
        w.app.post_message(events.Key("enter", None))  # in one burst
        await w.until(lambda: len(branch()) == 4)
        await idle(w)

    window(story)
    assert texts(branch) == ["Hello", "Hello", "good", "good"]
    assert branch()[1].rating is None


@pytest.mark.usefixtures("slow")
def test_what_cannot_be_sent_yet_stays_and_says_where_the_answer_is_written(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Count"] = LONG

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("Count")
        await w.see("word3")
        await w.write("More")
        await w.hear("An answer is still being written: esc stops it")
        assert w.prompt.text == "More"
        await w.press("ctrl+n")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.press("enter")
        await w.hear("An answer is still being written in another conversation: esc stops it")
        await w.press("escape")
        await idle(w)
        await w.answered("More")

    window(story)
    assert texts(branch) == ["More", "More"]
