"""The whole window: the loop from the first start to a worn adapter, on the tiny base with the scripted engine."""

from __future__ import annotations

from lora_chat.paths import Paths
from tests.tui.conftest import Branch, Tell, Window


def test_the_first_start_welcomes_and_enter_is_the_chat(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.see("teach me")
        await w.press("enter")
        await w.see("Type a message")

    window(story)


def test_a_message_is_answered_shown_and_kept(window: Tell, says: dict[str, str], branch: Branch) -> None:
    says["Hello"] = "Good day to you."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.see("Good day to you.")
        await w.see("4 tokens")

    window(story)
    assert [message.content for message in branch()] == ["Hello", "Good day to you."]


def test_correct_train_see_and_wear(window: Tell, tiny: Paths, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where is your shop?")
        await w.press("ctrl+e")
        await w.see("The answer you wanted")
        await w.press("escape")
        w.app.bridge.take("/edit At 12 Harbour Street.")
        await w.see("At 12 Harbour Street.")
        w.app.bridge.take("/train from-history shop")
        await w.see("1 edited")
        await w.press("enter")
        await w.see("shop is ready")
        await w.press("enter")
        await w.see("▎shop")

    window(story, size=(120, 36))
    assert (tiny.adapters / "shop").is_dir()
    assert branch()[-1].edited_from is not None


def test_a_refusal_is_one_sentence_and_the_chat_goes_on(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.app.bridge.take("/adapter use nobody")
        await w.see("There is no adapter called")
        await w.answered("Hello")

    window(story)


def test_what_a_model_says_runs_nothing(window: Tell, says: dict[str, str]) -> None:
    says["Hello"] = "[@click=app.quit]x[/] [red]y[/ \x1b]52;c;aGk=\x07 \u202eevil"

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.see("[@click=app.quit]x[/]")
        assert not set("\x1b\x07\u202e") & set(w.text)

    window(story)
