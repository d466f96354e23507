"""Everything that is installed. Owns the list, the details beside it and the keys; the commands are the chat's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, OptionList, Static

from lora_chat.adapters.registry import Adapter, Catalog, Problem
from lora_chat.language import tr
from lora_chat.language.facts import tr_fact
from lora_chat.sitting.standing import Standing, provenance, standing_facts
from lora_chat.sitting.verbs import adapter_facts
from lora_chat.text import clean_line
from lora_chat.tui.screens.listing import ListingScreen
from lora_chat.tui.screens.shelf import EMPTY, NO_MATCH, ShelfScreen
from lora_chat.tui.widgets.columns import facts
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.pane import Pane
from lora_chat.tui.widgets.shelf_list import ShelfList, name_of

TEACHES = "A folder that is put among the adapters by hand appears here by itself; `lora-chat paths` says where."
_ASKS = {"filter": "type to filter", "install": "folder, archive or hub id"}


class Line(Input):
    """Where a filter or a path is written."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "go on", id="adapters.go-on")]


class AdaptersScreen(ListingScreen, ShelfScreen):
    """A list, what the one looked at is, and a line to write in where something is asked for."""

    AUTO_FOCUS = "ShelfList"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012 - as Textual declares it

    DEFAULT_CSS = """
    AdaptersScreen {
        #shelf { height: 1fr; }
        &.-narrow #shelf { layout: vertical; }
        ShelfList { width: 11fr; }
        &.-narrow ShelfList { width: 100%; height: 2fr; }
        #details { width: 9fr; height: 100%; padding: 0 2; border-left: solid $border-blurred; }
        &.-wide #details { width: 70; }
        &.-narrow #details { height: 3fr; width: 100%; border-left: none; border-top: solid $border-blurred; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "wear", "wear", id="adapters.wear"),
        Binding("enter", "take_off", "take off", id="adapters.wear"),
        Binding("u", "undo", "undo", id="adapters.undo"),
        Binding("i", "ask('install')", "install", id="adapters.install"),
        Binding("v", "verify", "verify", id="adapters.verify"),
        Binding("d,delete", "remove", "remove", id="adapters.remove"),
        Binding("slash", "ask('filter')", "filter", id="adapters.filter"),
        Binding("escape", "close_line", "close", id="adapters.close-line"),
        Binding("escape", "dismiss", "back", id="adapters.back"),
    ]

    @dataclass
    class Wanted(Message):
        """A command of the chat."""

        line: str

    def __init__(self, catalog: Catalog, worn: str, base: str, standings: Mapping[str, Standing] | None = None) -> None:
        """``worn`` is the name of the one worn, or empty."""
        super().__init__()
        self._catalog, self._base = catalog, base
        self._standings: Mapping[str, Standing] = standings or {}
        self._shelf = ShelfList(worn, base, keeps_focus=True)
        self._asking = ""
        """What the line is for, where it is open."""
        self._wish = ""
        """What could not be installed."""
        self._removed: list[str] = []

    def compose(self) -> ComposeResult:
        """From the top."""
        yield Headline(tr("Adapters"), tr(f"base {self._base}"))
        yield Static(classes="rule")
        with Horizontal(id="asked"):
            yield Static("", markup=False)
            yield Line(compact=True)
        with Horizontal(id="shelf"):
            yield self._shelf
            yield Static("", classes="said", markup=False)
            with Pane(id="details"):
                yield Static(markup=False)
        yield Static(classes="rule")
        yield KeysLine()

    def on_mount(self) -> None:
        """The one worn is looked at first."""
        self._shelf.show(self._catalog, self._standings)
        self._shelf.highlighted = 0
        self._shelf.look_at_worn()
        self._shelf.focus()
        self._say()

    def show(self, catalog: Catalog, standings: Mapping[str, Standing]) -> None:
        """What is installed now."""
        self._catalog, self._standings = catalog, standings
        if self.is_mounted:
            self._shelf.show(catalog, standings)
            self._say()

    def give_back(self, source: str) -> None:
        """It could not be installed: the line begins with it when it is opened again."""
        self._wish = source

    def wear(self, worn: str) -> None:
        """Another one is worn."""
        self._shelf.worn = worn
        if self.is_mounted:
            self.show(self._catalog, self._standings)

    def _say(self) -> None:
        said, empty = self.query_one(".said", Static), self._shelf.is_empty
        nothing = not self._catalog.adapters and not self._catalog.problems
        said.update(f"{tr(EMPTY)} {tr(TEACHES)}" if nothing else tr(NO_MATCH))
        said.display, self._shelf.display, self.query_one("#details").display = empty, not empty, not empty
        many, broken = len(self._catalog.adapters), len(self._catalog.problems)
        parts = ["Adapters", *([] if nothing else [f"{many:,} installed"]), *([f"{broken:,} broken"] if broken else [])]
        self.query_one(Headline).show(" · ".join(map(tr, parts)), tr(f"base {self._base}"))
        self._show_details()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Its details."""
        self._show_details()

    def _show_details(self) -> None:
        row, pane = self._shelf.looked_at, self.query_one("#details > Static", Static)
        if isinstance(row, Adapter):
            fit = standing_facts(row, self._shelf.standing, self._base)
            place = [("path", clean_line(str(row.path)))] if row.origin == "bundled" else []
            rows = [*fit, *adapter_facts(row), *provenance(row), *place]
            pane.update(facts([tr_fact(*each) for each in rows]))
        elif isinstance(row, Problem):
            rows = [("broken", clean_line(row.reason)), ("path", clean_line(str(row.path)))]
            pane.update(facts([tr_fact(*each) for each in rows]))
        else:
            pane.update("")
        self.refresh_bindings()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that could do nothing now are not shown; while something is written only that has keys."""
        row = self._shelf.looked_at
        if action == "close_line":
            return self.has_class("-asks")
        if self._asking:
            return False
        match action:
            case "wear" | "verify" if not isinstance(row, Adapter):
                return False
            case "wear":
                return self._shelf.can_wear and name_of(row) != self._shelf.worn
            case "take_off":
                return isinstance(row, Adapter) and row.name == self._shelf.worn
            case "remove":
                return isinstance(row, Problem) or (isinstance(row, Adapter) and row.origin == "user")
            case "undo":
                return bool(self._removed)
            case "ask" if parameters[0] == "filter":
                return bool(self._catalog.adapters or self._catalog.problems)
        return True

    def action_wear(self) -> None:
        """The one looked at; the chat goes on with it."""
        self.post_message(self.Wanted(f"/adapter use {name_of(self._shelf.looked_at)}"))
        self.dismiss(None)

    def action_take_off(self) -> None:
        """The base answers."""
        self.post_message(self.Wanted("/adapter off"))

    def action_remove(self) -> None:
        """Take it away; ``undo`` brings it back."""
        name = name_of(self._shelf.looked_at)
        self._removed.append(name)
        self.post_message(self.Wanted(f"/adapter remove {name}"))
        self.refresh_bindings()

    def action_undo(self) -> None:
        """Bring back the last one."""
        self.post_message(self.Wanted(f"/adapter restore {self._removed.pop()}"))
        self.refresh_bindings()

    def action_verify(self) -> None:
        """Check it and measure what it changes."""
        name = name_of(self._shelf.looked_at)
        self.notify(tr(f"{name} is being checked…"), markup=False, timeout=3)
        self.post_message(self.Wanted(f"/adapter verify {name}"))

    # The line

    def action_ask(self, what: str) -> None:
        """Open the line for ``what``: filter, or install."""
        self._asking = what
        self.add_class("-asks")
        line = self.query_one(Line)
        line.placeholder = tr(_ASKS[what])
        line.value = self._wish if what == "install" else ""
        self.query_one("#asked > Static", Static).update(tr(what))
        line.focus()
        self.refresh_bindings()

    def action_close_line(self) -> None:
        """Nothing is asked for, and everything is listed."""
        self._close(keep=False)

    def _close(self, *, keep: bool) -> None:
        asked, self._asking = self._asking, ""
        if not keep:
            before = name_of(self._shelf.looked_at)
            self._shelf.filter("")
            self._shelf.look_at(before)
        self.set_class(keep and asked == "filter", "-asks")
        self._shelf.focus()
        self._say()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Fewer or more of them."""
        if self._asking == "filter":
            self._shelf.filter(event.value)
            self._say()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: the list has the keys again, or what is named is installed."""
        wish, asked = event.value.strip(), self._asking
        self._close(keep=asked == "filter" and bool(wish))
        if asked == "install" and wish:
            self._wish = ""
            self.post_message(self.Wanted(f"/adapter install {wish}"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click looks at it; what is done with it the keys do."""
        self._show_details()
