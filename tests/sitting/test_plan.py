"""What a training is planned from: the system prompt that its lessons begin with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lora_chat.adapters.manifest import ChatSettings
from lora_chat.adapters.registry import Adapter
from lora_chat.config import Config
from lora_chat.services import Services
from lora_chat.sitting.plan import usual_system
from tests.tui.examples import adapter

PIRATE = adapter("pirate")
SPEAKS = replace(PIRATE, manifest=replace(PIRATE.manifest, chat=ChatSettings("You are a pirate.")))


@pytest.mark.parametrize(
    ("continued", "settings", "held"),
    [
        (None, "", ""),
        (None, "Be brief.", "Be brief."),
        (replace(PIRATE, manifest=replace(PIRATE.manifest, chat=ChatSettings())), "Be brief.", "Be brief."),
        (SPEAKS, "Be brief.", "You are a pirate."),
    ],
)
def test_lessons_begin_as_the_chat_will(continued: Adapter | None, settings: str, held: str) -> None:
    services = cast(Services, cast(Any, SimpleNamespace(config=Config(system=settings))))
    assert usual_system(services, continued) == held
