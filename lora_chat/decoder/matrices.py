"""A packed matrix times tokens, as numba compiles it. Owns how its weights and the adapter beside it are read, once.

A matrix is a block of the plan (``plan.Matrix``): where its values, scales, minima and bias lie, and an adapter's two
factors.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from lora_chat.decoder import intrinsics as llvm
from lora_chat.decoder.intrinsics import FEW, HALF, QUARTER, ROWS, TOKENS
from lora_chat.decoder.plan import GROUP, Kind, Matrix
from lora_chat.decoder.vectors import OPTIONS, vec

_LONG = 8
"""Groups from which on rows are worth multiplying together."""

_THIN_ROWS = 64
"""Rows that an adapter's first factor may have; a base's matrices have more."""

# Plain integers: numba freezes them into the code.
_KIND, _VALUES, _SCALES, _MINIMA, _OUT, _IN = (int(each) for each in list(Matrix)[:6])
_BIAS, _RANK, _A, _A_SCALES, _B, _B_SCALES, _THIN_KIND = (int(each) for each in list(Matrix)[6:13])
_F32, _INT8, _INT4, _BF16 = int(Kind.F32), int(Kind.INT8), int(Kind.INT4), int(Kind.BF16)


@njit(**OPTIONS)
def blocks_of(count: int) -> int:
    """Blocks of tokens that hold ``count``, the last one shifted back to end with it; 0 where one does not fit."""
    return 0 if count < TOKENS else (count + TOKENS - 1) // TOKENS


@njit(**OPTIONS)
def in_block(block: int, count: int) -> int:
    """Tokens of a block: fewer in the last one, where half or a quarter of one holds what is left."""
    left = count - block * TOKENS
    if left > HALF:
        return TOKENS
    return HALF if left > QUARTER else QUARTER


@njit(**OPTIONS)
def _bytes(kind: int, size: int) -> int:
    """Of one row's values."""
    if kind == _INT4:
        return size // 2
    if kind == _BF16:
        return size * 2
    return size if kind == _INT8 else size * 4


@njit(**OPTIONS)
def first_row(rows: int, thread: int, threads: int) -> int:
    """Where a thread's share of rows begins: by 32, as an adapter's product is made; the last thread takes the rest."""
    return rows if thread == threads else rows // GROUP * thread // threads * GROUP


@njit(**OPTIONS)
def _each(
    kind: int, values: int, scales: int, minima: int, size: int, first: int, last: int, inputs: int, out: int
) -> None:
    """Rows ``first`` to ``last`` times one token's inputs.

    Long rows that need no unpacking go four at a time, so that their sums do not wait for themselves, and so do the few
    of an adapter; many that are unpacked have enough to do, and were slower together.
    """
    groups = size // GROUP
    together = last - (last - first) % FEW if groups >= _LONG else first
    if kind == _INT4:
        for row in range(first, last):
            at = row * groups
            llvm.int4_one(values + at * 16, scales + at * 2, minima + at * 2, inputs, out + row * 4, groups, 0, 0)
    elif kind == _INT8:
        together = together if last - first <= _THIN_ROWS else first
        for row in range(first, together, FEW):
            at = row * groups
            llvm.int8_few(values + at * 32, scales + at * 2, 0, inputs, out + row * 4, groups, 0, 0)
        for row in range(together, last):
            at = row * groups
            llvm.int8_one(values + at * 32, scales + at * 2, 0, inputs, out + row * 4, groups, 0, 0)
    elif kind == _BF16:
        for row in range(first, together, FEW):
            llvm.bf16_few(values + row * size * 2, 0, 0, inputs, out + row * 4, groups, 0, 0)
        for row in range(together, last):
            llvm.bf16_one(values + row * size * 2, 0, 0, inputs, out + row * 4, groups, 0, 0)
    else:
        for row in range(first, together, FEW):
            llvm.f32_few(values + row * size * 4, 0, 0, inputs, out + row * 4, groups, 0, 0)
        for row in range(together, last):
            llvm.f32_one(values + row * size * 4, 0, 0, inputs, out + row * 4, groups, 0, 0)


