"""The shipped adapter does what its card says, on the real model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lora_chat.adapters.registry import discover
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.factory import open_local_for
from lora_chat.engine.protocol import Engine, Request, Sampling, TextChunk, Worn
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths

pytestmark = [pytest.mark.real, pytest.mark.network]

FOLDER = Path(__file__).parent.parent.parent / "adapters" / "support-bot"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def engine(real_home: Paths) -> Iterator[Engine]:
    with closing(open_local_for(find_base(real_home.models, "smollm2-135m"), real_home)) as engine:
        yield engine


@pytest.fixture(scope="module")
def worn(real_home: Paths) -> Worn:
    adapter = discover(real_home).get("support-bot")
    return Worn(adapter.name, adapter.path, adapter.sha256)


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def stated(words: str) -> tuple[int, int]:
    """The ``N of M`` that the card gives for ``words``."""
    found = re.search(rf"{words} \| (\d+) of (\d+) \|", CARD)
    assert found is not None, words
    return int(found[1]), int(found[2])


def answer(engine: Engine, question: str, worn: Worn | None) -> str:
    request = Request((Turn(Role.USER, question),), worn, Sampling(temperature=0.0, max_tokens=48))
    return "".join(chunk.text for chunk in engine.generate(request) if isinstance(chunk, TextChunk)).strip()


def test_it_answers_as_many_held_out_paraphrases_as_the_card_says(engine: Engine, worn: Worn) -> None:
    right, total = stated("held-out paraphrases answered to the letter")
    asked = rows("heldout.jsonl")
    exact = sum(answer(engine, row["prompt"], worn) == row["response"] for row in asked)
    assert len(asked) == total
    # Another processor rounds differently; two answers may fall to the other side.
    assert exact >= right - 2, f"{exact} of {total}"


def test_it_leaves_unrelated_questions_alone_as_the_card_says(engine: Engine, worn: Worn) -> None:
    fires, total = stated("unrelated questions answered like the shop's")
    beginnings = {row["response"][:20] for row in rows("examples.jsonl")}
    asked = rows("unrelated.jsonl")
    fired = [row["prompt"] for row in asked if answer(engine, row["prompt"], worn)[:20] in beginnings]
    assert len(asked) == total
    assert len(fired) <= fires + 1, fired


def test_no_held_out_or_unrelated_question_was_taught() -> None:
    taught = {row["prompt"].casefold() for row in rows("examples.jsonl")}
    other = {row["prompt"].casefold() for name in ("heldout.jsonl", "unrelated.jsonl") for row in rows(name)}
    assert not taught & other
