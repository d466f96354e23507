"""Values of a recipe that a person sets: all of them can be, none of them can be nonsense."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from lora_chat.errors import LoraChatError, RefusedError, UsageError
from lora_chat.training.overrides import changes, override, spelled
from lora_chat.training.recipe import Effort, Recipe, choose_recipe, reasons
from tests.engine.conftest import is_one_sentence

HANDFUL, MANY = choose_recipe(6, 134_515_008), choose_recipe(120, 134_515_008)

OTHER: dict[str, Any] = {
    "targets": "all",
    "rank": 16,
    "alpha": 32,
    "learning_rate": 1e-3,
    "warmup_steps": 5,
    "max_steps": 7,
    "batch": 3,
    "rehearsed": 0,
    "rehearsal_weight": 1.5,
    "settle_steps": 0,
    "learnt_probability": 0.5,
    "heldout": 2,
    "patience": 1,
    "seed": 9,
    "weight_decay": 0.01,
    "gradient_clip": 0.5,
    "microbatch_tokens": 384,
    "variants": 2,
    "varied": 0.25,
    "falling": 0.75,
    "upper": 0.25,
}


def test_every_value_but_the_dial_can_be_set() -> None:
    assert set(OTHER) == {field.name for field in fields(Recipe)} - {"effort"}
    found = override(HANDFUL, [f"{name}={value}" for name, value in OTHER.items()], 6)
    assert asdict(found) == {"effort": "normal"} | OTHER
    assert all(type(value) is type(asdict(HANDFUL)[name]) for name, value in asdict(found).items())


@pytest.mark.parametrize("effort", ["light", "normal", "deep"])
@pytest.mark.parametrize("lessons", [1, 6, 30, 120, 5000])
def test_what_is_printed_can_be_set_and_is_in_its_range(effort: Effort, lessons: int) -> None:
    for parameters in (134_515_008, 360_000_000, 1_700_000_000):
        chosen = choose_recipe(lessons, parameters, effort)
        assert override(chosen, spelled(chosen), lessons) == chosen
        assert changes(chosen, chosen) == {}


def test_what_differs_from_the_dials_is_said() -> None:
    found = override(HANDFUL, ["rank = 16", "learning_rate=2.5e-3", "rank=12"], 6)
    assert changes(found, HANDFUL) == {"rank": (12, 8)}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("learning_rate=0", "learning_rate must lie between 1e-07 and 0.1, not 0"),
        ("learning_rate=nan", "not nan"),
        ("learning_rate=1e9", "not 1e9"),
        ("learning_rate=-1e-3", "not -1e-3"),
        ("learning_rate=fast", 'learning_rate must be a number, not "fast"'),
        ("learning_rate=", "learning_rate must be a number"),
        ("rank=0", "rank must lie between 1 and 256, not 0"),
        ("rank=4.5", 'rank must be a whole number, not "4.5"'),
        ("rank=true", "must be a whole number"),
        ("rank=1000000000", "not 1000000000"),
        ("rank=inf", "must be a whole number"),
        ("batch=0", "batch must lie between 1 and 1,024"),
        ("warmup_steps=0", "warmup_steps must lie between 1"),
        ("rehearsed=170", "rehearsed must lie between 0 and 169"),
        ("targets=head", 'targets must be mlp, attention or all, not "head"'),
        ("heldout=6", "there are 6, so set it below that, not to 6"),
        ("heldout=2", "add --set patience=2"),
        ("gradient_clip=0", "gradient_clip must lie between 0.001 and 1,000"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(word: str, says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        override(HANDFUL, [word], 6)
    assert says in str(caught.value)
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("rnak=16", "did you mean rank?"),
        ("lr=1e-3", 'There is no "lr" in a recipe: --dry-run shows all its values.'),
        ("learning-rate=1", "did you mean learning_rate?"),
        ("rank", '"rank" sets nothing: write --set rank=16.'),
        ("effort=deep", "choose it with --effort"),
        ("\x1b[31m=1", "There is no"),
        ("x" * 500 + "=1", "There is no"),
    ],
)
def test_a_name_that_is_none_is_told_from_the_nearest(word: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(MANY, [word], 120)
    assert says in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 160
    assert isinstance(caught.value, LoraChatError)


def test_the_rule_says_why_it_chose_so() -> None:
    assert reasons(6, 134_515_008) == (
        "under 30 conversations are a handful: a few large steps; a base of up to 200 M parameters bears the full rate"
    )
    assert reasons(34, 134_515_008, 24).startswith("under 30 new conversations are a handful")
    assert "a tenth held out, rank 16 from 100 on" in reasons(120, 134_515_008)
    assert "rank 16" not in reasons(48, 134_515_008)
    assert "a base of 1,700 M parameters gets 2/5 of the full rate" in reasons(6, 1_700_000_000)
    assert "7/10" in reasons(6, 360_000_000)
    for lessons, parameters, share in ((6, 1_700_000_000, 0.4), (6, 360_000_000, 0.7), (6, 1, 1.0)):
        assert choose_recipe(lessons, parameters).learning_rate == pytest.approx(2.5e-3 * share)
