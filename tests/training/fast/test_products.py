"""A step whose products are made in bfloat16: near the float32 one, of few sizes, and the same each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_chat.models.installed import InstalledBase
from lora_chat.training.dataset import Batch
from lora_chat.training.fast import trainee as way
from lora_chat.training.fast.base import FastBase, fastest_products
from lora_chat.training.fast.trainee import FastTrainee
from lora_chat.training.layout import padded
from lora_chat.training.opening import path_of, trainee
from lora_chat.training.recipe import Recipe
from tests.training.fast.test_trainee import RECIPES, fast, gradients, known, lessons, of_many
from tests.training.preparing import learn, nothing

__all__ = ["fast", "known"]  # fixtures

BATCHES = [lessons(40), lessons(12, 15, 20), lessons(70, 90)]


def learnt(base: FastBase, installed: InstalledBase, recipe: Recipe, batch: Batch) -> tuple[float, list[torch.Tensor]]:
    """The loss and the gradients of an adapter that already does something."""
    learner = trainee(base, installed.signature, recipe, None, nothing)
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for each in learner.weights:
            each.copy_(torch.randn(each.shape, generator=draw) * 0.05)
    return learn(learner, batch), list(gradients(learner))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize("batch", BATCHES, ids=["one", "a tree", "a larger one"])
@pytest.mark.parametrize("many", [False, True])
def test_losses_and_gradients_are_near_those_of_float32(
    fast: FastBase, known: InstalledBase, recipe: Recipe, batch: Batch, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = replace(fast, products=torch.bfloat16)
    if many:
        of_many(monkeypatch)
    loss, exact_gradients = learnt(fast, known, recipe, batch)
    near, near_gradients = learnt(rounded, known, recipe, batch)
    assert near == pytest.approx(loss, rel=5e-3)
    for one, other in zip(near_gradients, exact_gradients, strict=True):
        assert one.dtype == torch.float32
        assert functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99
    again, same_gradients = learnt(rounded, known, recipe, batch)
    assert again == near
    assert all(map(torch.equal, near_gradients, same_gradients))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_what_is_added_for_the_size_changes_nothing(
    fast: FastBase, known: InstalledBase, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, which would show it."""
    lay = FastTrainee._lay

    def added(self: FastTrainee, sequences: Any) -> Any:
        found = lay(self, sequences)
        return padded(found, found.inputs["input_ids"].shape[1] + 29)

    for batch in BATCHES:
        loss, expected = learnt(fast, known, recipe, batch)
        with monkeypatch.context() as patched:
            patched.setattr(FastTrainee, "_lay", added)
            patched.setattr(FastTrainee, "_added", lambda _self, _predictions: 7)
            same, found = learnt(fast, known, recipe, batch)
        assert same == pytest.approx(loss, rel=1e-6)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_a_step_has_one_of_few_sizes(fast: FastBase, known: InstalledBase, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, through = set[tuple[int, bool]](), FastTrainee._through

    def seen(self: FastTrainee, layout: Any, states: torch.Tensor, *more: Any) -> torch.Tensor:
        sizes.add((len(states), more[-1] is not None))
        return through(self, layout, states, *more)

    monkeypatch.setattr(FastTrainee, "_through", seen)
    learner = trainee(replace(fast, products=torch.bfloat16), known.signature, RECIPES["all of it"], None, nothing)
    for length in range(4, 90, 5):
        learn(learner, lessons(length))
    assert {size for size, _ in sizes} == {64, 128}
    above = {tokens: way._size_above(tokens) for tokens in range(1, 9000)}
    assert all(size % 64 == 0 and tokens <= size <= max(64 + tokens, tokens * 1.25) for tokens, size in above.items())
    assert len(set(above.values())) < 30


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_they_are_made_in_what_the_processor_multiplies_fastest(
    says: Mapping[str, bool], expected: torch.dtype, fast: FastBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: says)
    assert fastest_products() == expected
    assert str(expected) in path_of(replace(fast, products=expected)), "a job that began otherwise begins anew"


def test_answers_are_near_those_of_float32(fast: FastBase, known: InstalledBase) -> None:
    prompts, ends = [[5, 9, 14], [7, 8, 20, 33, 41, 6, 30], [11]], frozenset({1})
    ways = [replace(fast, products=kind) for kind in (torch.float32, torch.bfloat16)]
    learners = [trainee(each, known.signature, RECIPES["all of it"], None, nothing) for each in ways]
    said = [each.answers(prompts, 9, ends) for each in learners]
    same = [one == other for pair in zip(*said, strict=True) for one, other in zip(*pair, strict=False)]
    assert sum(same) > len(same) / 2
