"""What trainings, reports and checks tell the window. Owns to whom each of these messages goes; shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.tui import messages as news

if TYPE_CHECKING:
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.check_flow import CheckFlow
    from lora_chat.tui.screens.training import CancelWanted, PauseWanted
    from lora_chat.tui.screens.training_plan import PlanWanted
    from lora_chat.tui.training_flow import TrainingFlow


class TrainingNews:
    """The part of ``LoraChatApp`` that hands them on."""

    bridge: Bridge
    flow: TrainingFlow
    checks: CheckFlow

    def on_offered(self, event: news.Offered) -> None:
        """What would be learnt."""
        self.flow.offered(event.plan)

    def on_plan_refused(self, event: news.PlanRefused) -> None:
        """It cannot be counted so."""
        self.flow.refused(event.reason)

    def on_plan_wanted(self, event: PlanWanted) -> None:
        """The same with other choices."""
        self.flow.replan(event)

    def on_training_seen(self, event: news.TrainingSeen) -> None:
        """How far it is."""
        self.flow.saw(event.progress)

    def on_pause_wanted(self, event: PauseWanted) -> None:
        """Wait, or go on."""
        self.bridge.take("/train pause" if event.paused else "/train resume")

    def on_cancel_wanted(self, event: CancelWanted) -> None:
        """Stop it."""
        self.bridge.take("/train cancel")

    def on_compared_seen(self, event: news.ComparedSeen) -> None:
        """Before and after."""
        self.flow.compared(event)

    def on_preset_wanted(self, event: news.PresetWanted) -> None:
        """The examples in a prompt."""
        self.flow.keep_preset(event.record)

    def on_report_wanted(self, event: news.ReportWanted) -> None:
        """As files."""
        self.flow.save(event.record)

    def on_report_seen(self, event: news.ReportSeen) -> None:
        """An earlier one."""
        self.flow.show_again(event)

    def on_checks_wanted(self, event: news.ChecksWanted) -> None:
        """One by one."""
        self.bridge.take(f"/check {event.record.adapter}")

    def on_rest_wanted(self, event: news.RestWanted) -> None:
        """What there was no time for."""
        self.flow.ask_rest(event.record)

    def on_rest_seen(self, event: news.RestSeen) -> None:
        """How far that is."""
        self.flow.saw_rest(event)

    def on_checks_seen(self, event: news.ChecksSeen) -> None:
        """What was taught, to be asked again."""
        self.checks.open(event)

    def on_check_seen(self, event: news.CheckSeen) -> None:
        """What came of one."""
        self.checks.saw(event)
