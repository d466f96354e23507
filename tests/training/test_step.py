"""What one step adds up, however its lessons and rehearsed answers are put into batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lora_chat.models.base_model import BaseModel, load_base_model
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import Example
from lora_chat.training.dataset import pad, supervised_targets, together
from lora_chat.training.opening import open_base, trainee
from lora_chat.training.peft.forward import supervised_logits
from lora_chat.training.peft.trainable import trainable_twin
from lora_chat.training.prefix_tree import PrefixTree
from lora_chat.training.recipe import Recipe, choose_recipe
from lora_chat.training.rehearsal import Anchor, predictions
from lora_chat.training.step import Learnt, add_gradients
from tests.training.preparing import exact, nothing

CPU = torch.device("cpu")
SYSTEM = tuple(range(3, 15))


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_opt"])
def installed(request: pytest.FixtureRequest) -> InstalledBase:
    found: InstalledBase = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def base(installed: InstalledBase) -> BaseModel:
    return load_base_model(installed.name, installed.folder, CPU)


def example(length: int, seed: int) -> Example:
    draw = torch.Generator().manual_seed(seed)
    ids = (*SYSTEM, *torch.randint(15, 90, (length,), generator=draw).tolist())
    return Example(ids, tuple(at >= len(SYSTEM) + length // 2 for at in range(len(ids))))


def anchor(base: BaseModel, length: int, seed: int) -> Anchor:
    made = example(length, seed)
    with torch.no_grad():
        kept = supervised_logits(base.tree, pad([made], CPU)).log_softmax(-1).topk(10)
    return Anchor(made, kept.indices, kept.values)


LESSONS = [example(9, 1), example(16, 2), example(4, 3)]


def step(
    installed: InstalledBase, recipe: Recipe, lessons: list[Example], anchors: list[Anchor]
) -> tuple[Learnt, list[torch.Tensor]]:
    """By the path that trains this base: its own for the Llama, transformers and PEFT for the other."""
    learner = trainee(exact(open_base(installed.name, installed.folder)), installed.signature, recipe, None, nothing)
    weights = learner.weights
    draw = torch.Generator().manual_seed(0)
    for each in weights:
        torch.nn.init.normal_(each, std=0.1, generator=draw)
    found = add_gradients(learner, lessons, anchors, recipe, CPU)
    return found, [each.grad for each in weights if each.grad is not None]


def test_a_step_is_the_lessons_mean_loss_and_the_anchors_mean_divergence(
    base: BaseModel, installed: InstalledBase
) -> None:
    recipe = replace(choose_recipe(3, 1000), rehearsal_weight=7.0)
    anchors = [anchor(base, 10, 4), anchor(base, 13, 5)]
    found, gradients = step(installed, recipe, LESSONS, anchors)
    tree = trainable_twin(base, installed.signature, recipe)
    weights = [each for each in tree.parameters() if each.requires_grad]
    draw = torch.Generator().manual_seed(0)
    for each in weights:
        torch.nn.init.normal_(each, std=0.1, generator=draw)
    batch = pad(LESSONS, CPU)
    loss = functional.cross_entropy(supervised_logits(tree, batch), supervised_targets(batch))
    logits = supervised_logits(tree, pad([each.example for each in anchors], CPU)).log_softmax(-1)
    tokens, kept = predictions(anchors, CPU)
    rest = 1 - kept.exp().sum(-1)
    other = 1 - logits.gather(-1, tokens).exp().sum(-1)
    apart = (kept.exp() * (kept - logits.gather(-1, tokens))).sum(-1) + rest * (rest.log() - other.log())
    torch.autograd.backward(loss + 7.0 * apart.mean())
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    assert found.tokens == sum(len(each.ids) for each in LESSONS) + sum(len(each.example.ids) for each in anchors)
    assert len(gradients) == len(weights)
    for one, other in zip(gradients, weights, strict=True):
        assert other.grad is not None
        assert torch.allclose(one, other.grad, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


@pytest.mark.parametrize(("lessons", "anchors"), [(3, 2), (3, 0), (0, 2), (1, 1)])
def test_how_it_is_put_into_batches_changes_no_gradient(
    base: BaseModel, installed: InstalledBase, lessons: int, anchors: int
) -> None:
    held = [anchor(base, length, length) for length in (10, 13)[:anchors]]
    recipe = choose_recipe(3, 1000)
    whole, expected = step(installed, replace(recipe, microbatch_tokens=10_000), LESSONS[:lessons], held)
    for most in (1, 30, 50):
        found, gradients = step(installed, replace(recipe, microbatch_tokens=most), LESSONS[:lessons], held)
        assert found.loss == pytest.approx(whole.loss, rel=1e-5)
        assert found.tokens == whole.tokens
        for one, other in zip(gradients, expected, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), max_size=12), most=st.integers(1, 120))
def test_batches_are_few_and_even(lengths: list[int], most: int) -> None:
    examples = [example(length, seed) for seed, length in enumerate(lengths)]

    def size(group: list[int]) -> int:
        tree = PrefixTree()
        for index in group:
            tree.add(examples[index].ids)
        return len(tree)

    groups = together([each.ids for each in examples], most)
    assert sorted(index for group in groups for index in group) == list(range(len(examples)))
    assert all(group == sorted(group) for group in groups)
    assert all(len(group) == 1 or size(group) <= most for group in groups)
    filled: list[list[int]] = []
    for index in sorted(range(len(examples)), key=lambda each: len(examples[each].ids)):
        if not filled or size([*filled[-1], index]) > most:
            filled.append([])
        filled[-1].append(index)
    assert len(groups) == len(filled)


def test_a_rest_is_not_left_alone() -> None:
    examples = [example(20, seed) for seed in range(6)]
    sizes = [len(group) for group in together([each.ids for each in examples], len(SYSTEM) + 5 * 20)]
    assert sizes == [3, 3]
