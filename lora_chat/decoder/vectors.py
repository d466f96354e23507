"""Float32 numbers in a row, as numba compiles them. Owns what is done to single vectors; never allocates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from lora_chat.decoder import intrinsics as llvm

OPTIONS: Any = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "error_model": "numpy"}
"""Sums may be reordered, which vectors need; infinities and NaN stay what they are, and nothing is ever raised."""


@njit(**OPTIONS)
def vec(address: int, size: int) -> Any:
    """The ``size`` numbers at ``address``."""
    return carray(llvm.pointer(address), size, np.float32)


@njit(**OPTIONS)
def exp(x: Any) -> Any:
    """e to the x within 2e-7 of it, in a form that vectorises; 0 below -87."""
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    rest = x - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    power = np.float32(1.9875691500e-4)
    power = power * rest + np.float32(1.3981999507e-3)
    power = power * rest + np.float32(8.3334519073e-3)
    power = power * rest + np.float32(4.1665795894e-2)
    power = power * rest + np.float32(1.6666665459e-1)
    power = power * rest + np.float32(5.0000001201e-1)
    power = power * rest * rest + rest + np.float32(1.0)
    return power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(**OPTIONS)
def norm(x: Any, weight: Any, size: int, epsilon: Any, out: Any) -> None:
    """RMSNorm of ``x`` into ``out``."""
    total = np.float32(0)
    for i in range(size):
        total += x[i] * x[i]
    factor = np.float32(1) / np.sqrt(total / np.float32(size) + epsilon)
    for i in range(size):
        out[i] = weight[i] * (x[i] * factor)
