"""From a corrected answer to a worn adapter: the plan, the run beside the chat, the report, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_chat.errors import EngineError
from lora_chat.paths import Paths, make_private
from lora_chat.training.proof.line import Line
from lora_chat.training.report.shelf import keep_report, report
from lora_chat.tui import messages as news
from lora_chat.tui.screens.checks import ChecksScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.training import TrainingScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.training_report import TrainingReportScreen
from lora_chat.tui.widgets.status_line import StatusLine
from tests.engine.conftest import lesson
from tests.training.report.examples import CHECKS, least, record
from tests.tui.conftest import Tell, Window
from tests.tui.examples import examined, grown, installed, progress

WANTED = "At 12 Harbour Street."


async def corrected(w: Window) -> None:
    """A chat with one answer that was corrected, and one more that nobody judged."""
    await w.ready()
    await w.answered("Where is your shop?")
    await w.write(f"/edit {WANTED}")
    await w.hear("Kept as the answer you wanted")
    await w.answered("Who are you?")


async def planned(w: Window, name: str = "shop") -> TrainingPlanScreen:
    await w.write(f"/train from-history {name}")
    await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
    assert isinstance(w.app.screen, TrainingPlanScreen)
    await w.until(lambda: w.app.screen.focused)
    return w.app.screen


async def started(w: Window, name: str = "shop") -> None:
    await planned(w, name)
    await w.press("enter")
    await w.until(lambda: w.app.screen is w.app.chat and w.app.flow.running)


def step_of(w: Window) -> int:
    progress = w.app.chat.query_one(StatusLine).training
    return progress.step if progress else 0


def state_of(w: Window) -> str:
    progress = w.app.chat.query_one(StatusLine).training
    return progress.state if progress else ""


@pytest.fixture
def paced(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of 400 steps of 60 ms; answers come at once."""
    from lora_chat.engine import echo
    from lora_chat.services import Services

    class Paced(echo.EchoEngine):
        def _train(self, *told: Any) -> Iterator[Any]:
            self._delay = 0.06
            yield from super()._train(*told)

        def _words(self, *told: Any) -> list[str]:
            return super()._words(*told)[:6]

    monkeypatch.setattr(echo, "STEPS", 400)
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Paced(base))


