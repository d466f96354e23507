"""The losses that write their slopes over the logits, beside what autograd makes of the same definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lora_chat.training.losses import cross_entropy, divergence, rest_of


def logits_of(rows: int, vocabulary: int, spread: float, seed: int) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * spread


def slopes(loss: torch.Tensor, leaf: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    [found] = torch.autograd.grad((loss * weights).sum(), [leaf])
    return found


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_cross_entropy_and_its_slopes(spread: float) -> None:
    logits, wanted = logits_of(5, 40, spread, 1), torch.tensor([0, 39, 7, 7, 12])
    weights = torch.tensor([1.0, 0.0, -2.0, 0.5, 3.0])
    leaf = logits.clone().requires_grad_()
    expected = functional.cross_entropy(leaf, wanted, reduction="none")
    expected_slopes = slopes(expected, leaf, weights)
    own = logits.clone().requires_grad_()
    found, hit = cross_entropy(own, wanted)
    torch.testing.assert_close(found, expected)
    assert torch.equal(hit, logits.argmax(-1) == wanted)
    torch.testing.assert_close(slopes(found, own, weights), expected_slopes)


def of_definition(logits: torch.Tensor, tokens: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    adapted = logits.log_softmax(-1).gather(-1, tokens)
    other_base, other = rest_of(base), rest_of(adapted)
    return (base.exp() * (base - adapted)).sum(-1) + other_base * (other_base.log() - other.log())


@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0, 60.0])
@pytest.mark.parametrize("kept", [1, 6, 40])
def test_divergence_and_its_slopes(spread: float, kept: int) -> None:
    """``kept`` 40 is every token: of any other nothing is left. At 60 the likeliest has all the probability."""
    logits = logits_of(4, 40, spread, 2)
    values, tokens = logits_of(4, 40, 2.0, 3).log_softmax(-1).topk(kept)
    weights = torch.tensor([1.0, -1.0, 0.3, 10.0])
    leaf = logits.clone().requires_grad_()
    expected = of_definition(leaf, tokens, values)
    expected_slopes = slopes(expected, leaf, weights)
    own = logits.clone().requires_grad_()
    found = divergence(own, tokens, values)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slopes(found, own, weights), expected_slopes, rtol=1e-3, atol=1e-4)


def test_no_divergence_where_nothing_was_learnt() -> None:
    logits = logits_of(3, 30, 3.0, 5)
    values, tokens = logits.log_softmax(-1).topk(8)
    own = logits.clone().requires_grad_()
    found = divergence(own, tokens, values)
    assert found.abs().max() < 1e-5
    assert slopes(found, own, torch.ones(3)).abs().max() < 1e-5


def test_they_need_no_second_copy() -> None:
    own = logits_of(3, 30, 3.0, 6).requires_grad_()
    place = own.data_ptr()
    losses, _ = cross_entropy(own, torch.tensor([1, 2, 3]))
    assert slopes(losses, own, torch.ones(3)).data_ptr() == place
