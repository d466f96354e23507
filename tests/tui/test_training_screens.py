"""Plan, live view and report of a training: what they show, what they ask for, what they are dismissed with."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lora_chat.sitting.training import Progress
from lora_chat.training.events import Checked, DatasetReady, Installed, Sampled
from lora_chat.training.proof.result import Answered
from lora_chat.tui import messages as news
from lora_chat.tui.screens.training import STOP, CancelWanted, PauseWanted, TrainingScreen, spoken_clock
from lora_chat.tui.screens.training_plan import NOTHING_LEFT, STILL_COUNTING, PlanWanted, TrainingPlanScreen
from lora_chat.tui.screens.training_report import TrainingReportScreen
from lora_chat.tui.widgets.status_line import training_line
from tests.tui.examples import (
    HARMLESS,
    HOSTILE,
    REPORT,
    Seat,
    after,
    compared,
    examined,
    grown,
    installed,
    looks,
    plan,
    progress,
    reported,
    show,
)

EVERYTHING = [(f"c{at}", 2) for at in range(3)]


def answers(seat: Seat, *keys: str, counted: Any) -> Any:
    """Press, then give the plan counted again."""

    async def told() -> str:
        await seat.press(*keys)
        assert "counting…" in seat.text
        screen = seat.app.screen
        assert isinstance(screen, TrainingPlanScreen)
        screen.show(counted)
        seen = await seat.rests()
        assert "counting…" not in seen
        return seen

    return told()


# The plan


def test_a_plan_is_shown_before_anything_is_spent() -> None:
    seen = looks(TrainingPlanScreen(plan()))
    assert "Train from history → pirate-2" in seen
    assert "2 edited · 1 rated good   2,310 tokens, 1,020 supervised" in seen
    assert "31 unrated · 4 stopped   w says why" in seen
    assert "2 e-mail · 1 card masked   p switches the rules" in seen
    assert "Enough?    3 answers: enough to learn by heart" in seen
    assert "‹normal›" in seen
    assert "about 2 min · 1.2 GB of memory   measured in 2 earlier trainings" in seen
    assert "Where is my parcel?" in seen
    assert "enter start · space exclude · i add unrated · ← → effort · v view · esc back" in seen


def test_enter_starts_what_is_shown_and_escape_nothing() -> None:
    offered = plan()
    assert after(TrainingPlanScreen(offered), "enter") == [offered]
    assert after(TrainingPlanScreen(offered), "escape") == [None]


def test_answers_are_left_out_and_taken_in_again() -> None:
    async def story(seat: Seat) -> None:
        seen = await answers(seat, "down", "space", counted=plan([("c1", 2)]))
        assert "left out" in next(line for line in seen.splitlines() if "How do I return" in line)
        assert "1 excluded" in seen
        assert "space include" in seat.keys
        await answers(seat, "space", counted=plan())
        assert "space exclude" in seat.keys

    asked = show(TrainingPlanScreen(plan()), story)[1]
    assert asked == [PlanWanted(frozenset({("c1", 2)}), "normal", False), PlanWanted(frozenset(), "normal", False)]


def test_effort_goes_from_light_to_deep() -> None:
    async def story(seat: Seat) -> None:
        assert "‹light›" in await answers(seat, "left", counted=plan(effort="light"))
        await seat.press("left")
        assert "‹deep›" in await answers(seat, "right", "right", counted=plan(effort="deep"))
        await seat.press("right")

    asked = show(TrainingPlanScreen(plan()), story)[1]
    assert [event.effort for event in asked if isinstance(event, PlanWanted)] == ["light", "normal", "deep"]


def test_unrated_answers_come_and_go_and_the_place_is_kept() -> None:
    async def story(seat: Seat) -> None:
        seen = await answers(seat, "down", "down", "i", counted=plan(unrated=True))
        assert "Who are you?" in seen
        assert "1 unrated" in seen
        assert "i drop unrated" in seat.keys
        await answers(seat, "space", counted=plan([("c2", 2)], unrated=True))
        assert "Who are you?" not in await answers(seat, "i", counted=plan([("c2", 2)]))

    asked = show(TrainingPlanScreen(plan()), story)[1]
    assert [event.unrated for event in asked if isinstance(event, PlanWanted)] == [True, True, False]


def test_the_rules_for_private_data_are_seen_and_switched() -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.press("p")
        assert "Private data" in seen
        assert "masked    e-mail" in seen
        assert "a…@e….org" in seen
        assert "a name of at most 64 characters" in seen
        assert "space leave off · esc back" in seat.keys
        seen = await seat.press("space")
        assert "as said   e-mail" in seen
        assert "space mask · esc back" in seat.keys
        await answers(seat, "escape", counted=plan(keep={"e-mail"}))
        await seat.press("p", "down", "escape")  # nothing was switched
        assert "counting…" not in await seat.rests()
        await answers(seat, "p", "space", "escape", counted=plan())

    asked = show(TrainingPlanScreen(plan()), story, (120, 36))[1]
    assert [event.keep for event in asked if isinstance(event, PlanWanted)] == [{"e-mail"}, frozenset()]


def test_why_answers_are_left_out_is_explained_with_what_to_do() -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.press("w")
        assert "31 unrated" in seen
        assert "nobody said if they are good" in seen
        assert "they are unfinished; answer again, or edit them" in seen

    show(TrainingPlanScreen(plan()), story)


def test_nothing_starts_while_it_counts_or_when_nothing_is_left() -> None:
    async def story(seat: Seat) -> None:
        screen = seat.app.screen
        assert isinstance(screen, TrainingPlanScreen)
        for _ in range(3):
            await seat.press("space", "down")
        assert STILL_COUNTING.replace("{plan.start}", "Enter") in await seat.press("enter")
        screen.show(plan(EVERYTHING[:2]))  # an earlier answer: two more are on their way
        assert "counting…" in await seat.rests()
        screen.show(plan(EVERYTHING))
        assert "counting…" not in await seat.rests()
        assert NOTHING_LEFT.replace("{plan.exclude}", "Space") in await seat.press("enter")

    assert show(TrainingPlanScreen(plan()), story)[0] == []


def test_an_exchange_can_be_read_in_full() -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.press("v")
        assert "What it will learn · edited" in seen
        assert "system prompt   Be brief." in seen
        await seat.press("escape")
        assert isinstance(seat.app.screen, TrainingPlanScreen)

    show(TrainingPlanScreen(plan()), story)


def test_a_plan_of_foreign_texts_is_only_text() -> None:
    foreign = plan(exchanges=((HOSTILE, HOSTILE, "edited"),))
    counted = dataclasses.replace(foreign.counted, dropped={HOSTILE: 1})
    cost = dataclasses.replace(foreign.estimate, basis=HOSTILE)
    base = dataclasses.replace(foreign.base, name=HOSTILE)
    screen = TrainingPlanScreen(dataclasses.replace(foreign, name=HOSTILE, base=base, counted=counted, estimate=cost))

    async def story(seat: Seat) -> None:
        assert (await seat.rests()).count(HARMLESS) == 6
        assert (await seat.press("v")).count(HARMLESS) >= 2

    show(screen, story, (140, 30))


# The live view


def test_a_training_is_seen_while_it_runs() -> None:
    seen = looks(TrainingScreen(progress(heldout=((0, 2.9), (3, 1.8)))))
    assert "step 3/60 · loss 0.61 · held out 1.80 · 1:10 left at most · 312 tok/s" in seen
    assert "○ held out" in seen
    assert "p pause · x stop it · esc back to the chat" in seen


def test_what_it_answers_by_now_and_the_memory_are_seen() -> None:
    said = (
        Sampled(12, "Where is your shop?", "At 12 Harbour Street.", True, True),
        Sampled(12, HOSTILE, HOSTILE + "…", False, False),
    )
    seen = looks(TrainingScreen(progress(memory=1_380_000_000, samples=said)), (120, 36))
    assert "1:10 left at most · 312 tok/s · 1.4 GB" in seen
    assert "taught, step 12  Where is your shop? → At 12 Harbour Street. ✓" in seen
    assert f"other talk, step 12  {HARMLESS}" in seen
    assert seen.count("✓") == 1
    assert "○ held out" in looks(TrainingScreen(progress(samples=said, heldout=((0, 2.9), (3, 1.8)))))


def test_it_is_paused_and_resumed() -> None:
    async def story(seat: Seat) -> None:
        screen = seat.app.screen
        assert isinstance(screen, TrainingScreen)
        await seat.press("p")
        screen.show(progress("paused"))
        assert "paused" in await seat.rests()
        assert "p resume" in seat.keys
        await seat.press("p")

    asked = show(TrainingScreen(progress()), story)[1]
    assert asked == [PauseWanted(True), PauseWanted(False)]


@pytest.mark.parametrize(("keys", "stopped"), [("x y", True), ("x enter", False), ("x escape", False)])
def test_stopping_it_is_asked_about(keys: str, stopped: bool) -> None:
    async def story(seat: Seat) -> None:
        first, *rest = keys.split()
        assert STOP in await seat.press(first)
        await seat.press(*rest)

    asked = show(TrainingScreen(progress()), story)[1]
    assert [type(event) for event in asked] == [CancelWanted] * stopped


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled"])
def test_how_it_ended_is_said_in_place(state: Any) -> None:
    async def story(seat: Seat) -> None:
        screen = seat.app.screen
        assert isinstance(screen, TrainingScreen)
        screen.show(progress(state, status=HOSTILE))
        assert HARMLESS in await seat.rests()
        assert seat.keys == "esc back to the chat"
        await seat.press("p", "x", "escape")

    assert show(TrainingScreen(progress()), story) == ([None], [])


def test_what_comes_before_the_first_step_is_shown() -> None:
    seen = looks(TrainingScreen(progress("preparing", what=HOSTILE, done=0.45, step=0, losses=())))
    assert HARMLESS in seen
    assert "45%" in seen
    assert "━" in seen


# The report


def test_what_goes_on_from_a_checkpoint_says_where_before_its_next_step() -> None:
    going_on = progress("preparing", step=15, steps=0, eta_s=None)
    assert training_line(going_on, 80).plain == "training pirate-2  going on from step 15"
    assert "going on from step 15…" in looks(TrainingScreen(going_on))


def test_enter_wears_it_and_k_or_escape_keep_it() -> None:
    assert after(reported(installed()), "enter") == [True]
    assert after(reported(installed()), "k") == [False]
    assert after(reported(installed()), "escape") == [False]


def test_the_report_says_what_was_measured() -> None:
    seen = looks(reported(installed()))
    assert "pirate-2 is ready" in seen
    assert "2:04 · 60 steps" in seen
    assert "every answer is learnt" in seen
    assert "loss 2.91 → 1.84" in seen
    assert "Other talk   loss 1.02 → 1.04" in seen
    assert "2,442,240 of 137 M (1.78 %)" in seen
    small = dataclasses.replace(REPORT, trainable_parameters=128, total_parameters=115_264, trainable_percent=0.1112)
    assert "128 of 115,264 (0.11 %)" in looks(reported(installed(small)))
    assert "Held out" not in looks(reported(installed(dataclasses.replace(REPORT, heldout_loss_after=None))))


FORGOT = dataclasses.replace(
    REPORT,
    general_kl_before=0.0,
    general_kl_after=0.83,
    general_kl_bound=0.25,
    text_loss_before=3.1,
    text_loss_after=3.42,
    forgot="On general questions it has moved far from the base.",
)


def test_one_that_forgot_too_much_is_not_worn_by_a_mere_enter() -> None:
    assert after(reported(installed(FORGOT)), "enter", "escape") == [False]
    assert after(reported(installed(FORGOT)), "w") == [True]
    assert after(reported(installed()), "w", "k") == [False]
    seen = looks(reported(installed(FORGOT)), (120, 36))
    assert "not worn: it forgot too much" in seen
    assert "Other talk   loss 1.02 → 1.04 · KL 0.83 (bound 0.25)" in seen
    assert "Plain text   loss 3.10 → 3.42" in seen
    assert "On general questions it has moved far from the base." in seen
    assert "w wear it all the same · k not now" in seen
    assert "enter" not in seen.splitlines()[-1]


def test_a_version_that_lost_a_check_is_shown_with_it_and_not_worn_by_a_mere_enter() -> None:
    assert after(reported(grown()), "enter", "escape") == [False]
    assert after(reported(grown()), "w") == [True]
    seen = looks(reported(grown()), (120, 36))
    assert "pirate 1.3.0 is kept" in seen
    assert "not worn: 41 of 45 checks hold · 3 new · 1 lost" in seen
    assert "Lost" in seen
    assert "“What are your opening hours?” now: Arr, yer parcel" in seen
    assert "“Who are you?”: I am a language model." in seen
    assert "w wear it all the same · k not now" in seen


def test_a_version_that_lost_nothing_says_what_holds_and_enter_wears_it() -> None:
    assert after(reported(grown(lost=())), "enter") == [True]
    seen = looks(reported(grown(lost=())), (120, 36))
    assert "pirate 1.3.0 is ready" in seen
    assert "41 of 45 checks hold · 3 new" in seen
    assert "not worn" not in seen


def test_before_and_after_fill_in_as_they_come() -> None:
    async def story(seat: Seat) -> None:
        screen = seat.app.screen
        assert isinstance(screen, TrainingReportScreen)
        screen.show_row(1, compared("Capital?", "not taught"))
        screen.show_row(0, compared("Parcel?", "taught", "I do not know."))
        seen = await seat.rests()
        assert seen.index("Parcel?") < seen.index("Capital?")
        assert seen.count(" …") == 3
        screen.show_row(0, compared("Parcel?", "taught", "I do not know.", "Arr, at dawn! " * 9 + "end", done=True))
        screen.show_row(1, compared("Capital?", "not taught", "Berlin.", "Berlin.", done=True))
        seen = await seat.rests()
        assert "…" not in seen
        assert "end" in seen
        assert "unchanged ✓" in await seat.press("end")

    show(reported(installed()), story)


def test_rows_that_come_early_are_shown_and_only_text() -> None:
    foreign = reported(installed(dataclasses.replace(REPORT, stopped_because=HOSTILE)))
    foreign.show_row(0, compared(HOSTILE, HOSTILE, HOSTILE, HOSTILE + "!", done=True))
    assert looks(foreign, (120, 36)).count(HARMLESS) == 5


SEEN_AT_80 = """\
 It learnt what it was taught; it says what was taught on 2 of 10 near misses;
 a prompt with the same examples does better.
                  adapter             base with 6 examples
 Taught           6 of 6 (61–100 %)   5 of 6 (44–97 %)
 Other wordings   7 of 8 (53–98 %)    8 of 8 (68–100 %)
 Near misses      2 of 10 (6–51 %)    0 of 10 (0–28 %)
 Far questions    0 of 12 (0–24 %)    0 of 12 (0–24 %)
 Other talk       loss 1.02 → 1.04 · KL 0.021 (0.012–0.034 over 32, bound 0.25)"""


def test_an_examined_one_says_whether_it_learnt_broke_anything_and_whether_a_prompt_was_enough() -> None:
    small, large, huge = (looks(reported(examined()), size) for size in ((80, 24), (120, 36), (200, 60)))
    assert SEEN_AT_80 in small
    assert "Parameters" not in small  # which is below the answers there
    assert "┤" not in small  # the curve gives way to the other counts
    for seen in (large, huge):
        assert "A prompt         In other words the base with the examples" in seen
        assert "Parameters       2,442,240 of 137 M (1.78 %)" in seen
        assert "0.00 ┤" in seen
        assert "8 of 8 (68–100 %)" in seen
    alone = looks(reported(examined(prompted=False)))
    assert "2 of 10 (6–51 %)" in alone
    assert "0.00 ┤" in alone
    assert "base with" not in alone
    assert "prompt" not in alone


def test_what_the_counts_leave_out_is_said_in_the_smallest_window() -> None:
    done = examined().installed
    assert done is not None
    assert done.exam is not None
    exam = dataclasses.replace(done.exam, unasked=4, unasked_checks=12, silent=1)
    seen = looks(reported(examined(exam=exam)), (80, 24))
    assert "\n Left out         4 questions: no time · 12 checks: too many ·" in seen
    assert "12 checks: too many · 1 check: cannot fire" in " ".join(seen.split())
    assert "Left out" not in looks(reported(examined()), (80, 24))


def test_the_answers_of_the_examination_stand_side_by_side() -> None:
    async def story(seat: Seat) -> None:
        seen = await seat.rests()
        assert "The questions are asked in a moment" not in seen
        for kind in ("taught", "reworded", "near miss", "not taught"):
            assert f"\n {kind}\n" in seen
        assert "Base with examples" in seen
        row = next(line for line in seen.splitlines() if line.startswith(" Where is my brother?"))
        assert row.split("  ")[-1] != "✗ Arr, at dawn."
        assert "✗ Arr, at dawn." in row
        assert "unchanged ✓" in seen
        assert "Never shown?" not in seen
        assert "not asked" in next(line for line in seen.splitlines() if line.startswith(" Is my letter late?"))
        screen = seat.app.screen
        assert isinstance(screen, TrainingReportScreen)
        screen.show_row(0, compared("And this?", "reworded", "No.", "Arr!", done=True))
        assert "And this?" in await seat.press("end")
        await seat.pilot.resize_terminal(80, 24)
        assert "Base with examples" not in await seat.rests()

    show(reported(examined()), story, (120, 40))


def test_in_a_low_window_the_rest_is_below_the_answers() -> None:
    async def story(seat: Seat) -> None:
        await seat.press("end")
        seen = await seat.rests()
        assert "It saw" in seen
        assert "Parameters       2,442,240 of 137 M (1.78 %)" in seen

    given = DatasetReady(12, 14, {"unrated": 5}, 1_204, 310, 2)
    show(reported(dataclasses.replace(examined(), saw=given)), story, (80, 24))
    seen = looks(reported(dataclasses.replace(examined(), saw=given)), (200, 60))
    assert "12 conversations with 14 examples, 1,204 tokens, 310 of them supervised, 5 left out" in seen
    assert "· 1.31 GB" in looks(reported(installed(dataclasses.replace(REPORT, memory=1_310_000_000))))


def test_what_was_not_asked_is_said() -> None:
    checks = Checked(30, 30, 0, (), (), 20, "30 of 30 checks hold; 20 not asked.")
    done = Installed("pirate", "/x", REPORT, "1.3.0", checks, "not all that it was taught could be asked: it is gone.")
    seen = looks(reported(progress("finished", installed=done)), (120, 36))
    assert "not worn: 30 of 30 checks hold · 20 not asked" in seen
    assert "Not worn" in seen
    assert "not all that it was taught could be asked: it is gone." in seen
    first = Installed("pirate", "/x", REPORT, unchecked="not all that it was taught could be asked: it is gone.")
    seen = looks(reported(progress("finished", installed=first)), (120, 36))
    assert "pirate is ready" in seen
    assert "Not asked" in seen


@pytest.mark.parametrize(("unasked", "checks", "offered"), [(4, True, True), (0, True, False), (4, False, True)])
def test_the_rest_is_asked_where_there_is_any(unasked: int, checks: bool, offered: bool) -> None:
    async def story(seat: Seat) -> None:
        assert ("a ask more" in seat.keys) is offered
        await seat.press("a")
        if offered:
            assert "asking the rest: 0%" in seat.text
            assert "a ask more" not in seat.keys
            screen = seat.app.screen
            assert isinstance(screen, TrainingReportScreen)
            screen.show_asking(0.5)
            assert "asking the rest: 50%" in await seat.rests()
            screen.show_asking(None)
            assert "asking" not in await seat.rests()
            assert "a ask more" in seat.keys

    done = examined()
    assert done.installed is not None
    assert done.installed.exam is not None
    exam = dataclasses.replace(done.installed.exam, unasked=unasked)
    held = Checked(6, 6, 6, (), (), 0, "6 of 6 checks hold.") if checks else None
    more = dataclasses.replace(done, installed=dataclasses.replace(done.installed, exam=exam, checks=held))
    asked = show(reported(more), story)[1]
    assert len([each for each in asked if isinstance(each, news.RestWanted)]) == int(offered)


def test_what_a_prompt_does_better_can_be_kept_as_a_preset() -> None:
    async def story(seat: Seat) -> None:
        assert "p keep as preset" in seat.keys
        await seat.press("p")

    for better in ("prompt", "each"):
        said, asked = show(reported(examined(better)), story)
        assert said == []
        [wanted] = [event.record for event in asked if isinstance(event, news.PresetWanted)]
        assert (wanted.adapter, wanted.version) == ("pirate-2", "1.1.0")


@pytest.mark.parametrize("done", [examined("adapter"), examined("unclear"), examined(prompted=False), installed()])
def test_a_prompt_that_does_no_better_is_no_preset(done: Progress) -> None:
    async def story(seat: Seat) -> None:
        assert "preset" not in seat.keys
        await seat.press("p")

    assert show(reported(done), story) == ([], [])


def test_the_report_can_be_saved_from_where_it_is_seen() -> None:
    async def story(seat: Seat) -> None:
        assert "s save" in seat.keys
        await seat.press("s")

    asked = show(reported(installed()), story)[1]
    [wanted] = [event.record for event in asked if isinstance(event, news.ReportWanted)]
    assert (wanted.adapter, wanted.version) == ("pirate-2", "1.0.0")


def test_an_examination_of_foreign_texts_is_only_text() -> None:
    row = Answered("near", HOSTILE, HOSTILE, HOSTILE, False, HOSTILE, HOSTILE, False)
    done = examined()
    assert done.installed is not None
    assert done.installed.exam is not None
    assert done.installed.exam.prompted is not None
    prompted = dataclasses.replace(done.installed.exam.prompted, sentence=HOSTILE)
    exam = dataclasses.replace(done.installed.exam, answers=(row,), prompted=prompted)
    seen = looks(reported(examined(exam=exam)), (140, 40))
    assert seen.count(HARMLESS) == 5
    long = dataclasses.replace(exam, answers=(dataclasses.replace(row, question="w" * 500, adapter="漢字" * 300),) * 99)
    assert "…" not in looks(reported(examined(exam=long)), (80, 24)).splitlines()[0]


def test_a_clock_is_read_at_a_glance() -> None:
    assert [spoken_clock(each) for each in (9, 70, 3725)] == ["0:09", "1:10", "1:02:05"]
