"""What a training did. Owns the report, in the order of a person's questions; asks nothing of a model itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from lora_chat.adapters.manifest import FIRST
from lora_chat.language import tr
from lora_chat.sitting.comparison import Compared
from lora_chat.text import clean_line
from lora_chat.training.report.record import Record
from lora_chat.training.report.words import has_rest, is_offered, verdict
from lora_chat.tui import messages as news
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.widgets import report_figures as told
from lora_chat.tui.widgets.columns import Cell, Column, Columns, facts
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.loss_curve import LossCurve
from lora_chat.tui.widgets.pane import HEIGHTS, Pane

WIDE = 110
"""Columns from which on a third answer has room beside the others."""


class TrainingReportScreen(Beneath[bool]):
    """Did it learn, did it break anything, was a prompt enough; then each question with its answers."""

    VERTICAL_BREAKPOINTS = HEIGHTS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - as Textual declares it

    DEFAULT_CSS = """
    TrainingReportScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #verdict { height: auto; padding: 0 1; }
        &.-tall #verdict { margin-bottom: 1; }
        #top { height: auto; padding: 0 1; }
        LossCurve { width: 2fr; max-width: 64; height: 100%; min-height: 6; margin-left: 3; }
        #figures { width: 3fr; height: auto; }
        #figures Static { height: auto; }
        #less { display: none; }
        &.-tall #less { display: block; }
        #rest { margin-top: 1; }
        &.-tall #rest { display: none; }
        &.-narrow.-beside LossCurve { display: none; }
        &.-tall LossCurve { min-height: 10; }
        &.-tiny #top { display: none; }
        &.-tiny #heads { margin-top: 0; }
        #heads { padding: 0 2 0 1; margin-top: 1; height: auto; }
        Pane { height: 1fr; padding: 0 1; margin: 0; scrollbar-gutter: stable; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "wear(False)", "wear it", id="report.wear"),
        Binding("w", "wear(True)", "wear it all the same", id="report.anyway"),
        Binding("k,escape", "dismiss(False)", "not now", id="report.keep"),
        Binding("p", "preset", "keep as preset", id="report.preset"),
        Binding("a", "rest", "ask more", id="report.rest"),
        Binding("c", "checks", "checks", id="report.checks"),
        Binding("s", "save", "save", id="report.save"),
    ]

    def __init__(self, record: Record, *, worn: bool | None = None, has_rest: bool = True) -> None:
        """``worn``: of one that is shown again, whether its version is worn now; None of one that was just made.

        ``has_rest``: whether there may be something that it was not asked.
        """
        super().__init__()
        self._record, self.worn, self._has_rest = record, worn, has_rest
        self._rows: dict[int, Compared] = {}
        self._exam = record.exam
        self._examined = told.shown(self._exam)
        self._asking: float | None = None
        """How much of the rest is asked, in [0, 1]; None where nobody asks it."""
        self.set_class(self._exam is not None and self._exam.prompted is not None, "-beside")

    def is_of(self, adapter: str, version: str) -> bool:
        """Whether it is that version's."""
        return (self._record.adapter, self._record.version) == (adapter, version)

    def compose(self) -> ComposeResult:
        """From the top."""
        record = self._record
        yield Headline(self._title, self._aside)
        yield Static(classes="rule")
        if self._exam is not None:
            said = verdict(record.report, record.checks, self._exam, counts=False)
            yield Static(clean_line(tr(said)), id="verdict", markup=False)
        with Horizontal(id="top"):
            with Vertical(id="figures"):
                yield from self._figures()
            yield LossCurve()
        yield Static(id="heads")
        with Pane():
            yield Static(id="answers", markup=False)
            yield Static(told.beneath(list(self._rest)), id="rest", markup=False)
        yield KeysLine()

    def _figures(self) -> ComposeResult:
        if self._exam is None:
            yield Static(facts([(tr(name), fact) for name, fact in told.figures(self._record)]), markup=False)
            return
        yield Static(told.shares(self._exam), markup=False)
        if broken := list(told.broken(self._record)):
            yield Static(told.beneath(broken), markup=False)
        yield Static(told.beneath(list(told.less(self._record))), id="less", markup=False)

    @property
    def _rest(self) -> Iterator[told.Fact]:
        """What has no room above in a low window."""
        yield from told.less(self._record) if self._exam is not None else ()

    def on_mount(self) -> None:
        """What is known so far."""
        self.query_one(LossCurve).show(self._record.losses, self._record.heldout)
        self.query_one(Pane).focus()
        self._draw()

    def on_resize(self, event: Resize) -> None:
        """Another answer may have room, or none."""
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What forgot something is not worn by a mere Enter; a prompt that does no better is no preset."""
        if action == "preset":
            return is_offered(self._exam)
        if action == "checks":  # which are those of the version that is worn
            return self._record.checks is not None and (self.worn or (self.worn is None and not self._record.kept))
        if action == "rest":
            return self._asking is None and self._has_rest and has_rest(self._exam)
        return action != "wear" or parameters[0] is bool(self._against)

    def action_wear(self, anyway: bool) -> None:
        """The person wants it."""
        self.dismiss(True)

    def action_preset(self) -> None:
        """The examples in a prompt are wanted, instead or besides."""
        self.post_message(news.PresetWanted(self._record))

    def action_save(self) -> None:
        """As files of the person's own."""
        self.post_message(news.ReportWanted(self._record))

    def action_checks(self) -> None:
        """What it was taught, one by one; there other wordings are proposed."""
        self.post_message(news.ChecksWanted(self._record))

    def action_rest(self) -> None:
        """All that the examination had no time for."""
        self.show_asking(0.0)
        self.post_message(news.RestWanted(self._record))

    def show_asking(self, part: float | None) -> None:
        """How much of the rest is asked; None: nobody asks it any more."""
        self._asking = part
        if self.is_mounted:
            self.query_one(Headline).show(self._title, self._aside)
            self.refresh_bindings()

    @property
    def _title(self) -> str:
        record = self._record
        if self.worn is not None:
            return f"{clean_line(record.adapter)} {record.version}"
        version = f" {record.version}" if record.version != FIRST else ""
        name = f"{clean_line(record.adapter)}{version}"
        return tr(f"{name} is kept" if record.kept else f"{name} is ready")

    @property
    def _against(self) -> bool:
        """Whether something speaks against wearing it: what it forgot, or that another version is worn."""
        if self.worn is not None:
            return not self.worn
        return bool(self._record.kept or self._record.report.forgot)

    @property
    def _aside(self) -> str:
        """``not worn`` and why in few words, else what came of the checks; while the rest is asked, how far that is."""
        if self._asking is not None:
            return tr(f"asking the rest: {self._asking:.0%}")
        record = self._record
        held = " · ".join(map(tr, told.tally(record.checks))) if record.checks else ""
        if self.worn is None and record.report.forgot:
            return tr("not worn: it forgot too much")
        is_worn = self.worn if self.worn is not None else not record.kept
        return held if is_worn else tr(f"not worn: {held}" if held else "not worn")

    def show_row(self, index: int, row: Compared) -> None:
        """One question as far as it is answered; a later row of the same index takes its place."""
        self._rows[index] = row
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        prompted = self.size.width >= WIDE and any(each.prompted is not None for each in self._examined)
        columns = [Column(share=share, wraps=True) for share in ((3, 4, 4, 4) if prompted else (3, 4, 4))]
        heads = [
            tr("Asked"),
            tr("Base"),
            clean_line(self._record.adapter),
            *([tr("Base with examples")] if prompted else []),
        ]
        muted = [Content.styled(head, "$text-muted") for head in heads]
        self.query_one("#heads", Static).update(Columns(columns, [muted]))
        rows = [told.answered(each, prompted=prompted) for each in self._examined]
        rows += [told.compared(self._rows[index], prompted=prompted) for index in sorted(self._rows)]
        blank: list[Cell] = [""] * len(columns)
        spaced = [line for row in rows for line in (row, blank)][:-1]
        waiting = Content.styled(tr("The questions are asked in a moment…"), "$text-muted")
        self.query_one("#answers", Static).update(Columns(columns, spaced) if spaced else waiting)
