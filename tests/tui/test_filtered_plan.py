"""The plan in the window where a plugin filters what is learnt: what it shows, and what it refuses."""

from __future__ import annotations

import pytest

from lora_chat.paths import Paths
from lora_chat.plugins.manager import Plugins
from lora_chat.sitting.plugins import taken
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from tests.plugins.test_filters import source
from tests.tui.conftest import Tell, Window
from tests.tui.test_training_flow import corrected, planned


@pytest.fixture
def tidy(tiny: Paths) -> Plugins:
    folder = tiny.plugins / "tidy"
    folder.mkdir(parents=True)
    (folder / "plugin.toml").write_text('name = "tidy"\n', encoding="utf-8")
    body = "if 'break' in example.answers[0]: print()\nreturn 'Harbour' in example.answers[0] or 'no harbour'"
    (folder / "plugin.py").write_text(source(body), encoding="utf-8")
    plugins = Plugins(tiny)
    plugins.enable("tidy", lambda _: True, taken())
    return plugins


def test_the_plan_names_the_filter_and_says_why_it_left_out(window: Tell, tidy: Plugins) -> None:
    async def story(w: Window) -> None:
        await corrected(w)
        screen = await planned(w)
        await w.see("by the filter tidy/short")
        assert screen.plan.counted.examples == 1
        await w.press("i")
        await w.until(lambda: not screen.counting)
        assert screen.plan.counted.examples == 2  # one conversation, whose first answer it looks at
        tidy.disable("tidy")
        await w.press("right")
        await w.see("which this plan was begun with, does not run any more")
        assert screen.plan.recipe.effort == "normal"
        await w.press("escape")
        screen = await planned(w, "other")
        assert isinstance(screen, TrainingPlanScreen)
        assert "by the filter" not in w.text

    window(story)
