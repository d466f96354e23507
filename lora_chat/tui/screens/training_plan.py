"""What would be learnt, before anything is spent. Owns the choices a person makes about it; never chooses or counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from lora_chat.chat.attached import words_of
from lora_chat.chat.conversation import Role
from lora_chat.language import tr
from lora_chat.sitting.plan import Plan
from lora_chat.text import clean_line
from lora_chat.training.choosing.reasons import words_for
from lora_chat.training.recipe import Effort
from lora_chat.training.selection import Lesson
from lora_chat.tui.keymap import told
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.training_private import PrivateScreen
from lora_chat.tui.widgets.choices import Choices
from lora_chat.tui.widgets.columns import Column, Columns
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.pane import HEIGHTS
from lora_chat.tui.widgets.plan_figures import EFFORTS, PlanFigures
from lora_chat.tui.widgets.question import folded

if TYPE_CHECKING:
    from lora_chat.services import Services

NOTHING_LEFT = "Every answer is left out: nothing to learn. {plan.exclude} takes one in again."
STILL_COUNTING = "Still counting what changed: press {plan.start} again in a moment."

_COLUMNS = (Column(share=2), Column(share=3), Column(10, right=True))
_LONGEST = 400
"""Characters of a row's cell that are looked at; no window is wider."""


@dataclass
class PlanWanted(Message):
    """The plan should be made again with these choices and given to ``show``."""

    excluded: frozenset[tuple[str, int]]
    effort: Effort
    unrated: bool
    keep: frozenset[str] = frozenset()
    """Rules for private data that are left off."""

    def of(self, plan: Plan, services: Services) -> Plan:
        """``plan`` counted again so. Raises as ``Plan.make``."""
        return plan.again(services, excluded=self.excluded, effort=self.effort, unrated=self.unrated, keep=self.keep)


@dataclass(frozen=True)
class Taught:
    """One answer of the list."""

    lesson: Lesson
    index: int
    """Of the answer in the lesson's messages."""
    why: str

    @property
    def key(self) -> tuple[str, int]:
        """What excluding it says."""
        return self.lesson.source, self.index


