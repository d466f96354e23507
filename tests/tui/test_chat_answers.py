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


def test_m_lets_the_last_answer_go_on_in_its_place_as_one_text(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["List"] = "one **two three** four"

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/set max_tokens 2")
        await w.hear("max_tokens is 2")
        await w.answered("List")
        await w.see("cut off at 2 tokens")
        await w.press("escape", "g")
        await w.until(lambda: branch()[-1].rating is Rating.GOOD)
        await w.press("m")
        await w.see("cut off at 4 tokens")
        await w.hear("The rating good was for the answer as it was")
        await w.see("one two three four")
        assert [view.text for view in w.app.chat.talk.views] == ["List", "one **two three** four"]
        assert w.app.chat.talk.selected is not None
        await w.press("up")
        await w.until(lambda: w.app.chat.talk.selected is not None and w.app.chat.talk.selected.is_question)
        assert not w.app.chat.talk.check_action("go_on", ())

    window(story)
    assert texts(branch) == ["List", "one **two three** four"]
    assert (branch()[-1].rating, branch()[-1].generated_tokens) == (None, 4)


@pytest.mark.usefixtures("slow")
def test_esc_stops_one_that_goes_on_and_keeps_what_came_and_it_goes_on_again(
    window: Tell, says: dict[str, str], branch: Branch
) -> None:
    says["Count"] = " ".join(str(number) for number in range(60))

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/set max_tokens 5")
        await w.hear("max_tokens is 5")
        await w.answered("Count")
        await w.see("cut off at 5 tokens")
        await w.write("/set max_tokens 100")
        await w.hear("max_tokens is 100")
        await w.write("/continue")
        await w.see("0 1 2 3 4 5 6 7 8")
        await w.write("/new")  # the answer goes on where nobody looks
        await w.see("every command")
        await w.write(f"/open {branch()[0].conversation}")
        await w.see("0 1 2 3 4 5 6 7 8 9 10")
        await w.press("escape")
        await w.see("stopped")
        assert branch()[-1].status is Status.STOPPED
        assert says["Count"].startswith(branch()[-1].content)
        assert branch()[-1].content in w.text.replace("\n", " ") or len(branch()[-1].content) > 60
        await w.write("/continue")
        await w.see("59")
        await idle(w)

    window(story)
    assert texts(branch) == ["Count", says["Count"]]
    assert branch()[-1].generated_tokens == 60


def test_what_cannot_go_on_is_said_and_stays_as_it_is(
    window: Tell, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.errors import EngineError
    from lora_chat.services import Services

    class Broken(EchoEngine):
        """It makes answers, and none goes on."""

        def generate(self, request, cancel=None):  # type: ignore[no-untyped-def]
            if request.continues:
                raise EngineError("The engine broke: try again.")
            yield from super().generate(request, cancel)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Broken(base))

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Which one?")
        before = branch()
        await w.write("/continue")
        await w.hear("The engine broke: try again.")
        await idle(w)
        assert branch() == before
        await w.until(lambda: not w.app.chat.talk.views[-1].shown.is_streaming)
        assert w.prompt.text == ""

    window(story)


def test_the_answer_that_takes_the_place_of_the_chosen_one_is_chosen(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Which?")
        await w.write("/edit Another")
        await w.see("‹2/2›")
        await w.press("escape", "left")
        await w.see("‹1/2›")
        await w.press("right")
        await w.see("‹2/2›")

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
        await w.until(lambda: [each.text for each in w.app.chat.talk.views][:1] == ["First thing"])
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
        await w.until(lambda: w.prompt.text == "")  # what was not sent stays with its own conversation
        await w.write("More")
        await w.hear("An answer is still being written in another conversation: esc stops it")
        await w.press("escape")
        await idle(w)
        await w.answered("More")

    window(story)
    assert texts(branch) == ["More", "More"]
