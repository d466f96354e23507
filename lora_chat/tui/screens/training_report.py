"""What a training did. Owns the report and the table of before and after; asks nothing of a model itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from lora_chat.adapters.manifest import FIRST
from lora_chat.sitting.comparison import Compared
from lora_chat.sitting.training import Progress
from lora_chat.text import clean, clean_line
from lora_chat.training.events import Checked, Installed, Report
from lora_chat.tui.screens.training import spoken_clock
from lora_chat.tui.widgets.columns import Cell, Column, Columns, facts
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.loss_curve import LossCurve
from lora_chat.tui.widgets.pane import HEIGHTS, Pane

_COLUMNS = (Column(share=3, wraps=True), Column(share=4, wraps=True), Column(share=4, wraps=True))


MOST_SHOWN = 3
"""Checks that do not hold; ``/check`` shows all of them."""


class TrainingReportScreen(Screen[bool]):
    """Figures and curve, then what each question was answered before and after."""

    VERTICAL_BREAKPOINTS = HEIGHTS

    DEFAULT_CSS = """
    TrainingReportScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #top { height: auto; padding: 0 1; }
        LossCurve { width: 2fr; max-width: 64; height: 100%; min-height: 6; margin-left: 3; }
        #top Static { width: 3fr; }
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
        Binding("k,escape", "dismiss(False)", "keep, do not wear", id="report.keep"),
    ]

    def __init__(self, progress: Progress) -> None:
        """``progress`` is of a training that has ended in an adapter."""
        super().__init__()
        self._progress = progress
        self._rows: dict[int, Compared] = {}

    def compose(self) -> ComposeResult:
        """From the top."""
        installed = self._progress.installed
        name = installed.adapter if installed else self._progress.name
        version = f" {installed.version}" if installed and installed.version != FIRST else ""
        yield Headline(f"{name}{version} is {'kept' if installed and installed.kept else 'ready'}", self._aside)
        yield Static(classes="rule")
        with Horizontal(id="top"):
            yield Static(facts(list(_figures(installed))) if installed else "", markup=False)
            yield LossCurve()
        heads = ("Asked", "Base", clean_line(name))
        yield Static(Columns(_COLUMNS, [[Content.styled(head, "$text-muted") for head in heads]]), id="heads")
        with Pane():
            yield Static(id="answers", markup=False)
        yield KeysLine()

    def on_mount(self) -> None:
        """What is known so far."""
        self.query_one(LossCurve).show(self._progress.losses, self._progress.heldout)
        self.query_one(Pane).focus()
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What forgot something is not worn by a mere Enter."""
        return action != "wear" or parameters[0] is bool(self._against)

    def action_wear(self, anyway: bool) -> None:
        """The person wants it."""
        self.dismiss(True)

    @property
    def _against(self) -> str:
        """Why it is not worn by itself."""
        installed = self._progress.installed
        return installed.kept or installed.report.forgot if installed else ""

    @property
    def _aside(self) -> str:
        """``not worn`` and why in few words, else what came of the checks."""
        installed = self._progress.installed
        if installed is None:
            return ""
        checks = installed.checks
        told = " · ".join(tally(checks)) if checks else ""
        if installed.report.forgot:
            return "not worn: it forgot too much"
        return f"not worn: {told}" if installed.kept else told

    def show_row(self, index: int, row: Compared) -> None:
        """One question as far as it is answered; a later row of the same index takes its place."""
        self._rows[index] = row
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        rows = [_row(self._rows[index]) for index in sorted(self._rows)]
        spaced = [line for row in rows for line in (row, ("", "", ""))][:-1]
        waiting = Content.styled("The questions are asked in a moment…", "$text-muted")
        self.query_one("#answers", Static).update(Columns(_COLUMNS, spaced) if spaced else waiting)


def _row(row: Compared) -> tuple[Cell, Cell, Cell]:
    kind = Content.styled(f"\n{clean_line(row.question.kind)}", "$text-muted")
    pending = Content.styled("…", "$text-muted")
    base = clean(row.base) if row.base or row.done else pending
    adapter: Cell = clean(row.adapter) if row.done else pending
    if row.done and row.same and row.question.kind == "not taught":
        adapter = Content.styled("unchanged ✓", "$success")
    return Content(clean(row.question.text)) + kind, base, adapter


def _figures(installed: Installed) -> Iterator[tuple[str, Content]]:
    report, checks = installed.report, installed.checks
    for each in checks.lost[:MOST_SHOWN] if checks else ():
        yield (
            "Lost",
            Content.styled(f"“{clean_line(each.question, 60)}” now: {clean_line(each.answer, 80)}", "$warning"),
        )
    for each in [wrong for wrong in checks.wrong if wrong not in checks.lost][:MOST_SHOWN] if checks else ():
        yield "Not learnt", Content(f"“{clean_line(each.question, 60)}”: {clean_line(each.answer, 80)}")
    stopped = Content.styled(clean_line(report.stopped_because), "$text-muted")
    yield "Trained", Content(f"{spoken_clock(report.seconds)} · {report.steps:,} steps")
    yield "Ended", stopped
    if report.heldout_loss_before is not None and report.heldout_loss_after is not None:
        yield "Held out", _fell("loss", report.heldout_loss_before, report.heldout_loss_after)
    if report.general_loss_before is not None and report.general_loss_after is not None:
        yield "Other talk", _fell("loss", report.general_loss_before, report.general_loss_after) + _drift(report)
    if report.text_loss_before is not None and report.text_loss_after is not None:
        yield "Plain text", _fell("loss", report.text_loss_before, report.text_loss_after)
    if report.forgot:
        yield "Forgot", Content.styled(clean_line(report.forgot), "$warning")
    whole = f"{_counted(report.total_parameters)} ({report.trainable_percent:.2f} %)"
    yield "Parameters", Content(f"{report.trainable_parameters:,} of {whole}")


def tally(checks: Checked) -> Iterator[str]:
    """``41 of 45 checks hold``, ``3 new``, ``1 lost``."""
    yield f"{checks.held:,} of {checks.of:,} checks hold" if checks.of != 1 else f"{checks.held} of 1 check holds"
    if checks.new:
        yield f"{checks.new:,} new"
    if checks.lost:
        yield f"{len(checks.lost):,} lost"


def _counted(parameters: int) -> str:
    """``137 M``; few are counted to the last."""
    return f"{parameters / 1e6:,.0f} M" if parameters >= 10_000_000 else f"{parameters:,}"


def _drift(report: Report) -> Content:
    """``· KL 0.02 (bound 0.25)``."""
    if report.general_kl_after is None or report.general_kl_bound is None:
        return Content("")
    return Content.assemble(
        f" · KL {report.general_kl_after:.2f}", (f" (bound {report.general_kl_bound:g})", "$text-muted")
    )


def _fell(what: str, before: float, after: float) -> Content:
    return Content(f"{what} {before:.2f} → {after:.2f}")
