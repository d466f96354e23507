"""Keys and values of one run of tokens. Owns their memory, which grows by doubling; never makes one. [torch]

Values lie one position after the other. Keys lie in tiles of 32 positions, in each of which the first numbers of all 32
come first: a query meets 32 keys at once, and no sum runs across the lanes of a vector.
"""

from __future__ import annotations

import torch

from lora_chat.decoder.plan import GROUP
from lora_chat.decoder.shape import Shape

_FIRST_ROOM = 256


class KeysValues:
    """Room for the keys and values of ``room`` positions, of which ``length`` are filled."""

    def __init__(self, shape: Shape, room: int = _FIRST_ROOM) -> None:
        self._shape = shape
        self.length = 0
        self.keys = self._empty(_whole(room))
        """(layers, kv_heads, room, head_dim), each 32 of room by head_dim turned."""
        self.values = self._empty(_whole(room))
        """(layers, kv_heads, room, head_dim)"""

    @property
    def room(self) -> int:
        """Positions."""
        return int(self.keys.shape[2])

    @property
    def bytes(self) -> int:
        """Memory of all the room."""
        return self.keys.nbytes + self.values.nbytes

    def reserve(self, positions: int) -> None:
        """Make room for ``positions`` in all, and some more where that moves everything."""
        if positions <= self.room:
            return
        room = _whole(max(positions, min(2 * self.room, self._shape.context_window)))
        keys, values = self._empty(room), self._empty(room)  # both or, where memory ends, none
        filled = _whole(self.length)
        keys[:, :, :filled] = self.keys[:, :, :filled]
        values[:, :, :filled] = self.values[:, :, :filled]
        self.keys, self.values = keys, values

    def copy(self, length: int) -> KeysValues:
        """The first ``length`` positions again, with room for as many as an answer may have."""
        other = KeysValues(self._shape, max(_FIRST_ROOM, length, min(length + _FIRST_ROOM, self._shape.context_window)))
        filled = _whole(length)
        other.keys[:, :, :filled] = self.keys[:, :, :filled]
        other.values[:, :, :filled] = self.values[:, :, :filled]
        other.length = length
        return other

    def _empty(self, room: int) -> torch.Tensor:
        """(layers, kv_heads, room, head_dim), float32."""
        shape = self._shape
        return torch.empty(shape.layers, shape.kv_heads, room, shape.head_dim)


def _whole(positions: int) -> int:
    """``positions`` in whole tiles."""
    return -(-positions // GROUP) * GROUP
