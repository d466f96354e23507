"""Every command and key. Owns their layout; the commands are the one table's, the keys the app's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.sitting.commands import COMMANDS, Command
from lora_chat.text import clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.columns import Cell, Column, Columns, widest
from lora_chat.tui.widgets.pane import Pane

_WIDEST = 28


class HelpScreen(PanelScreen[None]):
    """Commands by group, then keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "close", id="help.close"),
    ]

    def __init__(self, keys: Sequence[tuple[str, str]], more: Sequence[Command] = ()) -> None:
        """``more`` is what plugins add."""
        super().__init__(tr("Help"), tr("a message that begins with / takes two: //"))
        self._commands = [*COMMANDS, *more]
        self._keys = [(clean_line(tr(key)), clean_line(does)) for key, does in keys]

    def body(self) -> ComposeResult:
        """All of it, aligned."""
        rows = [*_rows(self._commands), *_group("Keys", self._keys)][:-1]
        width = widest([name for name, _ in [*((each.usage, "") for each in self._commands), *self._keys]], _WIDEST)
        with Pane():
            yield Static(Columns((Column(width, wraps=True), Column(wraps=True)), rows))


def _rows(commands: Sequence[Command]) -> list[tuple[Cell, Cell]]:
    places = list(dict.fromkeys(each.group for each in commands))  # in the table's order
    grouped = groupby(sorted(commands, key=lambda each: places.index(each.group)), key=lambda each: each.group)
    return [
        row for group, found in grouped for row in _group(group, [(each.usage, each.help) for each in found])
    ]  # fmt: skip


def _group(name: str, rows: Sequence[tuple[str, str]]) -> list[tuple[Cell, Cell]]:
    told: list[tuple[Cell, Cell]] = [(row, Content.styled(tr(does), "$text-muted")) for row, does in rows]
    return [(Content.styled(tr(name), "bold"), ""), *told, ("", "")]
