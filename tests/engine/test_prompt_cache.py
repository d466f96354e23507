"""Which context a prompt gets: the longest beginning of it that its own adapter made, cut or copied, or a new one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.decoder.protocol import Context
from lora_chat.engine.prompt_cache import PromptCache
from lora_chat.models.watch import Check


class FakeContext:
    """``Context`` that knows who began it and what was done to it."""

    def __init__(self, key: Hashable, ids: Sequence[int] = (), *, cuts: bool = True, size: int = 1) -> None:
        self.key = key
        self.ids = list(ids)
        self.cuts = cuts
        self.size = size

    @property
    def bytes(self) -> int:
        return len(self.ids) * self.size

    def extend(self, ids: Sequence[int], check: Check, *, every: bool = False) -> torch.Tensor:
        self.ids += ids
        return torch.empty(0)

    def can_cut(self, length: int) -> bool:
        return length <= len(self.ids) if self.cuts else length == len(self.ids)

    def cut(self, length: int) -> None:
        assert self.can_cut(length)
        del self.ids[length:]

    def copy(self, length: int) -> FakeContext:
        assert self.can_cut(length)
        return FakeContext(self.key, self.ids[:length], cuts=self.cuts, size=self.size)


PLENTY = 10**9
PROMPT = list(range(100))


def cache_of(*kept: FakeContext, budget: int = PLENTY) -> PromptCache:
    cache = PromptCache(budget)
    for context in kept:
        cache.give(context.key, context)
    return cache


def take(cache: PromptCache, ids: Sequence[int], key: Hashable = "red") -> FakeContext:
    context = cache.take(key, ids, lambda: FakeContext(key))
    assert isinstance(context, FakeContext)
    return context


def kept(cache: PromptCache) -> list[Context]:
    """The longest ago used first."""
    return [context for _, context in cache._kept]


def test_where_nothing_is_kept_a_new_context_is_begun() -> None:
    assert take(cache_of(), PROMPT).ids == []


def test_the_next_turn_goes_on_with_the_very_context_of_the_last() -> None:
    last = FakeContext("red", PROMPT[:60])
    cache = cache_of(last)
    assert take(cache, PROMPT) is last
    assert last.ids == PROMPT[:60]
    assert kept(cache) == []


def test_a_context_that_was_taken_is_nobody_elses_until_it_is_given_back() -> None:
    last = FakeContext("red", PROMPT[:60])
    cache = cache_of(last)
    take(cache, PROMPT)
    assert take(cache, PROMPT).ids == []
    cache.give("red", last)
    assert take(cache, PROMPT) is last


def test_another_adapter_or_another_scale_gets_nothing_of_it() -> None:
    keys: list[Hashable] = [("red", 1.0), ("red", 0.5), ("green", 1.0), None]
    contexts = [FakeContext(key, PROMPT[:60]) for key in keys]
    for key, context in zip(keys, contexts, strict=True):
        others = [each for each in contexts if each is not context]
        assert take(cache_of(*others), PROMPT, key).ids == []
        assert take(cache_of(*contexts), PROMPT, key) is context


def test_the_longest_beginning_is_taken_whenever_it_was_given() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        contexts = [FakeContext("red", [*PROMPT[:length], 999]) for length in (20, 70, 40)]
        cache = cache_of(*(contexts[index] for index in order))
        assert take(cache, PROMPT) is contexts[1]
        assert contexts[1].ids == PROMPT[:70]


def test_a_retry_gets_all_but_the_prompts_last_token() -> None:
    last = FakeContext("red", PROMPT)
    assert take(cache_of(last), PROMPT) is last
    assert last.ids == PROMPT[:-1]


def test_a_prompt_that_is_a_beginning_of_what_is_kept_gets_less_than_itself() -> None:
    assert take(cache_of(FakeContext("red", PROMPT)), PROMPT[:90]).ids == PROMPT[:89]


def test_a_context_that_loses_a_quarter_is_cut_in_place() -> None:
    last = FakeContext("red", [*PROMPT[:40], *[999] * 10])
    cache = cache_of(last)
    assert take(cache, PROMPT) is last
    assert last.ids == PROMPT[:40]
    assert kept(cache) == []


def test_a_context_that_would_lose_more_is_copied_and_stays_whole() -> None:
    whole = [*PROMPT[:40], *[999] * 11]
    last = FakeContext("red", whole)
    cache = cache_of(last)
    found = take(cache, PROMPT)
    assert found is not last
    assert found.ids == PROMPT[:40]
    assert last.ids == whole
    found.extend([5], lambda: None)
    assert kept(cache) == [last]


def test_what_was_copied_counts_as_used_just_now() -> None:
    old, other = FakeContext("red", [*PROMPT[:40], *[999] * 20]), FakeContext("green", PROMPT)
    cache = cache_of(old, other)
    take(cache, PROMPT)
    assert kept(cache) == [other, old]


def test_seven_tokens_are_not_worth_it_and_eight_are() -> None:
    for shared, found in ((0, []), (7, []), (8, PROMPT[:8])):
        last = FakeContext("red", [*PROMPT[:shared], 999])
        cache = cache_of(last)
        assert take(cache, PROMPT).ids == found
        assert (kept(cache) == [last]) == (shared < 8)


def test_a_short_prompt_leaves_what_is_kept_alone() -> None:
    for length in (1, 8):
        last = FakeContext("red", PROMPT)
        cache = cache_of(last)
        assert take(cache, PROMPT[:length]).ids == []
        assert kept(cache) == [last]
        assert last.ids == PROMPT


def test_a_context_that_cannot_be_cut_is_passed_over_for_one_that_can() -> None:
    stubborn = FakeContext("red", [*PROMPT[:80], 999], cuts=False)
    willing = FakeContext("red", [*PROMPT[:30], 999])
    cache = cache_of(stubborn, willing)
    assert take(cache, PROMPT) is willing
    assert kept(cache) == [stubborn]
    assert take(cache, PROMPT).ids == []


def test_a_context_that_cannot_be_cut_serves_the_prompt_that_goes_on_from_it() -> None:
    stubborn = FakeContext("red", PROMPT[:80], cuts=False)
    assert take(cache_of(stubborn), PROMPT) is stubborn


def test_what_goes_on_from_a_kept_context_takes_its_place() -> None:
    cache = cache_of(FakeContext("red", PROMPT[:30]), FakeContext("red", PROMPT[:50]), FakeContext("red", PROMPT))
    assert [len(context.ids) for context in kept(cache)] == [100]


def test_what_does_not_and_what_another_adapter_made_stay() -> None:
    contexts = [
        FakeContext("green", PROMPT[:30]),
        FakeContext("red", [*PROMPT[:30], 999]),
        FakeContext("red", [*PROMPT, 5]),
        FakeContext("red", PROMPT),
    ]
    assert kept(cache_of(*contexts)) == contexts


def test_what_was_used_longest_ago_makes_room() -> None:
    contexts = [FakeContext(key, PROMPT[:40]) for key in "abcd"]
    cache = cache_of(*contexts, budget=3 * 40)
    assert kept(cache) == contexts[1:]
    used = take(cache, PROMPT, "b")
    cache.give("b", used)
    cache.give("e", FakeContext("e", PROMPT[:40]))
    assert [context.key for context in kept(cache) if isinstance(context, FakeContext)] == ["d", "b", "e"]


def test_a_large_context_pushes_out_as_many_as_it_needs() -> None:
    contexts = [FakeContext(key, PROMPT[:30]) for key in "abc"]
    large = FakeContext("d", PROMPT[:70])
    assert kept(cache_of(*contexts, large, budget=100)) == [contexts[2], large]


def test_the_last_one_is_kept_whatever_it_takes() -> None:
    small, large = FakeContext("green", PROMPT[:10]), FakeContext("red", PROMPT)
    cache = cache_of(small, large, budget=5)
    assert kept(cache) == [large]
    assert take(cache, [*PROMPT, 5]) is large


def test_what_is_forgotten_is_not_found_again() -> None:
    cache = cache_of(FakeContext("red", PROMPT[:60]))
    cache.forget()
    assert take(cache, PROMPT).ids == []


# Whatever comes in whatever order.

KEYS = st.sampled_from(["red", "green", None])
RUNS = st.lists(st.integers(0, 1), max_size=30)
"""Of two ids only, so that beginnings are shared."""
STEPS = st.lists(st.tuples(KEYS, RUNS, RUNS, st.booleans()), max_size=25)


def shared(left: Sequence[int], right: Sequence[int]) -> int:
    length = 0
    while length < min(len(left), len(right)) and left[length] == right[length]:
        length += 1
    return length


@given(steps=STEPS, stubborn=st.booleans(), budget=st.sampled_from([0, 40, 100, PLENTY]))
@settings(max_examples=300, deadline=None)
def test_a_prompt_gets_its_own_adapters_longest_beginning_whatever_came_before(
    steps: list[tuple[Hashable, list[int], list[int], bool]], stubborn: bool, budget: int
) -> None:
    cache = PromptCache(budget)
    for key, ids, answer, whole in steps:
        prompt = [*ids, 7]
        before = [(each.key, list(each.ids)) for each in kept(cache) if isinstance(each, FakeContext)]
        able = [run for owner, run in before if owner == key and (not stubborn or ids[: len(run)] == run)]
        best = max((min(shared(run, prompt), len(prompt) - 1) for run in able), default=0)
        context = cache.take(key, prompt, lambda key=key: FakeContext(key, cuts=not stubborn))  # type: ignore[misc]
        assert isinstance(context, FakeContext)
        assert context.key == key
        assert context.ids == prompt[: len(context.ids)]
        assert len(context.ids) < len(prompt)
        assert len(context.ids) == (best if best >= 8 else 0)
        assert not any(each is context for each in kept(cache))
        rest = [(each.key, each.ids) for each in kept(cache) if isinstance(each, FakeContext)]
        assert all(each in before for each in rest)  # those at rest are as they were
        context.extend((prompt + answer)[len(context.ids) :] if whole else [], lambda: None)  # or it was broken off
        cache.give(key, context)
        assert kept(cache)[-1] is context
        sizes = [each.bytes for each in kept(cache)]
        assert len(sizes) == 1 or sum(sizes) <= budget
