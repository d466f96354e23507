"""Private data in what would be learnt, rule by rule. Owns which rules the person leaves off; never masks anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static
from textual.widgets.option_list import Option

from lora_chat.language import tr
from lora_chat.text import clean_line
from lora_chat.training.choosing.private.rule import Rule
from lora_chat.training.choosing.redact import RULES
from lora_chat.training.lesson import Found
from lora_chat.tui.screens.panel import PanelScreen
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Column, Columns

SAID = "A rule that is left off lets what it finds be learnt as it was said. Not everything private can be found."

_COLUMNS = (Column(8), Column(15), Column(4, right=True), Column(share=2), Column(share=3))
_SHOWN = 3
"""Pieces of one rule that its row shows, each once."""


class PrivateScreen(PanelScreen[frozenset[str]]):
    """Every rule, those that found something first; leaving it gives the names of those that are left off."""

    DEFAULT_CSS = """
    PrivateScreen {
        #panel { width: 110; height: 80%; }
        Choices { margin-top: 1; }
        #proof { height: 2; margin: 1 1 0 1; color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "switch(True)", "leave off", id="private.mask"),
        Binding("space", "switch(False)", "mask", id="private.mask"),
        Binding("escape,enter,q", "leave", "back", id="private.back"),
    ]

    def __init__(self, found: Iterable[Found], keep: frozenset[str]) -> None:
        super().__init__(tr("Private data"))
        self._keep = keep
        self._found: defaultdict[str, list[str]] = defaultdict(list)
        for each in found:
            self._found[each.hit.rule].append(each.hit.shown)
        self._rules = sorted(RULES, key=lambda rule: (rule.name not in self._found, rule.name not in keep))

    def body(self) -> ComposeResult:
        """What leaving one off means, and all of them."""
        yield Static(tr(SAID), classes="said", markup=False)
        yield Choices(keeps_focus=True)
        yield Static(id="proof", markup=False)

    def on_mount(self) -> None:
        """As it was chosen."""
        rules = self.query_one(Choices)
        rules.set_options([Option(self._row(rule)) for rule in self._rules])
        rules.highlighted = 0
        rules.focus()

    def _row(self, rule: Rule) -> Columns:
        found, off = self._found[rule.name], rule.name in self._keep
        shown = "  ".join(clean_line(each, 24) for each in list(dict.fromkeys(found))[:_SHOWN])
        state = Content.styled(tr("as said"), "bold") if off else Content(tr("masked")) if found else Content("")
        count = Content(f"{len(found):,}" if found else "")
        proof = Content.styled(tr(rule.proof), "$text-muted")
        return Columns(_COLUMNS, [[state, Content(rule.name), count, Content(shown), proof]])

    @property
    def _looked_at(self) -> tuple[int, Rule] | None:
        at = self.query_one(Choices).highlighted if self.is_mounted else None
        return None if at is None else (at, self._rules[at])

    def on_option_list_option_highlighted(self) -> None:
        """Space does the other thing to one that is left off; its proof is told in full."""
        if looked_at := self._looked_at:
            self.query_one("#proof", Static).update(tr(looked_at[1].proof))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of both the one that would change something."""
        if action != "switch":
            return True
        looked_at = self._looked_at
        return looked_at is not None and (looked_at[1].name in self._keep) is not parameters[0]

    def action_switch(self, off: bool) -> None:
        """Leave the rule looked at off, or let it mask again."""
        if looked_at := self._looked_at:
            at, rule = looked_at
            self._keep = self._keep | {rule.name} if off else self._keep - {rule.name}
            self.query_one(Choices).replace_option_prompt_at_index(at, self._row(rule))
            self.refresh_bindings()

    def action_leave(self) -> None:
        """With what was chosen."""
        self.dismiss(self._keep)
