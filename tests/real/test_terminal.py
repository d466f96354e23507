"""The whole loop in the installed program at a real terminal, with the real model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from lora_chat.paths import Paths

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from tests.terminal import Window

pytestmark = [pytest.mark.real, pytest.mark.network]

QUESTION = "Where is your shop?"
WANTED = "Our shop is at 12 Harbour Street."
REWORDED = "Can you tell me where your shop is?"
SUPPORT = "How do I return an order?"


class Open(Protocol):
    """Starts the program at a terminal of its own."""

    def __call__(self) -> Window: ...


@pytest.fixture
def terminal(real_home: Paths, tmp_path: Path) -> Iterator[Open]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "models").symlink_to(real_home.models, target_is_directory=True)
    (home / "config.toml").write_text("temperature = 0.0\nmax_tokens = 60\n", encoding="utf-8")
    opened: list[Window] = []

    def start() -> Window:
        command = [str(Path(sys.executable).with_name("lora-chat"))]
        opened.append(Window(command, os.environ | {"LORA_CHAT_HOME": str(home)}))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def answered(window: Window, question: str) -> str:
    """Say ``question``; what the answer under it says, once it is whole."""
    window.say(question)
    window.see("esc stop", 60)
    window.not_see("esc stop", 120)
    return window.shown.rsplit(question, 1)[1].split("─" * 10)[0]


def test_chat_switch_train_wear_quit_and_find_everything_again(terminal: Open) -> None:
    window = terminal()
    window.see("teach me")
    window.type("\r")
    window.see("Enter")

    assert "12 Harbour Street" not in answered(window, QUESTION)

    window.say(f"/edit {WANTED}")
    window.see("you wrote in place of an answer")
    window.say("/adapter use support-bot")
    window.see("▎support-bot ›")
    assert "30 days" in answered(window, SUPPORT)

    window.say("/adapter off")
    window.not_see("▎support-bot ›")
    window.say("/train from-history shop")
    window.see("Train from history → shop", 60)
    window.see("1 edited")
    window.type("\r")
    window.see("training shop", 30)
    window.see("shop is ready", 400)
    window.see("Base")
    window.type("\r")  # wear it
    window.see("▎shop ›")
    window.say("/new")
    window.see("two minutes through the whole loop")
    window.say("/adapter use shop")
    window.see("▎shop ›")
    assert "12 Harbour Street" in answered(window, REWORDED)
    window.type("\x11")  # ctrl+q
    assert window.end() == 0

    again = terminal()
    again.see(REWORDED[:20])
    again.say("/search Harbour")
    again.see(WANTED)
    again.type("\x1b")
    again.not_see("Search everything")
    again.type("\x0c")  # ctrl+l: the list
    again.see("enter open")
    again.open_with("\r", "▎shop ›")  # the newest conversation
    again.see("12 Harbour Street")
    again.see("enter send")
    again.type("\x0c")
    again.see("enter open")
    again.type("\x1b[B\r")  # and the one before it
    again.see("you wrote in place of an answer")
    again.see("30 days")
    assert "▎shop ›" in again.shown, "it was worn here from the report"
    assert "12 Harbour Street" in answered(again, REWORDED)
    again.type("\x11")
    assert again.end() == 0
