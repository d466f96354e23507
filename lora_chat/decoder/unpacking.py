"""Packed weights made numbers again, as numba compiles it. Owns that loop; never allocates.

Multiplied and added apart, as ``quantise.unpack`` does and as the file's own reader did: the numbers are the same bits,
and bfloat16 is made of those.

Imported by ``compiled.py`` alone, and only where there is nothing compiled yet: importing this compiles it.
"""

from __future__ import annotations

from typing import Any

from numba import cfunc, types

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.plan import Kind

_INT4 = int(Kind.INT4)
_OPTIONS: Any = {"error_model": "numpy"}
"""Without the liberties of the other kernels: a product and a sum that become one are another number."""


@cfunc(types.void(*[types.int64] * 7), **_OPTIONS)  # type: ignore[untyped-decorator]
def unpack(kind: int, values: int, scales: int, minima: int, out: int, groups: int, size: int) -> None:
    """``groups`` groups of int4 or int8 ``values`` times their ``scales``, plus their ``minima``, into ``out``.

    All but the first and the last two are addresses, of what ``Packed`` holds and of float32, or of bfloat16 where the
    ``size`` of a number is two bytes.
    """
    if kind == _INT4 and size == 2:
        llvm.int4_rounded(values, scales, minima, out, groups)
    elif kind == _INT4:
        llvm.int4_written(values, scales, minima, out, groups)
    elif size == 2:
        llvm.int8_rounded(values, scales, minima, out, groups)
    else:
        llvm.int8_written(values, scales, minima, out, groups)