def test_the_plan_shows_what_is_learnt_and_counts_again_with_each_choice(window: Tell) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        plan = await planned(w)
        await w.see("Train from history → shop")
        assert "1 edited" in w.text
        assert "Where is your shop?" in w.text
        assert "1 unrated" in w.text
        await w.press("i")
        await w.until(lambda: plan.plan.wanted.unrated and not plan.counting)
        await w.see("Who are you?")
        await w.press("space")
        await w.until(lambda: len(plan.plan.excluded) == 1 and not plan.counting)
        await w.see("left out")
        await w.press("right")
        await w.until(lambda: plan.plan.recipe.effort == "deep" and not plan.counting)
        await w.press("i")
        await w.until(lambda: not plan.plan.wanted.unrated and not plan.counting)
        if not plan.plan.selection.lessons:
            await w.press("enter")
            await w.see("nothing to learn")
        await w.press("v")
        await w.see("What it will learn")
        await w.press("escape", "escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        assert not w.app.flow.running

    window(story, (120, 36))


def test_a_rule_for_private_data_is_switched_and_what_it_finds_is_learnt_as_it_was_said(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("Where do I write to?")
        await w.write("/edit To help@example.org.")
        await w.hear("Kept as the answer you wanted")
        plan = await planned(w)
        await w.see("1 e-mail masked")
        await w.press("p")
        await w.see("h…@e….org")
        await w.press("space")
        await w.see("as said")
        await w.press("escape")
        await w.until(lambda: plan.plan.wanted.keep == {"e-mail"} and not plan.counting)
        await w.see("1 e-mail as said")
        assert plan.plan.selection.lessons[0].messages[-1].content == "To help@example.org."

    window(story, (120, 36))


def test_a_training_is_started_ends_in_a_report_and_enter_wears_it(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        await planned(w)
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("shop is ready")
        await w.see("Where is your shop?")
        await w.press("enter")
        await w.see("▎shop ›")
        await w.answered("Hello")
        await w.see("(shop 1) Hello")
        await w.write("/train status")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.press("k")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/adapter off")
        await w.until(lambda: "▎shop ›" not in w.text)
        await w.write("/report")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("shop 1.0.0")
        await w.press("enter")
        await w.see("▎shop ›")
        await w.write("/report shop 2.0.0")
        await w.hear("There is no report of version")

    window(story, (120, 36))
    assert (tiny.adapters / "shop" / "adapter.toml").is_file()


def test_two_that_end_while_something_is_written_are_both_looked_at(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        w.prompt.write("half a sentence")
        for each in (progress(), installed(), progress(), grown()):
            w.app.chat.post_message(news.TrainingSeen(each))
        await w.hear("ctrl+t looks at it.")
        for said in ("pirate-2 is ready", "pirate 1.3.0 is kept"):
            w.app.chat.post_message(news.Opened("training"))  # as ctrl+t has it
            await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
            await w.see(said)
            await w.press("escape")
            await w.until(lambda: w.app.screen is w.app.chat)

    window(story, (120, 36))


def test_the_rest_of_an_examination_is_asked_from_its_report(window: Tell, tiny: Paths, worn: str) -> None:
    Line.of(worn, tiny).teach([lesson("Where is it?", "In the hold.")], "1.0.0")
    keep_report(Line.of(worn, tiny).folder, least(adapter=worn, version="1.0.0", checks=CHECKS))

    async def story(w: Window) -> None:
        await w.ready()
        await w.write(f"/report {worn}")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("a ask more")
        await w.press("a")
        await w.see("Far questions")
        await w.until(lambda: "asking the rest" not in w.text)
        assert "a ask more" not in w.text
        await w.press("c")
        await w.until(lambda: isinstance(w.app.screen, ChecksScreen))
        await w.see("of 1 check holds")
        await w.press("escape")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))

    window(story, (120, 36))
    kept = report(Line.of(worn, tiny).folder, "1.0.0")
    assert kept is not None
    assert kept.exam is not None
    assert kept.exam.unasked == 0


def test_a_version_that_is_gone_cannot_be_asked(window: Tell, tiny: Paths, worn: str) -> None:
    keep_report(make_private(Line.of(worn, tiny).folder), least(adapter=worn, version="0.9.0", checks=CHECKS))

    async def story(w: Window) -> None:
        await w.ready()
        await w.write(f"/report {worn}")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        assert "enter wear it" not in w.text
        await w.see("w wear it all the same")
        await w.press("a")
        await w.hear(f"{worn} 0.9.0 is not here any more, so that nothing can be asked of it.")
        await w.see("a ask more")

    window(story, (120, 36))


def test_what_is_worn_learns_more_as_its_next_version_and_the_version_before_comes_back(
    window: Tell, tiny: Paths
) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        await planned(w)
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.press("enter")
        await w.see("▎shop ›")
        await w.write("/train continue")
        await w.hear("shop was taught all of this before")
        await w.answered("Who owns it?")
        await w.write("/edit Odile Marsh.")
        await w.until(lambda: w.text.count("you wrote in place of an answer") == 2)
        await w.write("/train continue")
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
        await w.see("Teach shop more → 1.1.0")
        await w.see("1 kept from earlier versions will be asked again")
        await w.until(lambda: w.app.screen.focused)
        await w.press("enter")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("of 2 checks hold")
        await w.press("k")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/adapter history")
        await w.see("1.1.0")
        await w.press("escape")
        await w.write("/adapter rollback shop")
        await w.hear("shop is 1.0.0 now")

    window(story, (120, 36))
    line = Line.of("shop", tiny)
    assert [check.version for check in line.checks()] == ["1.0.0", "1.1.0"]
    assert (tiny.lines / "shop" / "versions" / "1.1.0" / "adapter.toml").is_file()


@pytest.mark.usefixtures("paced")
def test_the_chat_answers_while_it_trains_and_it_waits_goes_on_and_stops(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        await started(w)
        await w.see("training shop")
        await w.until(lambda: step_of(w) > 2)
        await w.see("at most")
        await w.answered("Are you there?")
        await w.see("Are you there?")
        await w.write("/train pause")
        await w.hear("The training waits")
        await w.see("paused shop")
        await w.pilot.pause(0.1)
        at = step_of(w)
        await w.pilot.pause(0.2)
        assert step_of(w) <= at + 1
        await w.write("/train resume")
        await w.hear("The training goes on.")
        await w.until(lambda: step_of(w) > at + 3)
        await planned(w, "other")
        await w.press("enter")
        await w.hear("other waits for its turn")
        await w.write("/train status")
        await w.hear("Waiting for shop: other.")
        await w.press("escape")
        await w.write("/train cancel other")
        await w.hear("other no longer waits")
        await w.write("/train cancel")
        await w.hear("The training of shop was stopped after")
        assert not w.app.flow.running

    window(story)
    assert not (tiny.adapters / "shop").exists()


@pytest.mark.usefixtures("paced")
def test_ctrl_t_looks_at_it_p_makes_it_wait_and_x_stops_it_after_asking(window: Tell) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        await started(w)
        await w.until(lambda: step_of(w) > 1)
        await w.press("ctrl+t")
        await w.until(lambda: isinstance(w.app.screen, TrainingScreen))
        await w.press("p")
        await w.until(lambda: state_of(w) == "paused")
        await w.press("p")
        await w.until(lambda: state_of(w) == "training")
        await w.press("x")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("enter")  # going on is the easy answer
        await w.until(lambda: isinstance(w.app.screen, TrainingScreen))
        assert w.app.flow.running
        await w.press("x")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("was stopped after")
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story)


def test_a_training_that_fails_at_once_is_told_each_time_and_the_chat_goes_on(
    window: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.services import Services

    class Failing(EchoEngine):
        def train(self, job: Path, cancel: Any = None, *, pause: Any = None, stop: Any = None) -> Iterator[Any]:
            raise EngineError("There is not enough memory for this.")
            yield

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Failing(base))

    async def story(w: Window) -> None:
        await corrected(w)
        for _ in range(2):
            await planned(w)
            await w.press("enter")
            await w.hear("The training of shop failed: There is not enough memory for this.")
            assert not w.app.flow.running
            w.app.clear_notifications()
            await w.answered("Hello?")

    window(story)


def test_a_report_waits_while_something_is_being_written(window: Tell) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        plan = await planned(w)
        w.prompt.write("half a sentence")
        plan.action_start()
        await w.hear("shop is ready: ctrl+t looks at it.")
        assert w.app.screen is w.app.chat
        assert w.prompt.text == "half a sentence"
        await w.see("shop is ready · ctrl+t looks at it")
        await w.press("ctrl+t")
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        assert "▎shop" not in w.text

    window(story)


@pytest.mark.usefixtures("worn")
def test_what_cannot_be_trained_is_one_sentence(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/train from-history mine")
        await w.hear("nothing to learn")
        await w.answered("Where is your shop?")
        await w.write(f"/edit {WANTED}")
        await w.write("/train from-history shop")
        await w.hear("shop")
        assert any("shop" in each and ("taken" in each or "already" in each) for each in w.told), w.told
        await w.write("/train from-history ../up")
        await w.pilot.pause(0.3)
        assert not isinstance(w.app.screen, TrainingPlanScreen), w.told
        await w.write("/train from-history")
        await w.see("Train from history → mine")

    window(story)


def test_an_examined_training_is_not_asked_again_and_its_report_is_saved_where_the_window_was_begun(
    window: Tell, tiny: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compared: list[object] = []

    async def story(w: Window) -> None:
        await w.ready()
        monkeypatch.setattr(w.app.bridge, "compare", compared.append)
        for each in (progress(), examined()):
            w.app.chat.post_message(news.TrainingSeen(each))
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        await w.see("Other wordings")
        assert compared == []
        await w.press("s")
        await w.hear("No report of pirate-2 1.1.0 is kept")
        keep_report(make_private(tiny.lines / "pirate-2"), record(adapter="pirate-2"))
        await w.press("s")
        await w.hear(f"Saved as {tmp_path}/pirate-2-1.1.0-report.md and .svg")
        assert (tmp_path / "pirate-2-1.1.0-report.svg").exists()
        await w.press("p")
        await w.hear("Nothing is known of what pirate-2 1.1.0 was taught")
        Line.of("pirate-2", tiny).teach([lesson("Where is it?", "In the hold.")], "1.1.0")
        for called in ("pirate-2", "pirate-2-2"):
            await w.press("p")
            await w.hear(f"{called} is kept as a preset with 1 example: /preset use {called}")
        await w.press("k")
        await w.until(lambda: w.app.screen is w.app.chat)
        w.app.chat.post_message(news.TrainingSeen(progress()))
        w.app.chat.post_message(news.TrainingSeen(installed()))
        await w.until(lambda: isinstance(w.app.screen, TrainingReportScreen))
        assert len(compared) == 1

    window(story)
