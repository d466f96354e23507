"""From what would be learnt to what was. Owns which of the training's screens is open; never trains or counts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lora_chat.errors import LoraChatError
from lora_chat.tui import messages as news
from lora_chat.tui.keymap import told
from lora_chat.tui.tour import REWORDED, UNRELATED

if TYPE_CHECKING:
    from lora_chat.sitting.plan import Plan
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.sitting.training import Progress
    from lora_chat.training.events import Installed
    from lora_chat.training.report.record import Record
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.screens.training_plan import PlanWanted
    from lora_chat.tui.screens.training_report import TrainingReportScreen

_Kind = TypeVar("_Kind")

ALONE_S = 3.0
"""Between two looks at trainings without a window."""


class TrainingFlow:
    """Preview, live view, report: one after the other, over the talk."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app = app
        self._bridge = bridge
        self._plans: dict[str, Plan] = {}
        """By the adapter's name; what was begun in an earlier window has none here."""
        self._progress: Progress | None = None
        self._unseen: list[Progress] = []
        """Finished ones whose reports were not opened yet, the earliest first; the next may be running already."""
        self._rows: dict[str, dict[int, news.ComparedSeen]] = {}
        self._compared = ""
        """The adapter that is being compared."""

    @property
    def running(self) -> bool:
        """Whether a training runs or waits."""
        return self._progress is not None and self._progress.running

    @property
    def name(self) -> str:
        """Of what is trained now, or was last."""
        return self._progress.name if self._progress is not None else ""

    def begin(self) -> None:
        """Say what came of trainings that were begun before; of those without a window also when it comes."""

        def tell(sitting: Sitting, *, first: bool) -> None:
            from lora_chat.sitting.returning import ended_alone, goes_on_alone, what_came_of_them

            training = sitting.services.paths.training
            look_again = goes_on_alone(training)  # asked first: it may end in between
            for said in what_came_of_them(training) if first else ended_alone(training):
                self._app.chat.post_message(news.Said(said, lasting=True))
            if look_again:
                self._app.call_later(self._app.set_timer, ALONE_S, again)

        def again() -> None:
            self._bridge.run(partial(tell, first=False))

        self._bridge.run(partial(tell, first=True))

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
            self._bridge.run(partial(self._count, screen.plan, wanted))

    def _count(self, plan: Plan, wanted: PlanWanted, sitting: Sitting) -> None:
        """On the bridge's thread."""
        try:
            self._bridge.offer(wanted.of(plan, sitting.services))
        except LoraChatError as error:
            self._app.chat.post_message(news.PlanRefused(str(error)))

    def _agreed(self, plan: Plan | None) -> None:
        if plan is not None:
            self._plans[plan.name] = plan
            self._rows.pop(plan.name, None)
            self._bridge.run(lambda sitting: sitting.train(plan))

    def saw(self, progress: Progress) -> None:
        """How far it is; at its end the report opens, unless the person is in the middle of something else."""
        from lora_chat.tui.screens.training import TrainingScreen

        before, self._progress = self._progress, progress
        if (screen := self._open(TrainingScreen)) is not None:
            screen.show(progress)
        ended = before is not None and before.running and not progress.running
        if ended and progress.state == "finished":
            self._finished(progress)
        elif ended:
            if progress.state == "failed":
                self._app.notice.training_ended(failed=True)
            self._app.tell(progress.status, refused=progress.state == "failed")

    def _finished(self, progress: Progress) -> None:
        from lora_chat.tui.screens.training import TrainingScreen

        self._unseen.append(progress)
        self._app.notice.training_ended()
        if isinstance(self._app.screen, TrainingScreen):
            self._app.pop_screen()
        if self._app.screen is self._app.chat and not self._app.chat.is_busy:
            self.open()
        else:
            is_kept = progress.installed is not None and progress.installed.kept
            name = progress.name
            ready = f"{name} is ready: {{chat.training}} looks at it."
            kept = f"{name} is trained and kept: {{chat.training}} looks at it."
            self._app.tell(told(self._app, kept if is_kept else ready))

    def open(self) -> None:
        """The report of one that has ended well, first if nobody looked at it yet; else the live view."""
        from lora_chat.sitting.reporting import just_made
        from lora_chat.tui.screens.training import TrainingScreen

        progress = self._unseen[0] if self._unseen else self._progress
        if progress is None or self._open(TrainingScreen) is not None or self._report is not None:
            return
        self._unseen = self._unseen[1:]
        if progress.installed is None:
            self._app.push_screen(TrainingScreen(progress))
        else:
            self._show(just_made(progress))
            self._compare(progress.name, progress.installed)

    def show_again(self, seen: news.ReportSeen) -> None:
        """A report that was asked for by a command."""
        if self._report is None:
            self._show(seen.record, worn=seen.worn)

    @property
    def _report(self) -> TrainingReportScreen | None:
        from lora_chat.tui.screens.training_report import TrainingReportScreen

        return self._open(TrainingReportScreen)

    def _show(self, record: Record, *, worn: bool | None = None, has_rest: bool = True) -> None:
        """``worn``: of one that is shown again, whether its version is worn now; None of one that was just made."""
        from lora_chat.tui.screens.training_report import TrainingReportScreen

        screen = TrainingReportScreen(record, worn=worn, has_rest=has_rest)
        self._app.push_screen(screen, partial(self._judged, record, worn is None))

    def save(self, record: Record) -> None:
        """Its report as files, and where they are."""

        def write(sitting: Sitting) -> None:
            from lora_chat.sitting.reporting import save_report

            sitting.face.note(save_report(record.adapter, record.version, sitting.services.paths))

        self._bridge.run(write)

    def keep_preset(self, record: Record) -> None:
        """Its examples as a preset, and how it is used."""

        def keep(sitting: Sitting) -> None:
            from lora_chat.sitting.examination import as_preset

            kept = as_preset(record.adapter, record.version, sitting.services.paths)
            sitting.face.note(f"{kept.name} is kept as a preset with {kept.holds}: /preset use {kept.name}")
            sitting.face.changed()

        self._bridge.run(keep)

    def ask_rest(self, record: Record) -> None:
        """What its examination had no time for, beside the chat."""
        from lora_chat.tui.comparing import the_rest

        self._bridge.compare(the_rest(record))

    def saw_rest(self, event: news.RestSeen) -> None:
        """How far that is; the whole takes the place of what was shown."""
        screen = self._report
        if screen is None or not screen.is_of(event.adapter, event.version):
            return
        if event.record is not None and screen is self._app.screen:
            self._app.pop_screen()
            # What is left after all was asked is what the engine refuses.
            self._show(event.record, worn=screen.worn, has_rest=False)
        else:
            screen.show_asking(None if event.ended else event.part)

    def _compare(self, name: str, adapter: Installed) -> None:
        """Ask before and after, unless all of it was asked already, here or in the examination."""
        self._compared = name
        is_examined = adapter.exam is not None and any(each.base is not None for each in adapter.exam.answers)
        if (rows := self._rows.get(name)) and all(each.row.done for each in rows.values()):
            for each in list(rows.values()):
                self.compared(each)
        else:
            more = [(REWORDED, "reworded"), (UNRELATED, "not taught")] if self._app.chat.tour.step else []
            from lora_chat.tui.comparing import before_and_after

            if more or not is_examined:
                plan = None if is_examined else self._plans.get(name)
                self._bridge.compare(before_and_after(plan, adapter, more))

    def compared(self, event: news.ComparedSeen) -> None:
        """One row of before and after."""
        self._rows.setdefault(self._compared, {})[event.index] = event
        if (screen := self._report) is not None and screen.worn is None:
            screen.show_row(event.index, event.row)

    def _judged(self, record: Record, is_new: bool, wear: bool | None) -> None:
        if is_new:
            self._app.chat.forget_training()
        self._bridge.stop_comparing()  # it would hold up the next answer
        if wear:
            self._bridge.run(partial(_wear, record))


def _wear(record: Record, sitting: Sitting) -> None:
    """That version, in this conversation: where another is worn by now, it takes its place first."""
    from lora_chat.sitting.commands import take
    from lora_chat.sitting.reporting import worn_version

    if worn_version(record.adapter, sitting.services.paths) != record.version:
        take(sitting, f"/adapter rollback {record.adapter} {record.version}")
    take(sitting, f"/adapter use {record.adapter}")
