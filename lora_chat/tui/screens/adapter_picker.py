"""What can be worn. Owns the list and its filter; wearing is others' work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.theme import Theme
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lora_chat.adapters.registry import Adapter, Catalog, Problem
from lora_chat.sitting.verbs import adapter_facts
from lora_chat.text import clean_line
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.theme import accent_of
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Column, Columns, facts, widest
from lora_chat.tui.widgets.pane import HEIGHTS

EMPTY = (
    "No adapter is installed yet. /train from-history makes one from the answers you corrected or rated good; "
    "/adapter install PATH takes one that somebody shared."
)
NO_MATCH = "No adapter is called so, or says so of itself."

_NOTHING = "  nothing"
"""The row of the base alone."""

_LATER = ("sha256", "licence", "system prompt", "from", "base")
"""Facts that give way where there is little room: /adapter info has them all."""


class AdapterPicker(PanelScreen[str | None]):
    """One row each; dismisses with what follows ``/adapter``: ``use NAME`` or ``off``."""

    VERTICAL_BREAKPOINTS = HEIGHTS

    DEFAULT_CSS = """
    AdapterPicker {
        #panel { height: 80%; max-height: 34; }
        Input { margin: 0 1 1 1; width: 1fr; background: transparent; &:focus { background-tint: transparent; } }
        #facts { height: 5; margin: 1 1 0 1; }
        &.-tall #facts { height: 10; }
        #panel > .said { margin: 1 1 0 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "wear", id="picker.wear", priority=True),
        Binding("up", "move(-1)", "choose", key_display="↑ ↓", id="picker.up", priority=True),
        Binding("down", "move(1)", "choose", show=False, id="picker.down", priority=True),
        Binding("escape", "dismiss", "back", id="picker.back"),
    ]

    def __init__(self, catalog: Catalog, worn: str, base: str) -> None:
        """``worn`` is the name of the one worn, or empty; ``base`` is what answers without any."""
        super().__init__("Wear an adapter", f"base {base}")
        self._catalog, self._worn, self._base = catalog, worn, base
        self._rows: list[Adapter | Problem | None] = []
        """What each row stands for; None is the base alone."""

    def body(self) -> ComposeResult:
        """A filter, the list, and what the one looked at says of itself."""
        yield Input(placeholder="type to filter", compact=True)
        yield Choices()
        yield Static("", classes="said", markup=False)
        yield Static("", id="facts", markup=False)

    def on_mount(self) -> None:
        """The one worn is looked at first."""
        self._list("")
        names = [row.name if isinstance(row, Adapter) else "" for row in self._rows]
        begin = names.index(self._worn) if self._worn in names else 0
        self.query_one(Choices).highlighted = min(begin or 1, len(names) - 1)
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    def _recolour(self, _theme: Theme) -> None:
        rows = self.query_one(Choices)
        at = rows.highlighted
        self._list(self.query_one(Input).value)
        rows.highlighted = at

    def on_input_changed(self, event: Input.Changed) -> None:
        """Fewer or more of them."""
        self._list(event.value)
        self.query_one(Choices).highlighted = 0 if self._rows else None

    def _list(self, typed: str) -> None:
        matching = matches(self._catalog.adapters, typed)
        self._rows = [*matching] if typed.strip() else [None, *matching, *self._catalog.problems]
        width = max(widest([each.name for each in matching], 26) + 1, len(_NOTHING))
        self.query_one(Choices).set_options([Option(self._row(row, width)) for row in self._rows])
        said = self.query_one(".said", Static)
        said.update(NO_MATCH if self._catalog.adapters else EMPTY)
        said.display = not matching
        self._show_facts()

    def _row(self, row: Adapter | Problem | None, width: int) -> Columns:
        """Name, rank, what it says of itself, and whether it is the one worn."""
        worn = _muted("worn") if (row.name if isinstance(row, Adapter) else "") == self._worn else Content("")
        if isinstance(row, Problem):
            name = _muted(f"  {clean_line(row.path.name, 60)}")
            return Columns((Column(width), Column()), [(name, _muted(clean_line(row.reason, 300)))])
        if row is None:
            base = _muted(f"{clean_line(self._base, 40)} answers")
            return Columns((Column(width), Column(), Column(4)), [(_NOTHING, base, worn)])
        accent = accent_of(row.name, self.app.current_theme.dark)
        name = Content.styled(f"▎{clean_line(row.name)}", accent)
        cells = (name, _muted(f"rank {row.rank}"), clean_line(row.description), worn)
        return Columns((Column(width), Column(8), Column(), Column(4)), [cells])

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Its facts."""
        self._show_facts()

    @property
    def _looked_at(self) -> Adapter | Problem | None:
        at = self.query_one(Choices).highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    def _show_facts(self) -> None:
        row, shown = self._looked_at, self.query_one("#facts", Static)
        if isinstance(row, Adapter):
            shown.update(facts(_facts(row)))
        else:
            shown.update(Content(clean_line(row.reason) if isinstance(row, Problem) else ""))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where nothing matches there is nothing to wear, and what is broken cannot be."""
        match action:
            case "choose":
                return bool(self._rows) and not isinstance(self._looked_at, Problem)
            case "move":
                return bool(self._rows)
        return True

    def action_move(self, step: int) -> None:
        """Look at another one."""
        rows = self.query_one(Choices)
        rows.action_cursor_down() if step > 0 else rows.action_cursor_up()

    def action_choose(self) -> None:
        """The one looked at."""
        row = self._looked_at
        if self._rows and not isinstance(row, Problem):
            self.dismiss(f"use {row.name}" if row else "off")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.action_choose()


def matches(adapters: Sequence[Adapter], typed: str) -> list[Adapter]:
    """Those that ``typed`` can mean, the likeliest first.

    Linear in the text: Textual's fuzzy search tries every combination of places, and a stranger's name of 64 characters
    holds millions.
    """
    wanted = typed.strip().casefold()
    scored = [(_score(wanted, adapter), adapter) for adapter in adapters]
    return [adapter for score, adapter in sorted(scored, key=lambda pair: pair[0]) if score < _NO_MATCH]


_NO_MATCH = 4


def _score(wanted: str, adapter: Adapter) -> int:
    """0 is best: it begins so, holds it, holds its letters in order, or says it of itself."""
    name = adapter.name.casefold()
    if name.startswith(wanted):
        return 0
    if wanted in name:
        return 1
    letters = iter(name)
    if all(letter in letters for letter in wanted):
        return 2
    said = adapter.description.casefold()
    return 3 if all(word in said for word in wanted.split()) else _NO_MATCH


def _facts(adapter: Adapter) -> list[tuple[str, str]]:
    """The ones that help to choose, first."""
    told = adapter_facts(adapter)
    starters = [("try", clean_line(" · ".join(adapter.starters[:3]), 200))] if adapter.starters else []
    first = [fact for fact in told if fact[0] not in _LATER]
    later = sorted((fact for fact in told if fact[0] in _LATER), key=lambda fact: -_LATER.index(fact[0]))
    return [*first[:1], *starters, *first[1:], *later]


def _muted(text: str) -> Content:
    return Content.styled(text, "$text-muted")
