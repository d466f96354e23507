"""Which exchanges are said twice in almost the same words, and which only look like it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.training.choosing.near import LIKENESS, near_duplicates

LONG = (
    "You can return any order within thirty days. Open Orders, choose the order, press Return, and print the label. "
    "Pack it well, bring it to any post office, and keep the receipt until the refund has arrived on your account."
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("How do I return it?", "Press Return."), ("how do I return it", "press  return")),
        (("退货怎么办？", "请按退货。"), ("退货怎么办", "请按退货")),
        (("q", LONG), ("Q?", LONG.replace("post office", "post shop"))),
        (("q", LONG), ("q", LONG + " Thanks.")),
        (("😀", "😀"), ("😀 ", "😀")),
    ],
)
def test_the_same_in_other_letters_or_with_one_word_in_many_changed_is_near(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert near_duplicates([one, other]) == {1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("How do I return an order?", LONG), ("How can I send an order back?", LONG)),
        (("What is the capital of France?", "Paris."), ("What is the capital of Italy?", "Rome.")),
        (("q", "It costs 10 EUR."), ("q", "It costs 12 EUR.")),
        (("Order 4711, please", LONG), ("Order 4712, please", LONG)),
        (("q", LONG), ("q", LONG[:120])),
        (("Press Return.", "q"), ("q", "Press Return.")),
        (("退货怎么办？", "请按退货。"), ("换货怎么办？", "请按换货。")),
        (("😀", "😀"), ("😀", "😡")),
    ],
)
def test_other_words_other_numbers_and_other_answers_stay(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert near_duplicates([one, other]) == set()


def test_of_many_alike_the_first_stays() -> None:
    said = [("Hello", "Hi."), ("Bye", "Bye."), ("hello", "hi"), ("HELLO!", "Hi"), ("bye!", "bye!")]
    assert near_duplicates(said) == {2, 3, 4}
    assert near_duplicates([]) == set()


def test_none_is_missed_that_comparing_each_with_each_would_find() -> None:
    rng = random.Random(7)
    words = [f"{a}{b}" for a in "abcdefgh" for b in "rstuv"]
    texts = [rng.choices(words, k=40) for _ in range(12)]
    for text in list(texts):
        for changes in (1, 2, 3, 8):
            texts.append(list(text))
            for _ in range(changes):
                texts[-1][rng.randrange(40)] = rng.choice(words)
    rng.shuffle(texts)
    said = [("q", " ".join(text)) for text in texts]

    def runs(at: int) -> set[tuple[str, ...]]:
        return {tuple(texts[at][start : start + 3]) for start in range(38)}

    kept: list[int] = []
    for at in range(len(texts)):
        if all(len(runs(at) & runs(other)) < LIKENESS * len(runs(at) | runs(other)) for other in kept):
            kept.append(at)
    assert near_duplicates(said) == set(range(len(texts))) - set(kept)
    assert 0 < len(near_duplicates(said)) < len(texts) - 12


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8))
def test_what_is_left_has_no_near_duplicates_in_it(said: list[tuple[str, str]]) -> None:
    near = near_duplicates(said)
    assert near_duplicates([each for at, each in enumerate(said) if at not in near]) == set()
    assert near >= {at for at, each in enumerate(said) if each in said[:at]}
