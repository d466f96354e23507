"""Copying in the window: a key, a command, a selection; what the terminal is told, and what the person is."""

from __future__ import annotations

import base64
import os

import pytest

from lora_chat.paths import Paths
from lora_chat.tui.widgets.body import Body
from lora_chat.tui.widgets.transcript import Transcript
from tests.cli.conftest import command, environment
from tests.tui.conftest import Tell, Window

ELSEWHERE = {"DISPLAY", "WAYLAND_DISPLAY", "TMUX", "STY", "SSH_CONNECTION", "SSH_TTY", "TERM_PROGRAM"}
"""What would lead to another clipboard."""
CODE = "Run `it`:\n\n```sh\nls -l\n```"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal that knows OSC 52 is told beside the pictures."""
    from textual.drivers.headless_driver import HeadlessDriver

    told: list[str] = []
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("STY", raising=False)
    monkeypatch.delenv("TERM_PROGRAM", raising=False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda self, data: told.append(data))
    return told


def copied(terminal: list[str]) -> list[str]:
    """What was put on the clipboard."""
    begin, end = "\x1b]52;c;", "\x07"
    told = [each for each in terminal if each.startswith(begin)]
    return [base64.b64decode(each.removeprefix(begin).removesuffix(end)).decode() for each in told]


def test_c_copies_the_chosen_message_and_says_how(window: Tell, terminal: list[str]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("How?")
        await w.write(f"/edit {CODE}")
        await w.see("‹2/2›")
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.press("c")
        await w.hear(f"Copied {len(CODE)} characters through the terminal (OSC 52).")
        await w.press("up", "c")
        await w.hear("Copied 4 characters through the terminal (OSC 52).")

    window(story)
    assert copied(terminal) == [CODE, "How?"]


def test_one_of_several_blocks_is_copied_by_its_number_and_by_the_mouse(window: Tell, terminal: list[str]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("How?")
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.type("2")  # no key where there is no code
        await w.until(lambda: w.prompt.text == "2")
        await w.press("ctrl+c")
        await w.write(f"/edit {CODE} and ```py")
        await w.see("‹2/2›")
        text = f"{CODE}\n\nor\n\n```py\nx = 1\n```"
        w.app.bridge.run(lambda sitting: sitting.edit(sitting.last_answer(), text))
        await w.see("py · 2 · copy")
        await w.see("sh · 1 · copy")
        await w.write("/copy code 1")
        await w.until(lambda: copied(terminal) == ["ls -l"])
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.focused, Transcript))
        await w.press("2")
        await w.until(lambda: copied(terminal) == ["ls -l", "x = 1"])
        body = w.app.chat.talk.views[-1].query_one(Body)
        y = next(y for y in range(body.size.height) if "sh · 1" in body.render_line(y).text)
        await w.pilot.click(body, offset=(2, y))
        await w.until(lambda: copied(terminal) == ["ls -l", "x = 1", "ls -l"])
        await w.write("/copy code 3")
        await w.hear("The last answer with code has 2 blocks of it: /copy code 1 is the first.")

    window(story)


def test_the_command_copies_the_answer_its_code_or_all(window: Tell, terminal: list[str]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/copy")
        await w.hear("There is no answer yet")
        await w.answered("How?")
        await w.write(f"/edit {CODE}")
        await w.see("‹2/2›")
        for words in ("/copy", "/copy code", "/copy chat"):
            before = len(copied(terminal))
            await w.write(words)
            await w.until(lambda before=before: len(copied(terminal)) > before)  # type: ignore[misc]

    window(story)
    answer, code, chat = copied(terminal)
    assert (answer, code) == (CODE, "ls -l")
    assert chat == f"# How?\n\n## User\n\nHow?\n\n## Assistant\n\n{CODE}"


def test_what_is_selected_goes_the_same_way(window: Tell, terminal: list[str]) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.prompt.write("some words")
        w.prompt.select_all()
        await w.press("ctrl+c")
        await w.hear("Copied 10 characters through the terminal (OSC 52).")
        assert w.prompt.text == "some words"
        assert w.app.clipboard == "some words"

    window(story)
    assert copied(terminal) == ["some words"]


def test_without_a_clipboard_it_is_in_a_file_that_is_named(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Hello")
        await w.write("/copy")
        await w.hear(f"Copied 5 characters to {tiny.copied}: no clipboard takes them here.")

    window(story)
    assert tiny.copied.read_text("utf-8") == "Hello"


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_a_real_terminal_is_told_between_two_pictures(tiny: Paths) -> None:
    from tests.terminal import Window as Terminal

    mine = {name: value for name, value in environment(tiny).items() if name not in ELSEWHERE} | {"PATH": ""}
    terminal = Terminal(command(), mine)
    try:
        terminal.see("teach me")
        terminal.type("\r")
        terminal.see("sends;")
        terminal.type("some words")
        terminal.see("› some words")
        terminal.type("\x1b[18~\x03")  # f7, all of it, and ctrl+c
        terminal.see("Copied 10 characters through the terminal (OSC 52).")
        assert terminal.screen.count("\x1b]52;c;c29tZSB3b3Jkcw==\x07") == 1
        terminal.see("› some words")
        terminal.type("\x11")
        assert terminal.end() == 0
    finally:
        terminal.close()
