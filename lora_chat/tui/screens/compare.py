"""One question in columns. Owns where they stand and which one the keys are for; never asks, and keeps nothing."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.events import Resize
from textual.geometry import Size
from textual.widgets import Static

from lora_chat.chat.attached import words_of
from lora_chat.language import tr
from lora_chat.sitting.columns import Answered, Began, ColumnEvent, Comparison, Grew
from lora_chat.tui.keymap import told
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.widgets.answer_column import AnswerColumn
from lora_chat.tui.widgets.headline import Headline
from lora_chat.tui.widgets.keys import KeysLine

LEAST_WIDTH = 34
"""Cells in which an answer still reads well; narrower columns stand below each other."""

LEAST_HEIGHT = 9
"""Rows of a column; where there is no room for all of them the whole is scrolled."""


class CompareScreen(Beneath[int]):
    """The question, an answer in each column, and the keys; returns the place of the one marked as the better."""

    DEFAULT_CSS = """
    CompareScreen {
        background: $background;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #columns {
            height: 1fr;
            padding: 0 1;
            grid-gutter: 1 1;
            overflow-y: auto;
            scrollbar-size-vertical: 1;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,b", "mark", "this is better", id="compare.mark"),
        Binding("left,shift+tab", "step(-1)", "others", key_display="← →", tooltip="the one before", id="compare.left"),
        Binding("right,tab", "step(1)", "others", show=False, tooltip="the next one", id="compare.right"),
        Binding("m", "go_on", "more", show=False, tooltip="how one goes on", id="compare.more"),
        Binding("t", "thought", "thought", show=False, tooltip="unfold what was thought", id="compare.thought"),
        *(Binding(f"{n}", f"copy_code({n})", "copy code", show=False, id=f"compare.code-{n}") for n in range(1, 10)),
        Binding("escape", "dismiss(None)", "back", id="compare.back"),
    ]

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self.comparison = comparison
        self.columns = [AnswerColumn(column) for column in comparison.columns]

    def compose(self) -> ComposeResult:
        """From the top."""
        yield Headline(words_of(self.comparison.question.content), tr("which answer is better?"))
        yield Static(classes="rule")
        yield Grid(*self.columns, id="columns")
        yield KeysLine()

    def on_mount(self) -> None:
        """The first one has the keys."""
        self.columns[0].choose()

    def on_resize(self, event: Resize) -> None:
        """As many beside each other as read well, all rows alike; the last one of a row that is not full is wider."""
        self._arrange(event.size)

    def _arrange(self, size: Size) -> None:
        many = len(self.columns)
        rows = -(-many // max(1, min(many, (size.width - 1) // (LEAST_WIDTH + 1))))
        beside = -(-many // rows)
        grid = self.query_one("#columns", Grid)
        grid.styles.grid_size_columns = beside
        room = size.height - 3 - (rows - 1)  # without the headline, the rule, the keys and what is between rows
        height = max(room // rows, min(LEAST_HEIGHT, room))
        grid.styles.grid_rows = str(height) if rows > 1 else "1fr"
        for column in self.columns:
            column.styles.column_span = 1
            column.fit(height)
        self.columns[-1].styles.column_span = beside * rows - many + 1

    @property
    def chosen(self) -> int:
        """The place of the column that the keys are for."""
        return next((place for place, column in enumerate(self.columns) if column.is_chosen), 0)

    @property
    def is_writing(self) -> bool:
        """Whether there is more to come."""
        return any(column.ended is None for column in self.columns)

    @property
    def ended(self) -> dict[int, Answered]:
        """The ends there are so far, by their places."""
        return {place: column.ended for place, column in enumerate(self.columns) if column.ended is not None}

    def show(self, event: ColumnEvent) -> None:
        """What became of a column."""
        column = self.columns[event.column]
        match event:
            case Began():
                column.begin()
            case Grew():
                column.grow(event.text)
            case Answered():
                column.end(event)
                self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a whole answer can be the better one."""
        return action != "mark" or self.columns[self.chosen].can_be_marked

    def action_step(self, step: int) -> None:
        """To the next one, around."""
        self.columns[(self.chosen + step) % len(self.columns)].choose()

    def action_go_on(self) -> None:
        """Nothing of a column is kept yet."""
        self.notify(
            told(
                self, "An answer in a column cannot go on: mark it with {compare.mark}, then /continue goes on with it."
            )
        )

    def action_thought(self) -> None:
        """What was thought before the answer, or fold it again."""
        self.columns[self.chosen].saying.turn()

    def action_copy_code(self, number: int) -> None:
        """Copy one block of code of the answer."""
        if code := self.columns[self.chosen].saying.code(number):
            self.app.copy_to_clipboard(code)

    def action_mark(self) -> None:
        """It is the better one."""
        self.dismiss(self.chosen)
