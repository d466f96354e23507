"""Commands of plugins as they are typed in the window."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Static

from lora_chat.paths import Paths
from lora_chat.plugins import limits
from lora_chat.sitting.plugins import taken
from lora_chat.tui.app import LoraChatApp
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.help import HelpScreen
from lora_chat.tui.screens.text import TextScreen
from lora_chat.tui.widgets.completions import Completions
from tests.plugins.conftest import BREAKS, COMMAND, HANGS, TWO, Enable, state
from tests.plugins.conftest import enable as enable  # a fixture
from tests.tui.conftest import Branch, Tell, Window, texts


def waits_for(gate: Path) -> str:
    return f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"


def test_a_line_stands_over_the_talk_with_whose_it_is(window: Tell, enable: Enable) -> None:
    enable("return f'{call.text or \"nothing\"} on {call.base} in {call.adapter} \\x1b[31m[b]'")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do this  thing ")
        await w.hear("/do: this  thing on tiny-llama in None [31m[b]")
        await w.write("/do")
        await w.hear("/do: nothing on")
        assert w.prompt.text == ""
        assert not w.app.chat.talk.views

    window(story)


def test_one_that_gives_nothing_says_that_it_has_run(window: Tell, enable: Enable) -> None:
    enable("return None")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do")
        await w.hear("/do has run and said nothing.")

    window(story)


def test_more_than_a_line_is_a_panel_and_is_shown_as_it_is(window: Tell, enable: Enable) -> None:
    enable("yield 'first [red]line[/red]'\nyield '\\x1b[2J\\u202e**second**\\n' + 'x' * 300")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do")
        await w.until(lambda: isinstance(w.app.screen, TextScreen))
        await w.see("first [red]line[/red]")
        await w.see("[2J**second**")
        await w.see("by the plugin doer")
        shown = str(w.app.screen.query_one("Pane Static", Static).content)
        assert shown == "first [red]line[/red]\n[2J**second**\n" + "x" * 300
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story)


def test_a_panel_waits_for_a_question_to_be_answered_and_takes_none_of_its_keys(
    window: Tell, enable: Enable, tmp_path: Path
) -> None:
    enable(waits_for(tmp_path / "gate") + "yield 'first\\nsecond'")
    answers: list[bool | None] = []

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do")
        await w.until(lambda: w.app.bridge.on_errand)
        w.app.push_screen(ConfirmScreen("Is it so?"), answers.append)
        w.app.push_screen(ConfirmScreen("And this?", loses=True), answers.append)
        await w.see("And this?")
        (tmp_path / "gate").touch()
        await w.hear("/do has run: what it gave is shown once this is closed.")
        await w.press("enter")
        await w.until(lambda: answers == [False])
        await w.see("Is it so?")
        await w.press("y")
        await w.until(lambda: isinstance(w.app.screen, TextScreen))
        assert answers == [False, True]
        await w.see("second")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.pilot.pause(0.1)
        assert w.app.screen is w.app.chat

    window(story)


def test_it_is_told_what_is_shown_and_nothing_of_it_is_kept(
    window: Tell,
    enable: Enable,
    branch: Branch,
    says: dict[str, str],
) -> None:
    enable(TWO)
    says["hello"] = "Good day."

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.write("/do")
        await w.until(lambda: isinstance(w.app.screen, TextScreen))
        await w.see("2 said")
        await w.see("hello Good day.")
        await w.press("q")

    window(story)
    assert texts(branch) == ["hello", "Good day."]


def test_what_it_writes_stands_in_the_prompt_before_what_is_there_and_waits(
    window: Tell, enable: Enable, branch: Branch, tmp_path: Path
) -> None:
    enable(waits_for(tmp_path / "gate") + "return Write('Explain it.')")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do")
        await w.until(lambda: w.app.bridge.on_errand)
        await w.type("Later words")
        (tmp_path / "gate").touch()
        await w.until(lambda: w.prompt.text == "Explain it.\nLater words")
        assert not w.app.chat.talk.views
        await w.press("enter")
        await w.until(lambda: w.app.chat.answer is not None)

    window(story)
    assert texts(branch)[0] == "Explain it.\nLater words"


def test_what_it_says_is_answered_and_takes_no_file_along(
    window: Tell,
    enable: Enable,
    branch: Branch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    enable("return Say(f'Look at @secret.txt {call.text}')")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do now")
        await w.until(lambda: w.app.chat.answer is not None and not w.app.bridge.replying)

    window(story)
    assert texts(branch)[0] == "Look at @secret.txt now"


@pytest.mark.usefixtures("slow")
def test_what_cannot_be_said_while_an_answer_comes_stands_in_the_prompt(
    window: Tell,
    enable: Enable,
    branch: Branch,
) -> None:
    enable("yield 'one'\nyield Say('Good day')")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write(" ".join(["word"] * 60))
        await w.until(lambda: w.app.bridge.replying)
        await w.write("/do")
        await w.hear("/do: one")
        await w.hear("An answer is still being written")
        await w.until(lambda: w.prompt.text == "Good day")
        await w.press("escape")
        await w.until(lambda: not w.app.bridge.replying)

    window(story)
    assert len(branch()) == 2


def test_what_is_of_another_conversation_is_not_said_here(
    window: Tell,
    enable: Enable,
    branch: Branch,
    tmp_path: Path,
) -> None:
    enable(waits_for(tmp_path / "gate") + "return Say('Good day')")

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.write("/do")
        await w.until(lambda: w.app.bridge.on_errand)
        await w.write("/new")
        await w.until(lambda: not w.app.chat.talk.views)
        (tmp_path / "gate").touch()
        await w.hear("What /do wanted to say stands in the prompt: it is of another conversation.")
        await w.until(lambda: w.prompt.text == "Good day")

    window(story)
    assert texts(branch)[0] == "hello"


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
def test_a_key_stops_it_the_chat_goes_on_meanwhile_and_it_stays_on(
    window: Tell,
    enable: Enable,
    tiny: Paths,
    branch: Branch,
    key: str,
) -> None:
    enable(HANGS)

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/do")
        await w.see("esc stop")
        await w.hear("/do is at work: esc stops it.")
        await w.write("/do again")
        await w.hear("/do is still at work: esc stops it.")
        await w.answered("hello")
        assert w.app.bridge.on_errand
        await w.press(key)
        await w.hear("/do is stopped.")
        await w.hear("/do: one")
        await w.not_see("esc stop")
        assert not w.app.bridge.on_errand

    window(story)
    assert texts(branch)[0] == "hello"
    assert len(branch()) == 2
    assert state(tiny) == ("on", "")


def test_a_window_that_closes_ends_it_and_it_stays_on(window: Tell, enable: Enable, tiny: Paths) -> None:
    enable(HANGS)
    seen: list[LoraChatApp] = []

    async def story(w: Window) -> None:
        await w.ready()
        seen.append(w.app)
        await w.write("/do")
        await w.until(lambda: w.app.bridge.on_errand)
        await w.until(lambda: w.app.bridge._services and w.app.bridge._services.plugins._running)

    window(story)
    for thread in [each for each in threading.enumerate() if each.name == "errand"]:
        thread.join(10)
    assert state(tiny) == ("on", "")
    assert seen[0].bridge._services is not None
    assert seen[0].bridge._services.plugins._running == {}


@pytest.mark.parametrize(("body", "said"), BREAKS.items(), ids=range(len(BREAKS)))
def test_one_that_breaks_is_told_of_and_completed_no_more(
    window: Tell,
    enable: Enable,
    tiny: Paths,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    said: str,
) -> None:
    enable(body)
    if "no sign" in said:
        monkeypatch.setattr(limits, "STEP_S", 0.5)

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: w.app.chat.asking.commands)
        await w.write("/do")
        if "printed" not in said:  # which is looked for before what came
            await w.hear("/do: one")
        await w.hear(f"The plugin doer is switched off: {said}")
        await w.until(lambda: not w.app.chat.asking.commands)
        await w.write("/do")
        await w.hear("/do is a command of the plugin doer, which does not run: it ")
        await w.answered("hello")

    window(story)
    assert state(tiny)[0] == "switched off"


def test_it_is_completed_in_the_palette_and_in_the_help_while_it_is_enabled(
    window: Tell,
    enable: Enable,
    tiny: Paths,
) -> None:
    enable("return 'x'")

    async def story(w: Window) -> None:
        await w.ready()
        offered = w.app.chat.query_one(Completions)
        await w.type("/do")
        assert offered.chosen is None, "it is whole"
        await w.press("backspace")
        await w.see("/do [TEXT]")
        await w.see("helps, by the plugin doer")
        await w.press("backspace", "backspace")
        await w.press("ctrl+p")
        await w.until(lambda: isinstance(w.app.screen, CommandPalette))
        await w.type("/do")
        await w.see("[TEXT]: helps, by the plugin doer")
        await w.press("enter")
        await w.hear("/do: x")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/help")
        await w.until(lambda: isinstance(w.app.screen, HelpScreen) and w.app.screen.query("Pane Static"))
        rows = [(str(name), str(does)) for name, does in w.app.screen.query_one("Pane Static").visual._rows]  # type: ignore[attr-defined]
        at = rows.index(("Plugins", ""))
        assert rows[at + 1] == ("/do [TEXT]", "helps, by the plugin doer")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/plugin disable doer")
        await w.until(lambda: not w.app.chat.asking.commands)
        await w.write("/do")
        await w.hear("which does not run: you disabled it; /plugin enable doer has it.")

    window(story, (100, 40))


def test_what_looks_like_markup_in_its_help_is_shown_as_it_is(
    window: Tell, enable: Enable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.plugins.conftest.COMMAND", COMMAND.replace("helps", "[b]ends[/i] [x"))
    enable("return 'x'")

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: w.app.chat.asking.commands)
        await w.press("ctrl+p")
        await w.until(lambda: isinstance(w.app.screen, CommandPalette))
        await w.type("/do")
        await w.see("[TEXT]: [b]ends[/i] [x, by the plugin doer")

    window(story, (100, 40))


def test_a_mistyped_one_names_it_and_one_that_takes_nothing_says_so(window: Tell, enable: Enable) -> None:
    folder = enable("return 'x'", name="wordcount")
    source = (folder / "plugin.py").read_text("utf-8")
    (folder / "plugin.py").write_text(source.replace(', "[TEXT]"', ""), "utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/wordcount")
        await w.hear("/wordcount is a command of the plugin doer, which does not run: its files are others than those")
        w.app.bridge.run(lambda sitting: sitting.services.plugins.enable("doer", lambda _: True, taken()))
        await w.write("/wordcuont")
        await w.hear("There is no /wordcuont; did you mean /wordcount?")
        await w.write("/wordcount all")
        await w.hear("/wordcount takes nothing behind it")
        await w.until(lambda: w.prompt.text == "/wordcount all")

    window(story)


def test_the_safe_mode_has_none(window: Tell, enable: Enable, monkeypatch: pytest.MonkeyPatch) -> None:
    enable("return 'x'")
    monkeypatch.setenv("LORA_CHAT_SAFE_MODE", "1")

    async def story(w: Window) -> None:
        await w.ready()
        assert not w.app.chat.asking.commands
        await w.write("/do")
        await w.hear("This is the safe mode, which runs no plugin, and /do is of doer: start without it.")

    window(story)


def test_in_chinese_only_its_own_words_stay_as_they_are(window: Tell, enable: Enable) -> None:
    from lora_chat import language

    enable(HANGS.replace("'one'", "'wear one in this conversation'"))

    async def story(w: Window) -> None:
        await w.ready()
        await w.until(lambda: w.app.chat.asking.commands)
        await w.type("/d")
        await w.see("/do [TEXT]")
        await w.see("helps，由插件 doer 提供")
        await w.write("/do")
        await w.hear("/do 正在运行：按 esc 停止它。")
        await w.press("escape")
        await w.hear("/do 已停止。")
        await w.hear("/do: wear one in this conversation")

    language.speak("zh")
    try:
        window(story)
    finally:
        language.speak("en")
