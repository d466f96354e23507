"""What a training would teach and cost, in a few rows. Owns their words; never counts or estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from textual.content import Content
from textual.widgets import Static

from lora_chat.language import tr
from lora_chat.models.sources.staging import size
from lora_chat.sitting.plan import Plan
from lora_chat.text import clean_line
from lora_chat.training.estimate import spoken
from lora_chat.training.events import DatasetReady
from lora_chat.training.preview import too_little
from lora_chat.training.recipe import Effort
from lora_chat.tui.widgets.columns import facts

EFFORTS: tuple[Effort, ...] = get_args(Effort)
"""From the lightest."""


class PlanFigures(Static):
    """Taught, left out, masked, and what it takes at which effort."""

    DEFAULT_CSS = """
    PlanFigures { padding: 0 1; height: auto; }
    """

    def show(self, plan: Plan, effort: Effort, *, counting: bool) -> None:
        """``counting``: the person has chosen otherwise, ``effort`` included, and ``plan`` does not know it yet."""
        self.update(facts([(tr(name), fact) for name, fact in _rows(plan, effort, counting)]))


def _rows(plan: Plan, effort: Effort, counting: bool) -> Iterator[tuple[str, Content]]:
    counted = plan.counted
    said = "counting…" if counting else f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} supervised"
    yield "Taught", Content.assemble(_taught(plan), ("   " + tr(said), "$text-muted"))
    dropped = [f"{count:,} {clean_line(tr(reason), 160)}" for reason, count in counted.dropped.items()]
    why = f"   {tr('w says why')}" if dropped else ""
    yield "Left out", Content.assemble(" · ".join(dropped) or tr("nothing"), (why, "$text-muted"))
    if plan.filters and plan.filters.told:
        yield "Filtered", Content(" · ".join(clean_line(tr(each), 120) for each in plan.filters.told))
    yield "Private", Content.assemble(_private(counted), ("   " + tr("p switches the rules"), "$text-muted"))
    if few := too_little(counted):
        yield "Enough?", Content.styled(tr(few), "$text-muted")
    if plan.start and plan.start.checks:
        yield "Checks", Content(tr(f"{plan.start.checks:,} kept from earlier versions will be asked again"))
    yield "Effort", Content(" ").join(_effort(each, each == effort) for each in EFFORTS)
    yield "Takes", Content.styled(tr("counting…"), "$text-muted") if counting else _cost(plan)


def _taught(plan: Plan) -> str:
    """``14 edited · 9 rated good``."""
    why = Counter(why for lesson in plan.selection.lessons for why in lesson.why)
    counts = [f"{count:,} {clean_line(tr(reason))}" for reason, count in why.items()]
    return " · ".join(counts) or (
        f"{plan.selection.examples:,} {tr('answers')}" if plan.selection.examples else tr("nothing")
    )


def _private(counted: DatasetReady) -> str:
    """``2 e-mail · 1 card masked   1 phone as it was said``."""
    parts = [(counted.private, "masked"), (counted.kept, "as said")]
    said = [
        " · ".join(f"{count:,} {clean_line(rule, 40)}" for rule, count in counts.items()) + f" {tr(done)}"
        for counts, done in parts
        if counts
    ]
    return "   ".join(said) or tr("nothing found that had to be masked")


def _effort(effort: Effort, chosen: bool) -> Content:
    return (
        Content.styled(f"‹{tr(effort)}›", "bold $primary")
        if chosen
        else Content.styled(f" {tr(effort)} ", "$text-muted")
    )


def _cost(plan: Plan) -> Content:
    cost = f"{tr(spoken(plan.estimate.seconds))} · {tr(f'{size(plan.estimate.bytes)} of memory')}"
    return Content.assemble(cost, ("   " + clean_line(tr(plan.estimate.basis)), "$text-muted"))
