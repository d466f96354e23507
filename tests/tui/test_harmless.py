"""Nothing steers the terminal, whatever a widget was given."""

from __future__ import annotations

import asyncio
import re
import timeit
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.color import Color
from textual.drivers.headless_driver import HeadlessDriver
from textual.filter import LineFilter
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from lora_chat.text import clean
from lora_chat.tui.harmless import Harmless, harmless

HOSTILE = [
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://x\x1b\\", "\x1bP+q\x1b\\",
    "\x1b_x\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x90", "\x00", "\x07\x08\x0b\x0c\x0e\x7f", "a\rb", "a\nb", "\tx",
    "\u202eevil", "\u2066x\u2069", "\u200e\u200f\u061c", "\u200b\ufeff\u2060", "\ufff9\ufffb", "\u2028\u2029",
    "\U000e0041\U000e007f", "\ud800", "日本\x1b語", "👩‍👩‍👧\x1b[31m",
]  # fmt: skip
BLACK = Color(0, 0, 0)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_text_becomes_harmless_and_keeps_its_width(text: str) -> None:
    done = harmless(text)
    assert clean(done) == done
    assert "\n" not in done
    assert "\t" not in done
    assert cell_len(done) == cell_len(text)


@pytest.mark.parametrize("text", ["plain", "naïve 日本語 👩‍👩‍👧 e\u0301", "┃▎‹2/3›", "\xa0", "नमस्\u200dते"])
def test_honest_text_stays(text: str) -> None:
    assert harmless(text) == text
    segments = [Segment(text, Style(bold=True))]
    assert Harmless().apply(segments, BLACK) == segments


def test_controls_and_hyperlinks_are_dropped() -> None:
    link = Style(link="http://x\x1b]0;t\x07", bold=True)
    [one, two] = Harmless().apply([Segment("a", link), Segment("b", None, [(1,)])], BLACK)  # type: ignore[list-item]
    assert one.style is not None
    assert (one.text, one.style.link, one.style.bold) == ("a", None, True)
    assert two == Segment("b")


def test_a_segment_costs_less_than_a_microsecond() -> None:
    segments = [Segment("a line of an answer, as most are", Style(color="red"))] * 1000
    filtered = Harmless()
    best = min(timeit.repeat(lambda: filtered.apply(segments, BLACK), number=1, repeat=20))
    assert best / 1000 < 1e-6


class Careless(Widget):
    """Draws whatever it is given, segment by segment, as no widget should."""

    DEFAULT_CSS = "Careless { height: 1; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(self._text), Segment("linked", Style(link="http://x\x1b]0;t\x07"))])


class Recording(HeadlessDriver):
    """A driver that keeps what it is told to write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written = ""

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.written += data


class Hostile(App[None]):
    def __init__(self) -> None:
        super().__init__(driver_class=Recording)
        self._harmless = Harmless()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._harmless]

    def compose(self) -> ComposeResult:
        for text in HOSTILE:
            yield Static(text, markup=False)
            yield Static(Text(text))
            yield Careless(text)


OWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]22;[a-z-]+\x07")
"""What Textual writes itself: colours, cursor moves, modes and the shape of the mouse pointer."""


def test_no_widget_can_make_the_app_write_a_hostile_character() -> None:
    app = Hostile()
    written: list[str] = []

    async def look(pilot: Pilot[object]) -> None:
        await pilot.pause(0.2)
        assert isinstance(app._driver, Recording)
        written.append(app._driver.written)
        app.exit()

    asyncio.run(app.run_async(headless=False, size=(60, 100), auto_pilot=look))
    shown = OWN.sub("", written[0])
    assert shown.count("linked") >= len(HOSTILE)
    assert clean(shown) == shown


def test_the_filter_is_what_makes_it_so() -> None:
    strip = Strip([Segment("\x1b[2J")])
    assert strip.apply_filter(Harmless(), BLACK).text == "[2J"
