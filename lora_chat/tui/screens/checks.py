"""What was taught, asked again. Owns the list, the keys and which checks are wanted asked; never asks or keeps one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from lora_chat.chat.attached import words_of
from lora_chat.language import tr
from lora_chat.text import clean, clean_line
from lora_chat.training.proof.check import Check, split_words
from lora_chat.training.proof.line import Proved
from lora_chat.training.proof.proving import in_order, outcome
from lora_chat.training.proof.rewording import to_ask
from lora_chat.tui import messages as news
from lora_chat.tui.keymap import told
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.widgets.check_rows import CHECK, CheckRows, Known, Row
from lora_chat.tui.widgets.columns import Cell, Columns, facts
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.pane import HEIGHTS, Pane
from lora_chat.tui.widgets.question import folded

if TYPE_CHECKING:
    from lora_chat.tui.bridge import Bridge

EMPTY = "No checks yet: every answer you correct and train on becomes one."
TEACHES = "Write the answer you wanted with {chat.edit}, then /train from-history learns it, and it is asked here."
NO_RULE = "No rule knows this question in other words."
NO_MORE = "The rules know no more than these."
_ASKS = {"must": "must mention", "must_not": "must not mention", "rewordings": "asked as"}
_HINT = "words, with commas between; empty lets the taught answer decide"
_OWN_HINT = "the same question in your own words"


class WordsLine(Input):
    """Where words are written."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "keep", id="checks.keep-words")]


