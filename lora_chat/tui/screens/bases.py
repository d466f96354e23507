"""The base models. Owns the list, the details beside it and the keys; the commands are the chat's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, ProgressBar, Static

from lora_chat.language import tr
from lora_chat.language.facts import tr_fact
from lora_chat.models.installed import Problem
from lora_chat.models.sources.staging import size
from lora_chat.sitting.advice import recommend
from lora_chat.sitting.base_words import facts_of
from lora_chat.sitting.bases import Choice, Choices
from lora_chat.text import clean_line
from lora_chat.tui.base_messages import Fetching
from lora_chat.tui.screens.listing import ListingScreen
from lora_chat.tui.widgets.base_list import BaseList, name_of
from lora_chat.tui.widgets.columns import Cell, facts
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.pane import Pane

_NO_MATCH = "No base model is called so: `lora-chat model pull` also takes a hub id org/name, a folder or a .gguf file."
_GUESSED = "~ follows by size from what was measured here; < and > are bounds, as the other takes another path."


class BasesScreen(ListingScreen):
    """All of them with what each needs and gives here; one can be brought while the chat goes on."""

    AUTO_FOCUS = "BaseList"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-wide")]  # noqa: RUF012 - as Textual declares it

    DEFAULT_CSS = """
    BasesScreen {
        #coming { height: 1; padding: 0 1; display: none; }
        &.-comes #coming { display: block; }
        #coming > Static { width: auto; margin-right: 2; }
        #coming ProgressBar { width: 1fr; }
        #coming Bar { width: 1fr; }
        #bases { height: 1fr; }
        &.-narrow #bases { layout: vertical; }
        #list { width: 1fr; height: 100%; }
        &.-narrow #list { width: 100%; height: 3fr; }
        #head { height: 1; padding: 0 1; }
        #details { width: 66; height: 100%; padding: 0 2; border-left: solid $border-blurred; }
        &.-narrow #details { height: 2fr; width: 100%; border-left: none; border-top: solid $border-blurred; }
        #advice { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "use", "have it answer", id="bases.use"),
        Binding("enter", "pull", "bring it here", id="bases.use"),
        Binding("s", "default", "start with it", id="bases.default"),
        Binding("x", "stop", "stop the download", id="bases.stop"),
        Binding("d,delete", "remove", "take away", id="bases.remove"),
        Binding("slash", "filter", "filter", id="bases.filter"),
        Binding("escape", "close_line", "close", id="bases.close-line"),
        Binding("escape", "dismiss", "back", id="bases.back"),
    ]

    @dataclass
    class Wanted(Message):
        """A command of the chat, or before there is one the base to begin with."""

        line: str
        name: str

    class StopWanted(Message):
        """What comes need not come any more."""

    def __init__(self, choices: Choices, answering: str, coming: Fetching | None = None) -> None:
        """``answering`` is the name of the base that answers, empty before there is a chat; ``coming`` what comes."""
        super().__init__()
        self._choices, self._answering = choices, answering
        self._list = BaseList()
        self._coming, self._first = "", coming

    def compose(self) -> ComposeResult:
        """From the top."""
        yield Headline(tr("Base models"))
        yield Static(classes="rule")
        with Horizontal(id="asked"):
            yield Static(tr("filter"), markup=False)
            yield Input(placeholder=tr("type to filter"), compact=True)
        with Horizontal(id="coming"):
            yield Static("", markup=False)
            yield ProgressBar(show_eta=False)
        with Horizontal(id="bases"):
            with Vertical(id="list"):
                yield Static("", id="head")
                yield self._list
                yield Static(tr(_NO_MATCH), classes="said", markup=False)
            with Pane(id="details"):
                yield Static(markup=False)
        yield Static("", id="advice", markup=False)
        yield Static(classes="rule")
        yield KeysLine()

    def on_mount(self) -> None:
        """The one that answers is looked at first, else the one that is recommended."""
        self._list.show(self._choices, self._answering)
        best, _ = recommend(self._choices)
        self._list.highlighted = 0
        self._list.look_at(self._answering or (best.name if best is not None else ""))
        self._list.focus()
        self._say()
        if (first := self._first) is not None:
            self.show_fetch(first.name, first.what, first.done, first.total)

    def on_resize(self) -> None:
        """The names of the columns stand over them."""
        self.call_after_refresh(self._say)

    def show(self, choices: Choices, answering: str) -> None:
        """What there is now."""
        self._choices, self._answering = choices, answering
        if self.is_mounted:
            self._list.show(choices, answering)
            self._say()

    def show_fetch(self, name: str, what: str, done: float, total: float) -> None:
        """How far the one that comes is."""
        self._coming = name
        self.add_class("-comes")
        self.query_one("#coming > Static", Static).update(clean_line(tr(what), 60))
        self.query_one(ProgressBar).update(total=total or None, progress=done)
        self._list.show_coming(name, f"{done / total:.0%}" if total else "comes")
        self.refresh_bindings()

    def end_fetch(self) -> None:
        """Nothing comes any more."""
        self._coming = ""
        self.remove_class("-comes")
        self._list.show_coming("", "")
        self.refresh_bindings()

    def _say(self) -> None:
        if not self._list.is_attached:
            return  # it is being closed
        here = sum(each.base is not None for each in self._choices.bases)
        more = len(self._choices.bases) - here
        parts = ["Base models", f"{here:,} here", f"{more:,} more"]
        parts += [f"{len(self._choices.problems):,} broken"] if self._choices.problems else []
        free = tr(f"{size(self._choices.room.free)} of memory to be had")
        self.query_one(Headline).show(" · ".join(map(tr, parts)), free)
        empty = self._list.is_empty
        self.query_one(".said").display = empty
        self._list.display = self.query_one("#details").display = not empty
        self.query_one("#head", Static).update(self._list.head)
        best, why = recommend(self._choices)
        named = (tr("recommended here:") + " ", "$text-muted")
        told = Content.assemble(named, f"{best.name}{tr(',')} ", tr(why)) if best else Content(tr(why))
        self.query_one("#advice", Static).update(told)
        self._show_details()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Its details."""
        self._show_details()

    def _show_details(self) -> None:
        row, pane = self._list.looked_at, self.query_one("#details > Static", Static)
        if isinstance(row, Choice):
            pane.update(facts(_details(row, self._choices, self._answering)))
        elif isinstance(row, Problem):
            rows = [("broken", clean_line(row.reason)), ("path", clean_line(str(row.path)))]
            pane.update(facts([tr_fact(*each) for each in rows]))
        else:
            pane.update("")
        self.refresh_bindings()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that could do nothing now are not shown; while something is written only that has keys."""
        row = self._list.looked_at
        here = isinstance(row, Choice) and row.base is not None
        asks = self.has_class("-asks") and self.query_one(Input).has_focus
        match action:
            case "close_line":
                return asks
            case "use" | "pull" | "default" | "remove" | "filter" | "dismiss" | "stop" if asks:
                return False
            case "use":
                return here and name_of(row) != self._answering
            case "pull":
                return isinstance(row, Choice) and row.base is None and not self._coming
            case "default":
                return here and bool(self._answering) and isinstance(row, Choice) and not row.default
            case "remove":
                gone = here or (isinstance(row, Problem) and not row.foreign and row.path.is_dir())
                return gone and bool(self._answering) and name_of(row) != self._answering
            case "stop":
                return bool(self._coming)
        return True

    def action_use(self) -> None:
        """The one looked at answers from now on."""
        self._want("use")
        self.dismiss(None)

    def action_pull(self) -> None:
        """It comes, once what it needs was agreed to."""
        self._want("pull")
        if not self._answering:
            self.dismiss(None)

    def action_default(self) -> None:
        """The program begins with it."""
        self._want("default")

    def action_remove(self) -> None:
        """Off this machine; it is asked about."""
        self._want("remove")

    def action_stop(self) -> None:
        """No more of it."""
        self.post_message(self.StopWanted())

    def _want(self, what: str) -> None:
        name = name_of(self._list.looked_at)
        self.post_message(self.Wanted(f"/model {what} {name}", name))

    # The filter

    def action_filter(self) -> None:
        """Open its line."""
        self.add_class("-asks")
        line = self.query_one(Input)
        line.value = ""
        line.focus()
        self.refresh_bindings()

    def action_close_line(self) -> None:
        """Everything is listed."""
        before = name_of(self._list.looked_at)
        self.remove_class("-asks")
        self._list.filter("")
        self._list.look_at(before)
        self._list.focus()
        self._say()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Fewer or more of them."""
        self._list.filter(event.value)
        self._say()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The list has the keys again."""
        if event.value.strip() and not self._list.is_empty:
            self._list.focus()
            self.refresh_bindings()
        else:
            self.action_close_line()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click looks at it; what is done with it the keys do."""
        self._show_details()


def _details(choice: Choice, choices: Choices, answering: str) -> list[tuple[str, Cell]]:
    """What it is, whether it answers, and every figure in words."""
    rows: list[tuple[str, Cell]] = [(tr("model"), Content.styled(clean_line(choice.lineage, 120), "bold"))]
    if choice.base is not None and choice.name == answering:
        rows.append(tr_fact("answers", "in this conversation"))
    if choice.entry is not None and choice.entry.description:
        said = choice.entry.description
        rows.append((tr("is"), clean_line(said if choice.entry.own else tr(said))))
    rows += [tr_fact(label, clean_line(text)) for label, text in facts_of(choice, choices.room)]
    if any(figure is not None and not figure.measured for figure in (choice.speed, choice.seconds)):
        rows.append(tr_fact("figures", _GUESSED))
    return rows
