"""The trainee of the fast path beside transformers and PEFT, which are the measure of every number of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from lora_chat.adapters.verify import load_verified
from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.models.watch import StopAsked
from lora_chat.training.dataset import Batch, in_pieces, pad, supervised_targets
from lora_chat.training.fast import attention
from lora_chat.training.fast import trainee as way
from lora_chat.training.fast.base import FastBase
from lora_chat.training.fast.block import Block
from lora_chat.training.opening import bare, open_base, trainee
from lora_chat.training.recipe import Recipe, choose_recipe
from lora_chat.training.rehearsal import until_end
from lora_chat.training.trainee import Trainee
from tests.conftest import installed
from tests.decoder.conftest import KINDS, write_base
from tests.engine.conftest import make_adapter
from tests.training.preparing import exact, learn, nothing

CPU = torch.device("cpu")
SYSTEM = tuple(range(3, 23))
RECIPE = replace(choose_recipe(6, 1000), rank=4)
RECIPES = {
    "the upper MLPs": replace(RECIPE, targets="mlp", upper=0.5),
    "all of it": replace(RECIPE, targets="all", upper=1.0, alpha=12),
    "attention": replace(RECIPE, targets="attention", upper=1.0),
}


@pytest.fixture(scope="module", params=list(KINDS))
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """A base of each kind that the fast path knows."""
    root = tmp_path_factory.mktemp(request.param)
    write_base(root / f"tiny-{request.param}", request.param)
    return installed(root / f"tiny-{request.param}", root / "home")


@pytest.fixture(scope="module")
def slow(known: InstalledBase) -> BaseModel:
    return load_base_model(known.name, known.folder, CPU)


@pytest.fixture(scope="module")
def fast(known: InstalledBase) -> FastBase:
    found = exact(open_base(known.name, known.folder))
    assert isinstance(found, FastBase)
    return found


def lessons(*lengths: int) -> Batch:
    """A system prompt stands before each; the last two begin alike."""
    draw = torch.Generator().manual_seed(sum(lengths))
    rows = [(*SYSTEM, *torch.randint(3, 90, (length,), generator=draw).tolist()) for length in lengths]
    if len(rows) > 1:
        rows.append((*rows[-1][:-2], 5, 6, 7))
    return pad([Example(row, tuple(index >= len(SYSTEM) + 3 for index in range(len(row)))) for row in rows], CPU)


def both(fast: FastBase, slow: BaseModel, known: InstalledBase, recipe: Recipe) -> tuple[Trainee, Trainee]:
    """The same adapter, which already does something, on both paths."""
    pair = tuple(trainee(base, known.signature, recipe, None, nothing) for base in (fast, slow))
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for one, other in zip(pair[0].weights, pair[1].weights, strict=True):
            one.copy_(torch.randn(one.shape, generator=draw) * 0.2)
            other.copy_(one)
    return pair[0], pair[1]


def gradients(learner: Trainee) -> Iterator[torch.Tensor]:
    for weight in learner.weights:
        assert weight.grad is not None
        yield weight.grad


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize("lengths", [(40,), (12, 15, 20), (70, 90)], ids=str)
def test_logits_loss_and_gradients_are_those_of_peft(
    fast: FastBase, slow: BaseModel, known: InstalledBase, recipe: Recipe, lengths: tuple[int, ...]
) -> None:
    batch = lessons(*lengths)
    ours, theirs = both(fast, slow, known, recipe)
    assert list(ours.layers) == list(theirs.layers)
    assert (ours.parameters, ours.use_rslora) == (theirs.parameters, theirs.use_rslora)
    with torch.no_grad():
        theirs.look(batch)
        one, other = (each.logits(each.hidden(batch)) for each in (ours, theirs))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    for _ in range(2):  # gradients are added up
        assert learn(ours, batch) == pytest.approx(learn(theirs, batch), rel=1e-5)
    assert all(map(close, gradients(ours), gradients(theirs)))


def of_many(patched: pytest.MonkeyPatch) -> None:
    """From 20 tokens on they are many."""
    for module in (way, attention):
        patched.setattr(module, "LONG", 20)


@pytest.mark.parametrize("lengths", [(60, 50), (40,)], ids=["a tree", "one"])
def test_many_tokens_and_a_head_in_blocks_change_no_number(
    fast: FastBase, slow: BaseModel, known: InstalledBase, monkeypatch: pytest.MonkeyPatch, lengths: tuple[int, ...]
) -> None:
    batch = lessons(*lengths)
    for recipe in RECIPES.values():
        whole, theirs = both(fast, slow, known, recipe)
        expected = learn(whole, batch)
        theirs.look(batch)
        assert learn(theirs, batch) == pytest.approx(expected, rel=1e-5)
        with monkeypatch.context() as patched:
            of_many(patched)
            patched.setattr(way, "HEAD_BYTES", 40 * 4 * fast.shape.vocabulary)
            parts, _ = both(fast, slow, known, recipe)
            assert learn(parts, batch) == pytest.approx(expected, rel=1e-6)
        assert all(map(close, gradients(parts), gradients(whole)))
        assert all(map(close, gradients(parts), gradients(theirs)))


def test_any_loss_will_do(fast: FastBase, slow: BaseModel, known: InstalledBase) -> None:
    """Also one that leaves the logits as they are."""
    batch = lessons(12, 15, 20)
    targets = supervised_targets(batch)
    sizes = in_pieces(len(targets))
    found = []
    for path in (fast, slow):
        usual, plain = (trainee(path, known.signature, RECIPES["all of it"], None, nothing) for _ in range(2))
        for each in (usual, plain):
            each.look(batch)
        learn(usual, batch)
        plain.backward(
            batch, sizes, lambda at, logits: functional.cross_entropy(logits, targets.split(sizes)[at], reduction="sum")
        )
        found.append(all(map(close, gradients(plain), gradients(usual))))
    assert found == [True, True]


def test_the_head_is_read_in_blocks(known: InstalledBase, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bare(open_base(known.name, known.folder), nothing)
    hidden = whole.hidden(lessons(30))
    expected = whole.logits(hidden)
    for module in ("stored",):
        monkeypatch.setattr(f"lora_chat.training.fast.{module}.HEAD_BLOCK", 7)
    parts = bare(open_base(known.name, known.folder), nothing)
    torch.testing.assert_close(parts.logits(hidden), expected, rtol=1e-5, atol=1e-5)


def test_new_layers_begin_with_the_numbers_that_peft_draws(
    fast: FastBase, slow: BaseModel, known: InstalledBase
) -> None:
    for recipe, seed in itertools.product(RECIPES.values(), (0, 7)):
        one, other = (
            trainee(base, known.signature, replace(recipe, seed=seed), None, nothing) for base in (fast, slow)
        )
        assert all(map(torch.equal, one.weights, other.weights))
        assert any(bool(each.any()) for each in one.weights)


def test_what_was_learnt_before_is_where_it_begins(
    fast: FastBase, slow: BaseModel, known: InstalledBase, tmp_path: Path
) -> None:
    begin = load_verified(make_adapter(tmp_path / "shop", known, 3).folder, known.signature)
    one, other = (trainee(base, known.signature, RECIPE, begin, nothing) for base in (fast, slow))
    assert list(one.layers) == list(other.layers)
    for ours, theirs in zip(one.layers.values(), other.layers.values(), strict=True):
        assert torch.equal(ours.a, theirs.a)
        assert torch.equal(ours.b, theirs.b)
        assert ours.alpha == theirs.alpha
    batch = lessons(20, 12)
    other.look(batch)
    assert learn(one, batch) == pytest.approx(learn(other, batch), rel=1e-5)
    assert all(map(close, gradients(one), gradients(other)))


def test_it_answers_and_reads_on_as_transformers_does(fast: FastBase, slow: BaseModel, known: InstalledBase) -> None:
    ours, theirs = both(fast, slow, known, RECIPES["all of it"])
    prompts, ends = [[5, 9, 14], [7, 8, 20, 33, 41, 6, 30], [11]], frozenset({1})
    said = [[until_end(each, ends) for each in one.answers(prompts, 9, ends)] for one in (ours, theirs)]
    assert said[0] == said[1]
    for prompt in prompts:
        found = []
        for one in (ours, theirs):
            reading = one.reading()
            whole = one.likeliest([*prompt, 17, 23, 40], reading, 4)
            assert reading.cut(len(prompt) + 1)
            found.append((whole, one.likeliest([23], reading, 1), one.likeliest([40, 9], reading, 2)))
            assert found[-1][1] == whole[2:3]
        assert found[0] == found[1]


def test_lower_layers_run_once_for_what_is_known(
    fast: FastBase, slow: BaseModel, known: InstalledBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lessons(20, 12)
    plain, _ = both(fast, slow, known, RECIPES["the upper MLPs"])
    expected = learn(plain, batch)
    learner, _ = both(fast, slow, known, RECIPES["the upper MLPs"])
    ran, forward = list[Block](), Block.forward

    def counted(self: Block, *given: Any) -> Any:
        ran.append(self)
        return forward(self, *given)

    monkeypatch.setattr(Block, "forward", counted)
    learner.lower.know(batch.sequences, 1000)
    for _ in range(3):
        assert learn(learner, batch) == pytest.approx(expected, rel=1e-5)
    assert learner.lower.count == 1
    assert len(ran) == 1 + 3


def test_a_check_stops_it_before_any_layer_both_ways(fast: FastBase, slow: BaseModel, known: InstalledBase) -> None:
    batch, asked = lessons(20, 12), 0

    def check_at(last: int) -> Callable[[], None]:
        nonlocal asked
        asked = 0

        def check() -> None:
            nonlocal asked
            asked += 1
            if asked == last:
                raise StopAsked

        return check

    learner = trainee(fast, known.signature, RECIPES["all of it"], None, check_at(-1))
    learn(learner, batch)
    assert asked >= 2 * 7 * fast.shape.layers, "before each product, there and back"
    for last in range(1, asked + 1):
        stopped = trainee(fast, known.signature, RECIPES["all of it"], None, check_at(last))
        with suppress(StopAsked):
            learn(stopped, batch)
            pytest.fail("nobody stopped it")


def test_opening_falls_back_where_the_fast_path_does_not_know(tiny_opt: InstalledBase) -> None:
    assert isinstance(open_base(tiny_opt.name, tiny_opt.folder), BaseModel)