class ChecksScreen(Beneath[None]):
    """Every check, its wordings beneath it, and below the list all that is known of the one looked at."""

    AUTO_FOCUS = "CheckRows"
    VERTICAL_BREAKPOINTS = HEIGHTS

    DEFAULT_CSS = """
    ChecksScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #heads { padding: 0 2 0 1; height: auto; }
        CheckRows { scrollbar-gutter: stable; }
        #details { height: auto; max-height: 9; padding: 0 1; scrollbar-gutter: stable; }
        &.-tall #details { max-height: 14; }
        #asked { height: 1; padding: 0 1; display: none; }
        &.-asks #asked { display: block; }
        #asked > Static { width: auto; color: $text-muted; margin-right: 1; }
        Input { width: 1fr; background: transparent; &:focus { background-tint: transparent; } }
        .said { height: 1fr; margin: 1; color: $text-muted; display: none; }
        &.-empty { .said { display: block; } #heads, CheckRows, #between, #details { display: none; } }
        &.-tiny { #heads, #between, #details { display: none; } }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "confirm(True)", "keep", id="checks.keep"),
        Binding("space", "confirm(False)", "take back", id="checks.keep"),
        Binding("p", "propose", "reword", id="checks.propose"),
        Binding("o", "ask('rewordings')", "ask as", id="checks.own"),
        Binding("m", "ask('must')", "must", id="checks.must"),
        Binding("n", "ask('must_not')", "must not", id="checks.must-not"),
        Binding("d,delete", "remove", "delete", id="checks.remove"),
        Binding("r", "again", "again", id="checks.again"),
        Binding("escape", "close_line", "close", id="checks.close-line"),
        Binding("escape", "dismiss", "back", id="checks.back"),
    ]

    def __init__(self, seen: news.ChecksSeen, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._checking, self._before, self._last = seen.checking, seen.before, seen.last
        self._checks = list(seen.checks)
        self._found: dict[str, Proved] = {}
        self._waiting: list[Check] = []
        """To be asked still, the one that is being asked first."""
        self._wordings = {check.id: list(check.rewordings) for check in seen.checks}
        """Confirmed or only proposed, each where it appeared first."""
        self._known = Known({})
        self._cancel = threading.Event()
        self._field = ""
        """What the line is for, where it is open."""

    def compose(self) -> ComposeResult:
        """From the top."""
        yield Headline(tr("Checks"))
        yield Static(classes="rule")
        heads = ("", "You asked", "It was taught → what it says instead")
        yield Static(Columns(CHECK, [[Content.styled(tr(head), "$text-muted") for head in heads]]), id="heads")
        yield CheckRows()
        yield Static(f"{tr(EMPTY)}\n\n{told(self, TEACHES)}", classes="said", markup=False)
        yield Static(classes="rule", id="between")
        with Pane(id="details"):
            yield Static(markup=False)
        with Horizontal(id="asked"):
            yield Static("", markup=False)
            yield WordsLine(compact=True, placeholder=tr(_HINT))
        yield KeysLine()

    def on_mount(self) -> None:
        """They are asked at once."""
        self.action_again()
        self.query_one(CheckRows).focus()

    def on_unmount(self) -> None:
        """Nobody looks any more: the next answer must not wait for them."""
        self._cancel.set()

    def saw(self, event: news.CheckSeen) -> None:
        """What came of one, or that no more come; what was changed meanwhile is asked again."""
        if event.found is None:
            self._waiting = [] if event.asking is self._cancel else self._waiting
        elif event.found[0] in self._waiting:
            self._found[event.found[0].id] = event.found[1]
            self._waiting.remove(event.found[0])
        if self.is_mounted:
            self._draw()

    def _ask(self, checks: Sequence[Check]) -> None:
        """Have these asked, in the place of what is being asked."""
        self._cancel.set()
        self._cancel = cancel = threading.Event()
        self._waiting = list(checks)
        for check in checks:
            self._found.pop(check.id, None)
        if checks:
            self._bridge.prove(self._checking, tuple(checks), cancel)
        self._draw()

    # Drawing

    def _draw(self) -> None:
        done = outcome(self._checks, self._found, self._before, self._checking.version)
        of = done.of + len(self._waiting)
        asking = self._waiting[0].id if self._waiting else ""
        self._known = Known(self._found, frozenset(check.id for check, _ in done.lost), asking)
        parts = [f"asking {done.of + 1:,} of {of:,}…"] if self._waiting else []
        if not self._waiting:
            new, left = 0 < done.new < done.of, done.left if done.of else 0
            parts += [f"{done.new:,} new"] if new else []
            parts += [f"{len(done.lost):,} lost"] if done.lost else []
            parts += [f"{left:,} not asked"] if left else []
            parts += [f"version {self._checking.version}"]
        held = f"{done.held:,} of {of:,} check{'s hold' if of != 1 else ' holds'}" if self._checks else "no checks"
        self.query_one(Headline).show(f"{self._checking.name} · {tr(held)}", " · ".join(map(tr, parts)))
        self.set_class(not self._checks, "-empty")
        self.query_one(CheckRows).show(list(self._rows()), self._known)
        self._show_details()

    def _rows(self) -> Iterator[Row]:
        for check in self._checks:
            yield Row(check)
            yield from (Row(check, words) for words in self._wordings[check.id])

    def _show_details(self) -> None:
        row = self._looked_at
        self.query_one("#details > Static", Static).update(
            facts([(tr(name), fact) for name, fact in self._facts(row)]) if row else ""
        )
        self.refresh_bindings()

    def _facts(self, row: Row) -> Iterator[tuple[str, Cell]]:
        """All that is known of a row, in full."""
        check, said = row.check, self._known.said(row)
        yield ("Asked" if not row.wording else "Reworded"), clean(row.wording or folded(check.question)).strip()
        if row.wording:
            yield "As", clean(folded(check.question)).strip()
        yield "Taught", clean(check.answer).strip()
        for name, words in (("Must say", check.must), ("Must not", check.must_not)):
            if words:
                yield name, clean_line(", ".join(words))
        if row.proposed:
            yield "", Content.styled(told(self, "Proposed: {checks.keep} keeps it, and it is asked."), "$text-muted")
        elif said is not None:
            lost = Content.styled("  " + tr("lost: the version before knew it"), "$error")
            yield "Says", Content(clean(said).strip() or tr("nothing")) + (lost if check.id in self._known.lost else "")

    # Keys

    @property
    def _looked_at(self) -> Row | None:
        return self.query_one(CheckRows).looked_at if self.is_mounted else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """All of it below."""
        self._show_details()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that could do nothing now are not shown; while something is written only that has keys."""
        row = self._looked_at
        if action == "close_line":
            return bool(self._field)
        if self._field:
            return False
        match action:
            case "confirm":
                return row is not None and bool(row.wording) and row.proposed is parameters[0]
            case "propose" | "ask" | "remove":
                return row is not None
            case "again":
                return bool(self._checks) and not self._waiting
        return True

    def action_again(self) -> None:
        """All of them, those that were wrong first."""
        last = {**self._last, **self._found}
        self._found.clear()
        self._ask(in_order(self._checks, last))

    def action_propose(self) -> None:
        """What rules make of the question, to be confirmed."""
        if (row := self._looked_at) is None:
            return
        check, known = row.check, self._wordings[row.check.id]
        proposed = [words for words in to_ask(check.question) if words not in known]
        known += proposed
        if not proposed:
            self.notify(tr(NO_MORE if known else NO_RULE), markup=False, timeout=4)
            return
        self._draw()
        self.query_one(CheckRows).look_at((check.id, proposed[0]))

    def action_confirm(self, keep: bool) -> None:
        """The wording looked at is asked from now on, or no longer."""
        if (row := self._looked_at) is not None:
            check, words = row.check, row.wording
            confirmed = {*check.rewordings, words} if keep else {*check.rewordings} - {words}
            ordered = tuple(each for each in self._wordings[check.id] if each in confirmed)
            self._change(replace(check, rewordings=ordered))

    def action_remove(self) -> None:
        """A wording at once; a check once the person agrees."""
        if (row := self._looked_at) is None:
            return
        check, words = row.check, row.wording
        if words:
            self._wordings[check.id].remove(words)
            rest = tuple(each for each in check.rewordings if each != words)
            if rest != check.rewordings:
                self._change(replace(check, rewordings=rest))
            else:
                self._draw()
            return

        def agreed(yes: bool | None) -> None:
            if yes:
                self._drop(check)

        question = f"Delete the check “{clean_line(words_of(check.question), 80)}”? What was taught stays."
        self.app.push_screen(ConfirmScreen(question, loses=True), agreed)

    def _drop(self, check: Check) -> None:
        self._bridge.run(lambda _: self._checking.line.drop(check))
        self._checks = [each for each in self._checks if each.id != check.id]
        self._found.pop(check.id, None)
        if any(each.id == check.id for each in self._waiting):
            self._ask([each for each in self._waiting if each.id != check.id])
        self._draw()

    def _change(self, check: Check) -> None:
        """Keep it so, and ask it first."""
        self._bridge.run(lambda _: self._checking.line.change(check))
        self._checks = [check if each.id == check.id else each for each in self._checks]
        self._ask([check, *(each for each in self._waiting if each.id != check.id)])

    # The line

    def action_ask(self, field: str) -> None:
        """Open the line for other words of the question, or what an answer must or must not mention."""
        if (row := self._looked_at) is None:
            return
        self._field = field
        self.add_class("-asks")
        self.query_one("#asked > Static", Static).update(tr(_ASKS[field]))
        line = self.query_one(WordsLine)
        own = field == "rewordings"
        line.placeholder = tr(_OWN_HINT if own else _HINT)
        line.value = "" if own else ", ".join(clean_line(words) for words in getattr(row.check, field))
        line.cursor_position = len(line.value)
        line.focus()
        self.refresh_bindings()

    def action_close_line(self) -> None:
        """Nothing is changed."""
        self._field = ""
        self.remove_class("-asks")
        self.query_one(CheckRows).focus()
        self.refresh_bindings()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: it is asked so too; or they decide from now on."""
        row, field, said = self._looked_at, self._field, clean(event.value)
        self.action_close_line()
        if row is None or not field:
            return
        if field == "rewordings":
            self._ask_also(row.check, " ".join(said.split()))
        elif (words := split_words(said)) != getattr(row.check, field):
            self._change(replace(row.check, must=words) if field == "must" else replace(row.check, must_not=words))

    def _ask_also(self, check: Check, words: str) -> None:
        """In the person's own words."""
        if words and words != check.question and words not in check.rewordings:
            known = self._wordings[check.id]
            known += [] if words in known else [words]
            self._change(replace(check, rewordings=(*check.rewordings, words)))
            self.query_one(CheckRows).look_at((check.id, words))
