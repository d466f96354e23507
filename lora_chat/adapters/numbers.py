"""How a tensor's numbers are written. Owns widening to fp32 and rounding back; never reads a file.

numpy knows no bf16, so that goes by bits: bf16 is the upper half of fp32. numpy itself is imported late, because
listing adapters needs no numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_chat.errors import RefusedError

if TYPE_CHECKING:
    import numpy as np

    Float32 = np.ndarray[Any, np.dtype[np.float32]]

DTYPES = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}
"""What a person types, to safetensors' name."""
WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of one number."""


def widened(raw: bytes | memoryview, dtype: str, shape: Sequence[int]) -> Float32:
    """The numbers in ``raw`` (little-endian ``F32``, ``F16`` or ``BF16``) as an fp32 array of ``shape``; exact."""
    import numpy as np

    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    kind = {"F32": "<f4", "F16": "<f2"}[dtype]
    return np.frombuffer(raw, kind).astype("<f4", copy=False).reshape(shape)


def narrowed(array: Float32, dtype: str, name: str) -> bytes:
    """The bytes of ``array`` in ``dtype``, each number rounded to the nearest, ties to even; ``name`` for the sentence.

    Raises:
        RefusedError: a number is larger than ``dtype`` can hold.
    """
    import numpy as np

    if dtype == "F32":
        return array.astype("<f4", copy=False).tobytes()
    if dtype == "F16":
        with np.errstate(over="ignore"):
            half = array.astype("<f2")
        overflown, raw = np.isinf(half).any(), half.tobytes()
    else:
        bits = np.ascontiguousarray(array, "<f4").view("<u4")
        upper = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
        overflown, raw = ((upper & 0x7F80) == 0x7F80).any(), upper.tobytes()
    if overflown:
        raise RefusedError(f'"{name[:100]}" holds numbers too large for {dtype.lower()}: take --dtype fp32.')
    return raw
