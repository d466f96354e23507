"""What several sequences share at their beginnings stands once, and each token sees only what is above it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.training.prefix_tree import PrefixTree

sequences = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=8)


def tree_of(rows: list[list[int]]) -> PrefixTree:
    tree = PrefixTree()
    for row in rows:
        tree.add(row)
    return tree


@given(sequences)
def test_each_beginning_stands_once_and_every_sequence_can_be_read_off(rows: list[list[int]]) -> None:
    tree = tree_of(rows)
    assert len(tree) == len({tuple(row[: end + 1]) for row in rows for end in range(len(row))})
    ids, positions = tree.ids()[0], tree.positions()[0]
    sees = tree.attention(torch.float32)[0, 0] == 0
    for row, at in zip(rows, tree.places(), strict=True):
        assert ids[at].tolist() == row
        assert positions[at].tolist() == list(range(len(row)))
        for index, place in enumerate(at.tolist()):
            assert sees[place].nonzero().squeeze(1).tolist() == sorted(at[: index + 1].tolist())


@given(sequences, st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_it_says_before_how_long_it_would_be(rows: list[list[int]], another: list[int]) -> None:
    tree = tree_of(rows)
    expected = tree.grown_by(another)
    tree.add(another)
    assert len(tree) == expected


def test_places_are_in_the_order_of_the_sequences() -> None:
    tree = tree_of([[5, 6, 7], [5, 6, 8], [9]])
    assert tree.ids().tolist() == [[5, 6, 7, 8, 9]]
    assert [at.tolist() for at in tree.places()] == [[0, 1, 2], [0, 1, 3], [4]]
