"""What a person is told before anything is spent: why answers are left out, and whether there are enough."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lora_chat.training
from lora_chat.chat.conversation import Status
from lora_chat.training.choosing import reasons
from lora_chat.training.choosing.reasons import explained
from lora_chat.training.events import DatasetReady
from lora_chat.training.preview import too_little

PACKAGE = Path(lora_chat.training.__file__).parent


def counted(conversations: int, examples: int) -> DatasetReady:
    return DatasetReady(conversations, examples, {}, 100, 50, 0)


def test_every_reason_is_explained_with_what_to_do() -> None:
    source = (PACKAGE / "choosing" / "history.py").read_text(encoding="utf-8") + (PACKAGE / "lesson.py").read_text(
        encoding="utf-8"
    )
    given = {*re.findall(r'return "([a-z ]+)"', source), *re.findall(r'^[A-Z]+ = "([a-z ]+)"$', source, re.M)}
    given |= {"duplicate", "unrated", "not edited", "not rated good", *(each.value for each in Status)} - {"done"}
    assert len(given) >= 18
    assert given - {"edited", "rated good"} <= set(reasons.REASONS)
    assert explained("unrated", 1200).startswith("1,200 unrated: nobody said if they are good")
    assert explained("of another version\n", 2) == "2 of another version"


@pytest.mark.parametrize(("conversations", "examples", "says"), [(1, 1, "1 answer: "), (3, 5, "5 answers: ")])
def test_too_little_is_said_with_numbers(conversations: int, examples: int, says: str) -> None:
    sentence = too_little(counted(conversations, examples))
    assert sentence.startswith(says)
    assert "from 30 conversations on" in sentence


@pytest.mark.parametrize(("conversations", "examples"), [(0, 0), (30, 30), (500, 900)])
def test_enough_and_nothing_at_all_are_not_called_too_little(conversations: int, examples: int) -> None:
    assert too_little(counted(conversations, examples)) == ""
