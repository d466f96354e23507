"""Rotary positions. Owns the table of cosines and sines, which grows as positions are asked for. [torch]"""

from __future__ import annotations

import torch


class Rotary:
    """One base's turns."""

    def __init__(self, inverse_frequencies: tuple[float, ...]) -> None:
        self._frequencies = torch.tensor(inverse_frequencies)
        self._cos = self._sin = torch.empty(0, len(inverse_frequencies))

    def between(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of these positions, each (stop - start, head_dim / 2), contiguous."""
        if stop > len(self._cos):
            angles = torch.arange(max(stop, 2 * len(self._cos), 512)).float()[:, None] * self._frequencies
            self._cos, self._sin = angles.cos(), angles.sin()
        return self._cos[start:stop], self._sin[start:stop]
