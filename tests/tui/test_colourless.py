"""With NO_COLOR no colour reaches the terminal, and what is chosen can be seen all the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from lora_chat.paths import Paths
from lora_chat.tui.colourless import Colourless, colourless
from tests.tui.conftest import Tell, Window, idle

COLOURS = re.compile(r"\x1b\[(?:[0-9;:]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;:]*)?m")
"""Any SGR sequence that sets a colour."""


def test_nothing_but_attributes_is_left_of_a_style() -> None:
    style = Style(color="#ff0000", bgcolor="#101010", bold=True, italic=True, underline=True, strike=True)
    assert colourless(style) == Style(bold=True, italic=True, underline=True, strike=True)
    assert colourless(Style(color="red", bgcolor="#ffffff")) == Style(reverse=True)
    assert colourless(Style(bgcolor="#ffffff", reverse=True)) == Style()
    assert colourless(Style(color="red", meta={"offset": (1, 2)})).meta == {"offset": (1, 2)}
    line = [Segment("a", Style(color="red")), Segment("b"), Segment("c", None)]
    assert Colourless().apply(line, Color.parse("black")) == [Segment("a", Style()), Segment("b"), Segment("c", None)]


def test_a_window_without_colours_has_the_theme_that_has_none(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/theme light")
        await w.hear("NO_COLOR is set")
        assert w.app.theme == "lora-mono"
        await w.answered("Hello")
        await idle(w)
        await w.press("escape")
        await w.until(lambda: w.app.chat.talk.selected is not None)
        head = w.app.chat.talk.views[-1].query_one("Head")
        assert head.visual_style.reverse

    window(story)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("value", ["1", ""])
def test_no_colour_code_reaches_a_real_terminal(tiny: Paths, value: str) -> None:
    from tests.cli.conftest import environment
    from tests.terminal import Window as Real

    program = (
        "from lora_chat.cli import main; from lora_chat.engine.echo import EchoEngine; "
        "from lora_chat.services import Services; "
        "Services.engine_beside = lambda self, base: EchoEngine(base); main()"
    )
    # What a test's window has set for itself is not the program's.
    more = {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "TERM": "xterm-256color"}
    found = Real([sys.executable, "-c", program], environment(tiny, **more) | {"NO_COLOR": value})
    try:
        found.see("enter chat", 20)
        found.type("\r")
        found.see("every command", 20)
        found.type("Say **this**\r")
        found.see("2 tokens", 20)
        found.type("\x11")
        assert found.end(60) == 0
    finally:
        found.close()
    assert "\x1b[1m" in found.screen or "\x1b[7m" in found.screen, "attributes are kept"
    assert COLOURS.findall(found.screen) == []