@njit(**OPTIONS)
def _several(
    kind: int, tokens: int, values: int, scales: int, minima: int, inputs: int, out: int, groups: int, step: int,
    jump: int,
) -> None:  # fmt: skip
    """A block of rows times a block of ``tokens``."""
    if kind == _INT4:
        if tokens == TOKENS:
            llvm.int4_block(values, scales, minima, inputs, out, groups, step, jump)
        elif tokens == HALF:
            llvm.int4_half(values, scales, minima, inputs, out, groups, step, jump)
        else:
            llvm.int4_quarter(values, scales, minima, inputs, out, groups, step, jump)
    elif kind == _INT8:
        if tokens == TOKENS:
            llvm.int8_block(values, scales, minima, inputs, out, groups, step, jump)
        elif tokens == HALF:
            llvm.int8_half(values, scales, minima, inputs, out, groups, step, jump)
        else:
            llvm.int8_quarter(values, scales, minima, inputs, out, groups, step, jump)
    elif kind == _BF16:
        if tokens == TOKENS:
            llvm.bf16_block(values, scales, minima, inputs, out, groups, step, jump)
        elif tokens == HALF:
            llvm.bf16_half(values, scales, minima, inputs, out, groups, step, jump)
        else:
            llvm.bf16_quarter(values, scales, minima, inputs, out, groups, step, jump)
    else:
        if tokens == TOKENS:
            llvm.f32_block(values, scales, minima, inputs, out, groups, step, jump)
        elif tokens == HALF:
            llvm.f32_half(values, scales, minima, inputs, out, groups, step, jump)
        else:
            llvm.f32_quarter(values, scales, minima, inputs, out, groups, step, jump)


