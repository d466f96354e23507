"""From what would be learnt to what was. Owns which of the training's screens is open; never trains or counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lora_chat.tui import messages as news
from lora_chat.tui.tour import REWORDED, UNRELATED

if TYPE_CHECKING:
    from lora_chat.sitting.training import Plan, Progress
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.screens.training_plan import PlanWanted

_Kind = TypeVar("_Kind")


class TrainingFlow:
    """Preview, live view, report: one after the other, over the talk."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app = app
        self._bridge = bridge
        self._plan: Plan | None = None
        self._progress: Progress | None = None
        self._rows: dict[int, news.ComparedSeen] = {}

    @property
    def running(self) -> bool:
        """Whether a training runs or waits."""
        return self._progress is not None and self._progress.running

    def offered(self, plan: Plan) -> None:
        """Show what would be learnt; a plan that was counted again takes the old one's place."""
        from lora_chat.tui.screens.training_plan import TrainingPlanScreen

        if (screen := self._open(TrainingPlanScreen)) is not None:
            screen.show(plan)
        else:
            self._app.push_screen(TrainingPlanScreen(plan), self._agreed)

    def refused(self, why: str) -> None:
        """It cannot be counted so."""
        from lora_chat.tui.screens.training_plan import TrainingPlanScreen

        if (screen := self._open(TrainingPlanScreen)) is not None:
            screen.refuse(why)

    def _open(self, kind: type[_Kind]) -> _Kind | None:
        """The open screen of that kind, also below another."""
        return next((screen for screen in self._app.screen_stack if isinstance(screen, kind)), None)

    def replan(self, wanted: PlanWanted) -> None:
        """The person chose otherwise: count again."""
        from lora_chat.tui.screens.training_plan import TrainingPlanScreen

        if (screen := self._open(TrainingPlanScreen)) is not None:
            self._bridge.replan(screen.plan, wanted)

    def _agreed(self, plan: Plan | None) -> None:
        if plan is not None:
            self._plan, self._rows = plan, {}
            self._bridge.run(lambda sitting: sitting.train(plan))

    def saw(self, progress: Progress) -> None:
        """How far it is; at its end the report opens, unless the person is in the middle of something else."""
        from lora_chat.tui.screens.training import TrainingScreen

        before, self._progress = self._progress, progress
        if (screen := self._open(TrainingScreen)) is not None:
            screen.show(progress)
        ended = before is not None and before.running and not progress.running
        if ended and progress.state == "finished":
            self._finished()
        elif ended:
            self._app.tell(progress.status, refused=progress.state == "failed")

    def _finished(self) -> None:
        from lora_chat.tui.screens.training import TrainingScreen

        assert self._progress is not None
        self._app.bell()
        if isinstance(self._app.screen, TrainingScreen):
            self._app.pop_screen()
        if self._app.screen is self._app.chat and not self._app.chat.is_busy:
            self.open()
        else:
            self._app.tell(f"{self._progress.name} is ready: ctrl+t looks at it.")

    def open(self) -> None:
        """The live view while it runs, the report once it has ended well."""
        from lora_chat.tui.screens.training import TrainingScreen
        from lora_chat.tui.screens.training_report import TrainingReportScreen

        progress = self._progress
        is_open = self._open(TrainingScreen) is not None or self._open(TrainingReportScreen) is not None
        if progress is None or is_open:
            return
        if progress.installed is None:
            self._app.push_screen(TrainingScreen(progress))
        else:
            self._app.push_screen(TrainingReportScreen(progress), self._judged)
            self._compare(progress.installed.adapter)

    def _compare(self, adapter: str) -> None:
        """Ask before and after, unless all of it was asked already."""
        if self._rows and all(each.row.done for each in self._rows.values()):
            for each in self._rows.values():
                self.compared(each)
        elif self._plan is not None:
            more = [(REWORDED, "reworded"), (UNRELATED, "not taught")] if self._app.chat.tour.step else []
            self._bridge.compare(self._plan, adapter, more)

    def compared(self, event: news.ComparedSeen) -> None:
        """One row of before and after."""
        from lora_chat.tui.screens.training_report import TrainingReportScreen

        self._rows[event.index] = event
        if (screen := self._open(TrainingReportScreen)) is not None:
            screen.show_row(event.index, event.row)

    def _judged(self, wear: bool | None) -> None:
        self._app.chat.forget_training()
        self._bridge.stop_comparing()  # it would hold up the next answer
        installed = self._progress.installed if self._progress else None
        if wear and installed is not None:
            self._bridge.take(f"/adapter use {installed.adapter}")
