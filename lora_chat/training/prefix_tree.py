"""Sequences that begin alike, in one row. Owns the tree of their tokens; never runs the model. [torch]

Every prompt begins with the same system prompt, which is half of a short lesson. In a tree each beginning that
sequences share stands once; each token sees those above it and nothing beside it, so that every state and gradient is
what the sequences one by one would have. There is no padding either.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


class PrefixTree:
    """A tree of tokens that grows by whole sequences."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], int] = {}
        """Place of the token that follows the one at a place; a sequence's first follows -1."""
        self._parents: list[int] = []
        self._tokens: list[int] = []
        self._paths: list[list[int]] = []

    def __len__(self) -> int:
        """Tokens in it, each shared one counted once."""
        return len(self._tokens)

    def grown_by(self, ids: Sequence[int]) -> int:
        """How long it would be with ``ids`` in it."""
        place, shared = -1, 0
        for token in ids:
            found = self._places.get((place, token))
            if found is None:
                break
            place, shared = found, shared + 1
        return len(self) + len(ids) - shared

    def add(self, ids: Sequence[int]) -> None:
        """Put in one more sequence."""
        path: list[int] = []
        place = -1
        for token in ids:
            place = self._places.setdefault((place, token), len(self._tokens))
            if place == len(self._tokens):
                self._parents.append(path[-1] if path else -1)
                self._tokens.append(token)
            path.append(place)
        self._paths.append(path)

    def ids(self) -> torch.Tensor:
        """All tokens, (1, len)."""
        return torch.tensor([self._tokens])

    def positions(self) -> torch.Tensor:
        """How many stand above each, (1, len)."""
        depths: list[int] = []
        for parent in self._parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return torch.tensor([depths])

    def attention(self, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the attention's scores, (1, 1, len, len): 0 for a token and those above it, else lowest."""
        sees = torch.zeros(len(self), len(self), dtype=torch.bool)
        for place, parent in enumerate(self._parents):
            if parent >= 0:
                sees[place] = sees[parent]
            sees[place, place] = True
        return torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)[None, None]

    def places(self) -> list[torch.Tensor]:
        """Where each added sequence's tokens stand, (len,) each."""
        return [torch.tensor(path) for path in self._paths]