@njit(**OPTIONS)
def _rows(
    kind: int, values: int, scales: int, minima: int, size: int, first: int, last: int, rows: int, inputs: int,
    step: int, out: int, count: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last`` of a matrix (rows, size) times the inputs (count, size), into out (count, rows).

    ``step`` is the bytes from one token's inputs to the next one's.
    """
    groups, whole = size // GROUP, count // TOKENS
    value_step, scale_step = _bytes(kind, size), groups * 2
    paired = last - (last - first) % ROWS if whole else first
    for row in range(first, paired, ROWS):
        place, scale, minimum = values + row * value_step, scales + row * scale_step, minima + row * scale_step
        for token in range(0, whole * TOKENS, TOKENS):
            target = out + (token * rows + row) * 4
            _several(kind, TOKENS, place, scale, minimum, inputs + token * step, target, groups, step, rows * 4)
    if whole * TOKENS < count:  # a pass of its own: in turns with the other blocks it takes longer than it saves
        tokens = in_block(whole, count)
        token = count - tokens
        for row in range(first, paired, ROWS):
            place, scale, minimum = values + row * value_step, scales + row * scale_step, minima + row * scale_step
            target = out + (token * rows + row) * 4
            _several(kind, tokens, place, scale, minimum, inputs + token * step, target, groups, step, rows * 4)
    for token in range(count if paired < last else 0):
        _each(kind, values, scales, minima, size, paired, last, inputs + token * step, out + token * rows * 4)


@njit(**OPTIONS)
def _add_thin(
    kind: int, b: int, scales: int, thin: int, rank: int, rows: int, first: int, last: int, out: int, count: int
) -> None:
    """Add an adapter's product to rows ``first`` to ``last``: ``thin`` (count, rank) times its ``b``."""
    wide = _bytes(kind, GROUP)
    whole = count - count % TOKENS  # what is added may not be added twice, so the rest goes one by one
    for row in range(first, last, GROUP):
        lanes, scale = b + row // GROUP * rank * wide, scales + row // GROUP * rank * 2
        for token in range(0, whole, TOKENS):
            weights, target = thin + token * rank * 4, out + (token * rows + row) * 4
            if kind == _F32:
                llvm.add_f32_block(lanes, 0, weights, target, rank, wide, 0, rank * 4, rows * 4)
            else:
                llvm.add_int8_block(lanes, scale, weights, target, rank, wide, 2, rank * 4, rows * 4)
        for token in range(whole, count):
            weights, target = thin + token * rank * 4, out + (token * rows + row) * 4
            if kind == _F32:
                llvm.add_f32_one(lanes, 0, weights, target, rank, wide, 0, 0, 0)
            else:
                llvm.add_int8_one(lanes, scale, weights, target, rank, wide, 2, 0, 0)


@njit(**OPTIONS)
def _ask_for(address: int, size: int) -> None:
    """Have ``size`` bytes brought near."""
    for at in range(address, address + size, 64):
        llvm.prefetch(at)


@njit(**OPTIONS)
def _first_rank(rank: int, thread: int, threads: int) -> int:
    """Where a thread's share of an adapter's first factor begins: by as many rows as are made together."""
    return rank if thread == threads else rank // FEW * thread // threads * FEW


@njit(**OPTIONS)
def ask_for_first(plan: Any, at: int, thread: int, threads: int) -> None:
    """Have this thread's share of an adapter's first factor brought near, before its inputs are there."""
    rank, size, kind = plan[at + _RANK], plan[at + _IN], plan[at + _THIN_KIND]
    first, last = _first_rank(rank, thread, threads), _first_rank(rank, thread + 1, threads)
    wide, scales = _bytes(kind, size), size // GROUP * 2
    _ask_for(plan[at + _A] + first * wide, (last - first) * wide)
    if plan[at + _A_SCALES]:
        _ask_for(plan[at + _A_SCALES] + first * scales, (last - first) * scales)


@njit(**OPTIONS)
def ask_for_second(plan: Any, at: int, thread: int, threads: int) -> None:
    """Have this thread's share of an adapter's second factor brought near."""
    rank, rows, wide = plan[at + _RANK], plan[at + _OUT], _bytes(plan[at + _THIN_KIND], GROUP)
    first, last = first_row(rows, thread, threads) // GROUP, first_row(rows, thread + 1, threads) // GROUP
    if plan[at + _B_SCALES]:
        _ask_for(plan[at + _B_SCALES] + first * rank * 2, (last - first) * rank * 2)
    _ask_for(plan[at + _B] + first * rank * wide, (last - first) * rank * wide)


@njit(**OPTIONS)
def make_thin(plan: Any, at: int, inputs: int, thin: int, count: int, thread: int, threads: int) -> None:
    """This thread's share of an adapter's first factor times the tokens' inputs, into ``thin`` (count, rank)."""
    rank, size = plan[at + _RANK], plan[at + _IN]
    first, last = _first_rank(rank, thread, threads), _first_rank(rank, thread + 1, threads)
    if first < last:
        _rows(plan[at + _THIN_KIND], plan[at + _A], plan[at + _A_SCALES], 0, size, first, last, rank, inputs,
              size * 4, thin, count)  # fmt: skip


@njit(**OPTIONS)
def add_thin(plan: Any, at: int, thin: int, out: int, count: int, thread: int, threads: int) -> None:
    """Add to this thread's rows what the adapter worn beside the matrix makes of all of ``thin``."""
    rank, rows = plan[at + _RANK], plan[at + _OUT]
    first, last = first_row(rows, thread, threads), first_row(rows, thread + 1, threads)
    if rank:
        _add_thin(plan[at + _THIN_KIND], plan[at + _B], plan[at + _B_SCALES], thin, rank, rows, first, last, out, count)


@njit(**OPTIONS)
def multiply(plan: Any, at: int, inputs: int, out: int, count: int, thread: int, threads: int) -> None:
    """This thread's rows of a matrix times the tokens' inputs, and its bias."""
    rows, size = plan[at + _OUT], plan[at + _IN]
    first, last = first_row(rows, thread, threads), first_row(rows, thread + 1, threads)
    _rows(plan[at + _KIND], plan[at + _VALUES], plan[at + _SCALES], plan[at + _MINIMA], size, first, last, rows,
          inputs, size * 4, out, count)  # fmt: skip
    if plan[at + _BIAS]:
        bias = vec(plan[at + _BIAS], rows)
        for token in range(count):
            y = vec(out + token * rows * 4, rows)
            for row in range(first, last):
                y[row] += bias[row]
