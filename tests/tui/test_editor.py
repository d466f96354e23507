"""The prompt in the person's own editor: the terminal is left to it, and the window comes back with what it wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from lora_chat.paths import Paths
from tests.cli.conftest import Kept, command, environment
from tests.tui.conftest import Tell, Window

if os.name != "posix":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from tests.terminal import Window as Terminal

FAILED = "ended with code 1: the prompt is as it was."


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """Waits for Enter at the terminal, writes behind the text, and fails where that says so."""
    made = tmp_path / "my-editor"
    made.write_text(
        '#!/bin/sh\nprintf "EDITING "; cat "$1"; read answer\nif grep -q fail "$1"; then exit 1; fi\n'
        'printf " and this\\nfrom the editor\\n" >> "$1"\n',
        "utf-8",
    )
    made.chmod(0o755)
    return made


@pytest.fixture
def terminal(tiny: Paths, editor: Path) -> Iterator[Terminal]:
    opened = Terminal(command(), environment(tiny) | {"VISUAL": str(editor)})
    opened.see("teach me")
    opened.type("\r")
    opened.see("sends;")
    yield opened
    opened.close()


def test_the_terminal_is_left_to_it_and_the_window_comes_back(terminal: Terminal, kept: Kept) -> None:
    terminal.type("this")
    terminal.see("› this")
    terminal.type("\x1bOS")
    terminal.see("EDITING this")
    assert terminal.screen.rfind("\x1b[?1049l") > terminal.screen.rfind("\x1b[?1049h"), "it has a screen of its own"
    terminal.type("\n")
    terminal.see("this and this")
    terminal.see("from the editor")
    assert terminal.screen.rfind("\x1b[?1049h") > terminal.screen.rfind("\x1b[?1049l")
    terminal.type(", fail")
    terminal.see("from the editor, fail")
    terminal.type("\x1bOS")
    terminal.see("EDITING")
    terminal.type("\n")
    terminal.see(FAILED)
    terminal.see("from the editor, fail")
    terminal.type("\x11")
    assert terminal.end() == 0
    assert not kept.conversations


def test_without_one_that_is_said_and_nothing_is_lost(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)

    async def story(w: Window) -> None:
        await w.ready()
        await w.type("words")
        await w.press("f4")
        await w.hear("Neither VISUAL nor EDITOR names an editor")
        monkeypatch.setenv("EDITOR", "cat")
        await w.press("f4")
        await w.hear("The window cannot leave this terminal to an editor")
        assert w.prompt.text == "words"
        monkeypatch.setattr(w.app, "suspend", nullcontext)
        monkeypatch.setenv("EDITOR", "false")
        await w.press("f4")
        await w.hear("false ended with code 1")
        assert w.prompt.text == "words"
        monkeypatch.setenv("EDITOR", "sed -i s/words/others/")
        await w.press("f4")
        await w.until(lambda: w.prompt.text == "others")
        assert w.prompt.has_focus

    window(story)
