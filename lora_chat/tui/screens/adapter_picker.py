"""What can be worn. Owns the choice and its filter; wearing is others' work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from lora_chat.adapters.registry import Adapter, Catalog, Problem
from lora_chat.language import tr
from lora_chat.language.facts import tr_fact
from lora_chat.sitting.standing import Standing, standing_facts
from lora_chat.sitting.verbs import adapter_facts
from lora_chat.text import clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.screens.shelf import EMPTY, NO_MATCH, ShelfScreen
from lora_chat.tui.widgets.columns import facts
from lora_chat.tui.widgets.pane import HEIGHTS
from lora_chat.tui.widgets.shelf_list import ShelfList

_LATER = ("sha256", "licence", "system prompt", "from", "base")
"""Facts that give way where there is little room: /adapter info has them all."""


class AdapterPicker(PanelScreen[str | None], ShelfScreen):
    """One row each; dismisses with what follows ``/adapter``: ``use NAME``, ``off`` or ``list``."""

    VERTICAL_BREAKPOINTS = HEIGHTS

    DEFAULT_CSS = """
    AdapterPicker {
        #panel { height: 80%; max-height: 34; width: 110; }
        Input { margin: 0 1 1 1; width: 1fr; background: transparent; &:focus { background-tint: transparent; } }
        #facts { height: 5; margin: 1 1 0 1; }
        &.-tall #facts { height: 12; }
        #panel > .said { margin: 1 1 0 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "wear", id="picker.wear", priority=True),
        Binding("up", "move(-1)", "choose", key_display="↑ ↓", tooltip="the one above", id="picker.up", priority=True),
        Binding("down", "move(1)", "choose", show=False, tooltip="the one below", id="picker.down", priority=True),
        Binding("f2", "dismiss('list')", "all of them", id="picker.list"),
        Binding("escape", "dismiss", "back", id="picker.back"),
    ]

    def __init__(self, catalog: Catalog, worn: str, base: str, standings: Mapping[str, Standing] | None = None) -> None:
        """``worn`` is the name of the one worn, or empty; ``base`` is what answers without any."""
        super().__init__(tr("Wear an adapter"), tr(f"base {base}"))
        self._catalog, self._worn, self._base = catalog, worn, base
        self._standings: Mapping[str, Standing] = standings or {}

    def body(self) -> ComposeResult:
        """A filter, the list, and what the one looked at says of itself."""
        yield Input(placeholder=tr("type to filter"), compact=True)
        yield ShelfList(self._worn, self._base, with_base=True)
        yield Static("", classes="said", markup=False)
        yield Static("", id="facts", markup=False)

    @property
    def _list(self) -> ShelfList:
        return self.query_one(ShelfList)

    def on_mount(self) -> None:
        """The one worn is looked at first."""
        self._list.show(self._catalog, self._standings)
        self._list.highlighted = min(1, len(self._catalog.adapters) + len(self._catalog.problems))
        self._list.look_at_worn()
        self._say()

    def show(self, catalog: Catalog, standings: Mapping[str, Standing]) -> None:
        """What is installed now."""
        self._catalog, self._standings = catalog, standings
        if self.is_mounted:
            self._list.show(catalog, standings)
            self._say()

    def wear(self, worn: str) -> None:
        """Another one is worn."""
        self._list.worn = worn
        self.show(self._catalog, self._standings)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Fewer or more of them."""
        self._list.filter(event.value)
        self._say()

    def _say(self) -> None:
        said = self.query_one(".said", Static)
        said.update(tr(NO_MATCH if self._catalog.adapters else EMPTY))
        said.display = not self._list.matching
        self._show_facts()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Its facts."""
        self._show_facts()

    def _show_facts(self) -> None:
        row, shown = self._list.looked_at, self.query_one("#facts", Static)
        if isinstance(row, Adapter):
            rows = [*standing_facts(row, self._list.standing, self._base), *_facts(row)]
            shown.update(facts([tr_fact(*each) for each in rows]))
        else:
            shown.update(Content(clean_line(tr(row.reason)) if isinstance(row, Problem) else ""))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where nothing matches there is nothing to wear, and what is broken or does not fit cannot be."""
        match action:
            case "choose":
                return self._list.can_wear
            case "move":
                return not self._list.is_empty
        return True

    def action_move(self, step: int) -> None:
        """Look at another one."""
        self._list.action_cursor_down() if step > 0 else self._list.action_cursor_up()

    def action_choose(self) -> None:
        """The one looked at."""
        row = self._list.looked_at
        if self._list.can_wear and not isinstance(row, Problem):
            self.dismiss(f"use {row.name}" if row else "off")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.action_choose()


def _facts(adapter: Adapter) -> list[tuple[str, str]]:
    """The ones that help to choose, first."""
    told = adapter_facts(adapter)
    starters = [("try", clean_line(" · ".join(adapter.starters[:3]), 200))] if adapter.starters else []
    first = [fact for fact in told if fact[0] not in _LATER]
    later = sorted((fact for fact in told if fact[0] in _LATER), key=lambda fact: -_LATER.index(fact[0]))
    return [*first[:1], *starters, *first[1:], *later]
