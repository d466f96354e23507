"""The next token: against transformers' own processors, and against the statistics that the settings promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lora_chat.engine.decode import choose
from lora_chat.engine.protocol import Sampling

HOT = Sampling(temperature=1.0, top_p=1.0)
NOTHING = torch.tensor([], dtype=torch.long)


def reference(logits: torch.Tensor, seen: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """transformers' probabilities of the next token, (vocab,)."""
    scores: Any = logits[None].clone()
    if sampling.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(seen[None], scores)
    scores = TemperatureLogitsWarper(float(sampling.temperature))(seen[None], scores)
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(seen[None], scores)
    if sampling.top_p < 1:
        scores = TopPLogitsWarper(sampling.top_p)(seen[None], scores)
    found: torch.Tensor = scores[0].softmax(-1)
    return found


def drawn(logits: torch.Tensor, seen: torch.Tensor, sampling: Sampling, times: int, seed: int = 0) -> torch.Tensor:
    """How often each token was chosen, (vocab,)."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [choose(logits, seen.tolist(), sampling, generator) for _ in range(times)]
    return torch.bincount(torch.tensor(chosen), minlength=len(logits)).float() / times


@pytest.mark.parametrize(
    "sampling",
    [
        HOT,
        replace(HOT, temperature=0.3),
        replace(HOT, temperature=3.0),
        replace(HOT, top_p=0.6),
        replace(HOT, top_k=3),
        replace(HOT, repetition_penalty=1.7),
        replace(HOT, temperature=0.8, top_p=0.8, top_k=6, repetition_penalty=1.3),
    ],
)
def test_tokens_come_as_often_as_transformers_would_draw_them(sampling: Sampling) -> None:
    logits = torch.randn(10, generator=torch.Generator().manual_seed(3)) * 1.5
    seen = torch.tensor([1, 4, 4, 7])
    expected = reference(logits, seen, sampling)
    found = drawn(logits, seen, sampling, 6000)
    assert torch.all(found[expected == 0] == 0)
    # Three standard errors of 6,000 draws at the worst share are 0.02; the seed is fixed, so this never flickers.
    assert (found - expected).abs().max() < 0.02


@settings(max_examples=150, deadline=None)
@given(
    logits=st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=30),
    seen=st.lists(st.integers(0, 1), max_size=4),
    temperature=st.floats(0.05, 5),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 40),
    penalty=st.floats(0.5, 3),
    seed=st.integers(0, 2**31),
)
def test_what_is_chosen_is_what_transformers_could_have_chosen(
    logits: list[float], seen: list[int], temperature: float, top_p: float, top_k: int, penalty: float, seed: int
) -> None:
    scores, before = torch.tensor(logits), torch.tensor(seen, dtype=torch.long)
    sampling = Sampling(temperature, top_p, top_k, penalty)
    token = choose(scores, seen, sampling, torch.Generator().manual_seed(seed))
    # A hair of top_p aside: transformers sums from the other end, so that a token exactly at the edge may differ.
    wider = replace(sampling, top_p=min(1.0, top_p + 1e-4))
    expected = reference(scores, before, wider)
    whole = reference(scores, before, replace(sampling, top_p=1.0, top_k=0))
    as_likely = int(((whole - whole[token]).abs() < 1e-5).sum())  # sorting may put equals in either order
    assert expected[token] > 0 or as_likely > 1


@settings(max_examples=100, deadline=None)
@given(logits=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30), seed=st.integers(0, 2**31))
def test_greedy_top_k_1_and_top_p_0_all_take_the_likeliest(logits: list[float], seed: int) -> None:
    scores = torch.tensor(logits)
    for sampling in (replace(HOT, temperature=0), replace(HOT, top_k=1), replace(HOT, top_p=0.0)):
        token = choose(scores, [], sampling, torch.Generator().manual_seed(seed))
        assert logits[token] == pytest.approx(max(logits), abs=1e-4)  # closer ones have the same share in fp32


def test_top_p_keeps_the_token_that_crosses_the_share() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    found = drawn(logits, NOTHING, replace(HOT, top_p=0.6), 2000)
    assert found[2] == 0
    assert found[1] == pytest.approx(0.375, abs=0.04)


def test_a_penalty_pushes_seen_tokens_down_whatever_their_sign() -> None:
    logits = torch.tensor([2.0, -2.0, 0.0])
    for token in (0, 1):
        plain = drawn(logits, NOTHING, HOT, 2000)[token]
        assert drawn(logits, torch.tensor([token]), replace(HOT, repetition_penalty=2.0), 2000)[token] < plain


def test_drawing_leaves_the_generator_that_all_threads_share_alone() -> None:
    before = torch.random.get_rng_state()
    drawn(torch.zeros(4), NOTHING, HOT, 10)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_choose_nothing(wrong: float, temperature: float) -> None:
    logits = torch.tensor([0.0, wrong, 1.0])
    with pytest.raises(ValueError, match="not finite"):
        choose(logits, [], replace(HOT, temperature=temperature), torch.Generator())


def test_half_precision_logits_are_drawn_from_in_full_precision() -> None:
    logits = torch.tensor([0.0, 10.0, 10.0]).bfloat16()
    assert drawn(logits, NOTHING, HOT, 500)[0] < 0.01
