"""The keys line, the loss curve and the columns, alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Button

from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.widgets.badge import Badge
from lora_chat.tui.widgets.columns import Column, Columns, facts
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.loss_curve import LossCurve, bars
from lora_chat.tui.widgets.status_line import StatusLine, figures_of
from tests.tui.examples import Seat, looks, progress, show

# Keys


class Keys(Screen[str]):
    """Three keys shown, one not, one that does nothing now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "dismiss('a')", "start", id="a"),
        Binding("space,x", "dismiss('b')", "exclude", id="b"),
        Binding("f5", "dismiss('c')", "hidden", show=False, id="c"),
        Binding("f6", "dismiss('d')", "idle", id="d"),
        Binding("ctrl+s", "dismiss('e')", "save", id="e"),
    ]

    can = False

    def compose(self) -> ComposeResult:
        yield KeysLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.can or parameters != ("d",)


def test_the_keys_line_follows_the_bindings() -> None:
    async def story(seat: Seat) -> None:
        await seat.rests()
        assert seat.keys == "enter start · space exclude · ctrl+s save"
        screen = seat.app.screen
        assert isinstance(screen, Keys)
        screen.can = True
        screen.refresh_bindings()
        await seat.rests()
        assert seat.keys == "enter start · space exclude · f6 idle · ctrl+s save"
        await screen.mount(Button("x"))
        screen.query_one(Button).focus()
        await seat.rests()
        assert "enter start" not in seat.keys, "the button takes it"

    show(Keys(), story)


def test_where_there_is_no_room_the_last_keys_are_left_out() -> None:
    async def story(seat: Seat) -> None:
        await seat.rests()
        assert seat.keys == "enter start · space exclude"

    show(Keys(), story, (32, 5))


class Left(Screen[str]):
    """With a way back as its last key."""

    BINDINGS: ClassVar[list[BindingType]] = [*Keys.BINDINGS, Binding("escape", "dismiss", "back", id="f")]

    def compose(self) -> ComposeResult:
        yield KeysLine()


def test_the_way_back_is_the_last_to_be_left_out() -> None:
    async def story(seat: Seat) -> None:
        await seat.rests()
        assert seat.keys == "enter start · esc back", "not enter start · space exclude"

    show(Left(), story, (32, 5))


def test_a_click_on_a_key_is_that_key() -> None:
    async def story(seat: Seat) -> None:
        line = (await seat.rests()).splitlines()[0]
        await seat.pilot.click(KeysLine, offset=(line.index("exclude"), 0))
        await seat.rests()

    assert show(Keys(), story)[0] == ["b"]


def test_under_a_panel_no_keys_are_shown_that_do_nothing_there() -> None:
    async def story(seat: Seat) -> None:
        assert "exclude" in await seat.rests()
        await seat.app.push_screen(ConfirmScreen("Delete it?"))
        seen = await seat.rests()
        assert "exclude" not in seen
        assert "Delete it?" in seen
        await seat.press("escape")
        assert "exclude" in seat.text

    show(Keys(), story)


# The figures


def answer(**known: Any) -> Message:
    values: dict[str, Any] = {"tokens_per_second": 31.4, "first_token_ms": 210.0, "generated_tokens": 41}
    return Message(1, "c", None, Role.ASSISTANT, "Yes.", Status.DONE, 0.0, **(values | known))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "31 tok/s · first 0.2 s"),
        ({"tokens_per_second": 3.26, "first_token_ms": None}, "3.3 tok/s"),
        ({"tokens_per_second": None, "first_token_ms": None}, ""),
    ],
)
def test_figures_are_what_was_measured(known: dict[str, Any], said: str) -> None:
    assert figures_of(answer(**known)) == said


class Line(Screen[None]):
    """The line under the prompt."""

    def compose(self) -> ComposeResult:
        yield StatusLine()

    def on_mount(self) -> None:
        line = self.query_one(StatusLine)
        line.show(answer())
        line.training = progress()


@pytest.mark.parametrize(("columns", "both"), [(80, False), (160, True)])
def test_a_training_stands_beside_the_figures_where_there_is_room(columns: int, both: bool) -> None:
    seen = looks(Line(), (columns, 3))
    assert "training pirate-2" in seen
    assert ("step 3/60 · loss 0.61 · at most 1:10 left" if both else "3/60 · at most 1:10 left") in seen
    assert ("31 tok/s · first 0.2 s" in seen) is both


# The curve