class TrainingPlanScreen(Beneath[Plan | None]):
    """Figures above, every answer below; Enter starts what is shown."""

    DEFAULT_CSS = """
    TrainingPlanScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #heads { padding: 0 2 0 1; margin-top: 1; height: auto; }
        Choices { scrollbar-gutter: stable; }
        &.-tiny PlanFigures { max-height: 3; }
        &.-tiny #heads { display: none; }
        #refused { height: auto; padding: 0 1; color: $error; display: none; }
    }
    """

    VERTICAL_BREAKPOINTS = HEIGHTS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "start", id="plan.start"),
        Binding("space", "leave_out(True)", "exclude", id="plan.exclude"),
        Binding("space", "leave_out(False)", "include", id="plan.exclude"),
        Binding("i", "unrated(True)", "add unrated", id="plan.unrated"),
        Binding("i", "unrated(False)", "drop unrated", id="plan.unrated"),
        Binding("left", "effort(-1)", "effort", key_display="← →", tooltip="less effort", id="plan.lighter"),
        Binding("right", "effort(1)", "effort", show=False, tooltip="more effort", id="plan.deeper"),
        Binding("v", "view", "view", id="plan.view"),
        Binding("p", "private", "private", id="plan.private"),
        Binding("w", "why", "why left out", id="plan.why"),
        Binding("escape", "dismiss", "back", id="plan.back"),
    ]

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._excluded = plan.excluded
        self._effort: Effort = plan.recipe.effort
        self._unrated = plan.wanted.unrated
        self._keep = plan.wanted.keep
        self._answers: list[Taught] = []

    def compose(self) -> ComposeResult:
        """From the top."""
        start = self.plan.start
        what = f"Teach {self.plan.name} more → {start.version}" if start else f"Train from history → {self.plan.name}"
        yield Headline(tr(what), tr(f"base {self.plan.base.name}"))
        yield Static(classes="rule")
        yield PlanFigures()
        heads = ("You said", "It will learn to say", "")
        yield Static(Columns(_COLUMNS, [[Content.styled(tr(head), "$text-muted") for head in heads]]), id="heads")
        yield Choices(keeps_focus=True)
        yield Static(id="refused", markup=False)
        yield KeysLine()

    def on_mount(self) -> None:
        """As it was offered."""
        self._draw()
        self.query_one(Choices).focus()

    def show(self, plan: Plan) -> None:
        """The plan counted again; with other choices than the newest it is still on its way."""
        self.plan = plan
        if self.is_mounted:
            self._draw()

    def refuse(self, why: str) -> None:
        """The newest choices cannot be: those of the plan hold again."""
        self._excluded, self._effort = self.plan.excluded, self.plan.recipe.effort
        self._unrated, self._keep = self.plan.wanted.unrated, self.plan.wanted.keep
        self._draw()
        self._refuse(why)

    @property
    def counting(self) -> bool:
        """Whether the figures are of other choices than the person's newest."""
        shown = (self.plan.excluded, self.plan.recipe.effort, self.plan.wanted.unrated, self.plan.wanted.keep)
        return shown != (self._excluded, self._effort, self._unrated, self._keep)

    # Drawing

    def _draw(self) -> None:
        self.query_one(PlanFigures).show(self.plan, self._effort, counting=self.counting)
        self._refuse("")
        self._list()
        self.refresh_bindings()

    def _list(self) -> None:
        """The same answers keep their place and the looked-at one."""
        answers, before = list(_answers(self.plan)), self._answers
        rows, self._answers = self.query_one(Choices), answers
        if [each.key for each in answers] == [each.key for each in before]:
            for at, each in enumerate(answers):
                rows.replace_option_prompt_at_index(at, self._row(each))
            return
        looked_at = before[rows.highlighted].key if before and rows.highlighted is not None else None
        rows.set_options([Option(self._row(each)) for each in answers])
        keys = [each.key for each in answers]
        rows.highlighted = keys.index(looked_at) if looked_at in keys else 0 if keys else None

    def _row(self, taught: Taught) -> Columns:
        out = taught.key in self._excluded
        style = "strike $text-muted" if out else ""
        texts = [Content.styled(clean_line(text[:_LONGEST]), style) for text in _exchange(taught)]
        return Columns(_COLUMNS, [[*texts, Content.styled(tr("left out" if out else taught.why), "$text-muted")]])

    def _refuse(self, why: str) -> None:
        refused = self.query_one("#refused", Static)
        refused.update(tr(why))
        refused.display = bool(why)

    # Keys

    @property
    def _looked_at(self) -> Taught | None:
        at = self.query_one(Choices).highlighted if self.is_mounted else None
        return self._answers[at] if at is not None and at < len(self._answers) else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Space does the other thing to one that is left out."""
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of each pair the one that would change something."""
        looked_at = self._looked_at
        match action, parameters:
            case "leave_out", (out,):
                return looked_at is not None and (looked_at.key in self._excluded) is not out
            case "unrated", (wanted,):
                return self._unrated is not wanted
            case "view", _:
                # The new plan is for the screen that is open.
                return looked_at is not None and not self.counting
            case "private", _:
                return not self.counting
            case "why", _:
                return bool(self.plan.counted.dropped) and not self.counting
        return True

    def action_start(self) -> None:
        """Only what was counted and teaches something."""
        if self.counting:
            self._refuse(told(self, STILL_COUNTING))
        elif not self.plan.selection.lessons:
            self._refuse(told(self, NOTHING_LEFT))
        else:
            self.dismiss(self.plan)

    def action_leave_out(self, out: bool) -> None:
        """The answer looked at, or take it in again."""
        if taught := self._looked_at:
            self._excluded = self._excluded | {taught.key} if out else self._excluded - {taught.key}
            self._changed()

    def action_unrated(self, wanted: bool) -> None:
        """Answers nobody judged as well, or no longer."""
        self._unrated = wanted
        self._changed()

    def action_effort(self, step: int) -> None:
        """More or less of it."""
        at = min(max(EFFORTS.index(self._effort) + step, 0), len(EFFORTS) - 1)
        if EFFORTS[at] != self._effort:
            self._effort = EFFORTS[at]
            self._changed()

    def _changed(self) -> None:
        self._draw()
        self.post_message(PlanWanted(self._excluded, self._effort, self._unrated, self._keep))

    def action_view(self) -> None:
        """The whole exchange that the answer looked at ends."""
        if taught := self._looked_at:
            self.app.push_screen(DetailsScreen(f"What it will learn · {taught.why}", list(_in_full(taught))))

    def action_private(self) -> None:
        """What is private in it, and which rules say so."""
        self.app.push_screen(PrivateScreen(self.plan.found.hits, self._keep), self._keeps)

    def _keeps(self, keep: frozenset[str] | None) -> None:
        if keep is not None and keep != self._keep:
            self._keep = keep
            self._changed()

    def action_why(self) -> None:
        """Each reason why answers are left out, and what changes it."""
        rows = [(f"{count:,} {reason}", words_for(reason)) for reason, count in self.plan.counted.dropped.items()]
        self.app.push_screen(DetailsScreen("Why answers are left out", rows))


def _answers(plan: Plan) -> Iterator[Taught]:
    for lesson in plan.found.lessons:
        for place, index in enumerate(lesson.learn):
            yield Taught(lesson, index, lesson.why[place] if place < len(lesson.why) else "")


def _exchange(taught: Taught) -> tuple[str, str]:
    """What was said, and what it will learn to say."""
    before = words_of(taught.lesson.messages[taught.index - 1].content) if taught.index else ""
    return before, taught.lesson.messages[taught.index].content


def _in_full(taught: Taught) -> Iterator[tuple[str, str]]:
    names = {"system": "system prompt", "user": "you", "assistant": "it said"}
    for turn in taught.lesson.messages[: taught.index]:
        yield names[turn.role], folded(turn.content) if turn.role is Role.USER else turn.content
    yield "will learn", taught.lesson.messages[taught.index].content