class Curve(Screen[None]):
    """One curve as large as the window."""

    def __init__(self, losses: Sequence[float], heldout: Sequence[tuple[int, float]]) -> None:
        super().__init__()
        self._points = losses, heldout

    def compose(self) -> ComposeResult:
        yield LossCurve()

    def on_mount(self) -> None:
        self.query_one(LossCurve).show(*self._points)


def drawn(losses: Sequence[float], size: tuple[int, int], heldout: Sequence[tuple[int, float]] = ()) -> list[str]:
    seen: list[str] = []

    async def story(seat: Seat) -> None:
        seen.extend((await seat.rests()).splitlines())

    show(Curve(losses, heldout), story, size)
    return seen


def braille(lines: Sequence[str]) -> list[tuple[int, int]]:
    return [(row, at) for row, line in enumerate(lines) for at, sign in enumerate(line) if "⠀" < sign <= "⣿"]


def test_no_loss_draws_nothing() -> None:
    assert "".join(drawn([], (40, 8))).strip() == ""
    assert "".join(drawn([math.nan, math.inf], (40, 1))).strip() == ""


def test_one_loss_is_a_dot_between_two_labels() -> None:
    lines = drawn([2.5], (40, 8))
    assert len(braille(lines)) == 1
    assert "3.00" in lines[0]
    assert "step 1" in lines[-1]


def test_two_losses_are_a_line_from_corner_to_corner() -> None:
    lines = drawn([3.0, 1.0], (40, 8))
    cells = braille(lines)
    assert "3.00 ┤" in lines[0]
    assert "0.00 ┤" in lines[6]
    assert cells[0][0] == 0
    assert {at for _, at in cells} == set(range(6, 40))


def test_many_losses_fill_the_width_and_fall() -> None:
    lines = drawn([4 * math.exp(-step / 100) for step in range(500)], (60, 12))
    cells = braille(lines)
    assert {at for _, at in cells} == set(range(6, 60))
    assert [row for row, at in cells if at == 59] == [10]
    assert lines[-1].split() == ["1", "step", "500"]


def test_what_is_no_number_leaves_a_gap_in_nothing() -> None:
    assert braille(drawn([3.0, math.nan, 1.0], (40, 8)))


def test_held_out_losses_are_rings_and_explained() -> None:
    lines = drawn([3.0, 2.0, 1.0], (60, 8), [(0, 3.0), (3, 1.5)])
    assert sum(line.count("○") for line in lines[:-1]) == 2
    assert "─ train   ○ held out" in lines[-1]


@pytest.mark.parametrize(("count", "width"), [(1, 10), (10, 10), (500, 10), (3, 1)])
def test_one_row_is_bars(count: int, width: int) -> None:
    losses = [1 / (step + 1) for step in range(count)]
    assert len(bars(losses, width)) == min(count, width)
    assert bars(losses, width)[0] == "█"
    assert drawn(losses, (width, 1))[0] == bars(losses, width)


def test_bars_of_nothing_and_of_zeros() -> None:
    assert bars([], 5) == ""
    assert bars([0.0, 0.0], 5) == "▁▁"


# Columns


@pytest.mark.parametrize("width", [12, 40, 79])
def test_columns_fill_the_width_and_wide_letters_count_twice(width: int) -> None:
    columns = Columns(
        [Column(6), Column(wraps=True), Column(4, right=True)], [("日本語で書く", "a b " * 20, "1"), ("", "", "")]
    )
    lines = columns.lines(width)
    assert {line.cell_length for line in lines} == {max(width, 15)}
    assert lines[0].plain.startswith("日本 …")
    assert lines[-1].plain.strip() == ""


def test_facts_keep_their_lines_and_align() -> None:
    plain = [line.plain.rstrip() for line in facts([("a", "one\ntwo"), ("long", Content("three"))]).lines(30)]
    assert plain == ["a      one", "       two", "long   three"]


# The badge


class Wearing(Screen[None]):
    """A mixture, worn."""

    def compose(self) -> ComposeResult:
        badge = Badge()
        badge.adapter = "support-bot=0.7+pirate=0.3"
        yield badge


@pytest.mark.parametrize(("columns", "said"), [(80, "▎support-bot=0.7+pirate=0.3 ›"), (40, "▎support-bot=0.7… ›")])
def test_a_mixture_names_all_of_its_parts_where_a_third_of_the_width_is_enough(columns: int, said: str) -> None:
    assert said in looks(Wearing(), (columns, 5))
